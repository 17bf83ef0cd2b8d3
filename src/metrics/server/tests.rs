//! Clients as they come, over loopback.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{CONNECTIONS, HEAD, Server, answer};
use crate::metrics::Watch;
use crate::stats::Stats;

/// Runs a server and a matcher that counts, as long as the clients do something.
fn serving(clients: impl FnOnce(&dyn Fn() -> TcpStream)) {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.address();
    let watch = Watch::default();
    let over = AtomicBool::new(false);
    let (serve, serving) = server.start();
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&watch));
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                watch.step(|| {
                    let mut stats = Stats::default();
                    stats.capture.received = 42;
                    stats
                });
                std::thread::yield_now();
            }
        });
        let connect = || {
            let stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            stream
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| clients(&connect)));
        over.store(true, Ordering::Relaxed);
        drop(serving);
        result.unwrap();
    });
}

fn ask(mut stream: TcpStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn pages_and_refusals() {
    serving(|connect| {
        let get = |request: &str| ask(connect(), request.as_bytes());
        let text = get("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4;"));
        assert!(
            text.contains("\ndnsterrier_capture_received_total 42\n"),
            "{text}"
        );
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        let open = get(
            "GET /metrics?x=1 HTTP/1.1\r\nACCEPT: application/openmetrics-text;version=1.0.0,*/*\r\n\r\n",
        );
        assert!(open.contains("Content-Type: application/openmetrics-text; version=1.0.0"));
        assert!(open.ends_with("# EOF\n"));
        let head = get("HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"));
        assert!(get("GET /healthz HTTP/1.0\n\n").ends_with("\r\n\r\nok: 42 packets received\n"));
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            (
                "POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
                "405",
            ),
            ("nonsense\r\n\r\n", "400"),
            ("GET /metrics\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
            ("\u{0}\u{7f}\n\n", "400"),
        ] {
            let text = get(request);
            assert!(
                text.starts_with(&format!("HTTP/1.1 {status} ")),
                "{request:?}: {text}"
            );
        }
    });
}

#[test]
fn a_request_that_does_not_end_is_refused() {
    serving(|connect| {
        // One byte more than may be: nothing of it is left unread, which would be answered with RST.
        let mut request = b"GET /metrics HTTP/1.1\r\nX: ".to_vec();
        request.resize(HEAD + 1, b'x');
        let text = ask(connect(), &request);
        assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
    });
}

#[test]
fn clients_that_say_nothing_keep_nobody_out() {
    serving(|connect| {
        let silent: Vec<TcpStream> = (0..4 * CONNECTIONS).map(|_| connect()).collect();
        let half = connect();
        (&half).write_all(b"GET /metr").unwrap();
        half.shutdown(Shutdown::Write).unwrap();
        drop(connect());
        let text = ask(connect(), b"GET /healthz HTTP/1.1\r\n\r\n");
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        drop(silent);
    });
}

#[test]
fn what_hangs_is_not_healthy() {
    let stats = Stats::default();
    let health = |stats: Option<&Stats>, seconds| {
        let still = Duration::from_secs(seconds);
        String::from_utf8(answer(b"GET /healthz HTTP/1.1\r\n\r\n", stats, still)).unwrap()
    };
    assert!(health(Some(&stats), 9).starts_with("HTTP/1.1 200 "));
    assert!(health(None, 0).starts_with("HTTP/1.1 200 "));
    let stuck = health(Some(&stats), 75);
    assert!(stuck.starts_with("HTTP/1.1 503 "), "{stuck}");
    assert!(
        stuck.contains("nothing has come through for 75 s"),
        "{stuck}"
    );
    assert!(health(None, 10).starts_with("HTTP/1.1 503 "));
    let none = answer(b"GET /metrics HTTP/1.1\r\n\r\n", None, Duration::ZERO);
    assert!(none.starts_with(b"HTTP/1.1 503 "));
}

/// The matcher hangs: the page of the last time is still there, and says of nothing that it were new.
#[test]
fn nobody_waits_for_ever() {
    let watch = Watch::default();
    assert!(matches!(watch.ask(Duration::ZERO), (None, false)));
    watch.step(Stats::default);
    // It was asked for; now it is there.
    let (stats, _) = watch.ask(Duration::ZERO);
    assert!(stats.is_some());
    assert_eq!(watch.steps(), 1);
}
