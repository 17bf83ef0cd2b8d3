//! Whom a broker of Kafka lets in: TLS, and SASL over it. The mock cluster has neither, so this broker has nothing else: it
//! speaks TLS, says which requests it knows, takes a name and a password (RFC 4616), and hangs up.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use crate::collector::with_certificate;
use crate::common::stderr;
use crate::hec::certificates;
use crate::run::{Desk, capture};

const PASSWORD: &str = "s3cret";

/// Requests by their numbers, with the versions that are known of each: Metadata, SaslHandshake, ApiVersions,
/// SaslAuthenticate.
const KNOWN: [[u16; 3]; 4] = [[3, 0, 2], [17, 1, 1], [18, 0, 0], [36, 0, 0]];

/// What somebody said who wanted to be let in: mechanism, authorization identity, name, password.
type Said = Arc<Mutex<Vec<String>>>;

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn serve(mut connection: impl Read + Write, said: &Said) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        connection.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        connection.read_exact(&mut request)?;
        let number = |place: usize| u16::from_be_bytes([request[place], request[place + 1]]);
        // Behind the client's name.
        let body = &request[10 + usize::from(number(8))..];
        let answer = match (number(0), number(2)) {
            (18, version) => {
                let error: u16 = if version == 0 { 0 } else { 35 };
                let known = KNOWN.concat();
                let known = known.iter().flat_map(|it| it.to_be_bytes());
                let head = [&error.to_be_bytes()[..], &4_u32.to_be_bytes()].concat();
                head.into_iter().chain(known).collect()
            }
            (17, _) => {
                let mechanism = String::from_utf8(body[2..].to_vec()).unwrap();
                said.lock().unwrap().push(mechanism);
                [&[0, 0, 0, 0, 0, 1][..], &text("PLAIN")].concat()
            }
            (36, _) => {
                let token = String::from_utf8(body[4..].to_vec()).unwrap();
                let parts: Vec<String> = token.split('\0').map(str::to_owned).collect();
                let right = parts[2] == PASSWORD;
                said.lock().unwrap().extend(parts);
                let (error, why) = if right {
                    (0_u16, "")
                } else {
                    (58, "Who are you?")
                };
                [&error.to_be_bytes()[..], &text(why), &[0; 4]].concat()
            }
            _ => return Ok(()),
        };
        let answer = [&request[4..8], &answer].concat();
        connection.write_all(&(answer.len() as u32).to_be_bytes())?;
        connection.write_all(&answer)?;
        connection.flush()?;
    }
}

/// A broker with that certificate: its port, and what it is told.
fn start(certificate: &Path, key: &Path) -> (u16, Said) {
    let config = with_certificate(certificate, key);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = Said::default();
    let told = Arc::clone(&said);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            // Who hangs up is not served.
            serve(
                rustls::StreamOwned::new(session, connection.unwrap()),
                &told,
            )
            .ok();
        }
    });
    (port, said)
}

/// Sends to it; that cannot work.
fn send(desk: &Desk, port: u16, authority: &Path, password: &str) -> Output {
    let url = format!(
        "kafka://127.0.0.1:{port}/dns?security=tls&ca={}&sasl=plain",
        authority.display()
    );
    let ngrok = capture("ngrok.pcap");
    let ngrok = ngrok.to_str().unwrap();
    let output = desk
        .command(&["replay", ngrok, "--rows", "none", "--events", &url])
        .args(["--deliver-timeout", "5s"])
        .env("DNSTERRIER_KAFKA_USER", "sensor")
        .env("DNSTERRIER_KAFKA_PASSWORD", password)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!stderr(&output).contains(password), "{}", stderr(&output));
    output
}

#[test]
fn a_name_and_a_password_go_to_whom_is_trusted() {
    let desk = Desk::new();
    let [authority, certificate, key] = certificates(&desk, "127.0.0.1");
    let (port, said) = start(&certificate, &key);
    send(&desk, port, &authority, PASSWORD);
    let said = said.lock().unwrap();
    assert_eq!(said[..4], ["PLAIN", "", "sensor", PASSWORD]);
}

#[test]
fn a_wrong_password_is_not_the_records_fault() {
    let desk = Desk::new();
    let [authority, certificate, key] = certificates(&desk, "127.0.0.1");
    let (port, _) = start(&certificate, &key);
    let said = stderr(&send(&desk, port, &authority, "not it"));
    assert!(
        said.contains("takes nothing from us as it is set up"),
        "{said}"
    );
    assert!(said.contains("Who are you?"), "{said}");
    assert!(!desk.spool().join("refused.jsonl").exists());
}

#[test]
fn nothing_is_said_to_whom_is_not_trusted() {
    let desk = Desk::new();
    // A certificate for another address, and one of another authority.
    for (address, ours) in [("127.0.0.9", true), ("127.0.0.1", false)] {
        let (here, there) = (Desk::new(), Desk::new());
        let [authority, certificate, key] = certificates(&here, address);
        let [other, _, _] = certificates(&there, address);
        let (port, said) = start(&certificate, &key);
        let authority = if ours { authority } else { other };
        let output = send(&desk, port, &authority, PASSWORD);
        let text = stderr(&output).to_lowercase();
        assert!(text.contains("certificate"), "{text}");
        assert_eq!(said.lock().unwrap().len(), 0, "{address}");
    }
}
