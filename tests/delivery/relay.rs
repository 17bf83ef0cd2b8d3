//! A relay between a sensor and a server that stops in the middle of an insert, so that something can be killed there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// Where it stops, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// When the server has half of the insert.
    Body,
    /// When the server has answered it, and nobody else has seen the answer.
    Answer,
}

/// The relay. What it does not hold it passes on; a connection that breaks on one side it breaks on the other.
pub(crate) struct Relay {
    port: u16,
    held: Receiver<()>,
    /// Whether what is held goes on.
    go_on: Sender<bool>,
}

/// What the threads share.
struct Shared {
    to: u16,
    hold: Hold,
    /// What stands in the request line of the insert.
    insert: String,
    is_over: AtomicBool,
    held: Sender<()>,
    go_on: Mutex<Receiver<bool>>,
}

impl Shared {
    /// Says that it holds, and waits; whether what is held goes on.
    fn wait(&self) -> bool {
        self.held.send(()).ok();
        self.go_on.lock().unwrap().recv().unwrap_or(false)
    }
}

impl Relay {
    /// Before the server at that port; it holds the first insert into that table.
    pub(crate) fn start(to: u16, table: &str, hold: Hold) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (say, held) = channel();
        let (go_on, told) = channel();
        let shared = Arc::new(Shared {
            to,
            hold,
            insert: format!("INSERT%20INTO%20{table}%20"),
            is_over: AtomicBool::new(false),
            held: say,
            go_on: Mutex::new(told),
        });
        thread::spawn(move || {
            for client in listener.incoming() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || relay(&client.unwrap(), &shared));
            }
        });
        Self { port, held, go_on }
    }

    /// The database behind it.
    pub(crate) fn url(&self) -> String {
        format!("clickhouse+http://127.0.0.1:{}/dns", self.port)
    }

    /// Waits until it holds.
    pub(crate) fn wait(&self) {
        self.held.recv().unwrap();
    }

    /// Lets what it holds go on, or drops it.
    pub(crate) fn go_on(&self, does: bool) {
        self.go_on.send(does).unwrap();
    }
}

fn relay(client: &TcpStream, shared: &Arc<Shared>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.to)) else {
        return;
    };
    let is_held = Arc::new(AtomicBool::new(false));
    let back = {
        let (server, client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let (shared, is_held) = (Arc::clone(shared), Arc::clone(&is_held));
        thread::spawn(move || answers(server, client, &shared, &is_held))
    };
    requests(client, &server, shared, &is_held).ok();
    for connection in [client, &server] {
        connection.shutdown(Shutdown::Both).ok();
    }
    back.join().unwrap();
}

/// Passes requests on, one after the other.
fn requests(
    client: &TcpStream,
    mut server: &TcpStream,
    shared: &Shared,
    is_held: &AtomicBool,
) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let before = head.len();
            if client.read_line(&mut head)? == 0 {
                return Ok(());
            }
            let line = head[before..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body)?;
        let is_it = head.contains(&shared.insert) && !shared.is_over.swap(true, Ordering::SeqCst);
        server.write_all(head.as_bytes())?;
        if is_it && shared.hold == Hold::Body {
            let (half, rest) = body.split_at(length / 2);
            server.write_all(half)?;
            if !shared.wait() {
                return Ok(());
            }
            server.write_all(rest)?;
        } else {
            is_held.store(is_it, Ordering::SeqCst);
            server.write_all(&body)?;
        }
    }
}

/// Passes answers on.
fn answers(mut server: TcpStream, mut client: TcpStream, shared: &Shared, is_held: &AtomicBool) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = server.read(&mut bytes) {
        if is_held.swap(false, Ordering::SeqCst) && !shared.wait() {
            break;
        }
        if client.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    for connection in [&server, &client] {
        connection.shutdown(Shutdown::Both).ok();
    }
}
