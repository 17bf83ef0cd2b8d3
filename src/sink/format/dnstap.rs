//! dnstap: the messages of a lookup as they were on the wire, each a frame; files of Frame Streams. `docs/formats.md` has what
//! each field comes from.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use super::super::file::Binary;
use crate::dnstap::{Protocol, Said, Sender, Step, Stream, start};
use crate::event::{Event, Role};
use crate::frame::{Transport, Tunnel};

/// What the frames say of the program.
const VERSION: &str = concat!("dnsterrier ", env!("CARGO_PKG_VERSION"));

/// Appends the frames of a lookup's messages.
pub(super) fn frames(event: &Event, out: &mut Vec<u8>) {
    let Some(wire) = &event.wire else {
        return;
    };
    let query_time = wire.query.as_ref().map(|query| query.time);
    for (message, is_response) in [(&wire.query, false), (&wire.response, true)] {
        let Some(message) = message else { continue };
        Said {
            identity: &event.sensor,
            version: VERSION,
            sender: sender(event),
            protocol: protocol(event),
            client: (event.src, event.src_port),
            server: (event.dest, event.dest_port),
            query_time,
            response_time: is_response.then_some(message.time),
            message: &message.bytes,
        }
        .write(out);
    }
}

/// Whose lookup it is: a resolver's own asks for no recursion, but for one that passes on what it was asked.
const fn sender(event: &Event) -> Sender {
    match event.src_role {
        Role::Client | Role::Nat => Sender::Client,
        Role::Resolver if event.recursion_desired() => Sender::Forwarder,
        Role::Resolver => Sender::Resolver,
    }
}

/// Over what the messages came: what a resolver said of it stays.
fn protocol(event: &Event) -> Protocol {
    let came_by = |tunnel: Tunnel| event.tunnel.contains(&tunnel.name());
    match event.transport {
        Transport::Tcp if came_by(Tunnel::Dot) => Protocol::Dot,
        Transport::Tcp if came_by(Tunnel::Doh) => Protocol::Doh,
        Transport::Tcp if came_by(Tunnel::Dnscrypt) => Protocol::DnscryptTcp,
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp if came_by(Tunnel::Doq) => Protocol::Doq,
        Transport::Udp if came_by(Tunnel::Dnscrypt) => Protocol::DnscryptUdp,
        Transport::Udp => Protocol::Udp,
    }
}

/// A file of frames.
#[derive(Debug)]
pub(in super::super) struct DnstapFile;

impl Binary for DnstapFile {
    fn goes_on(&mut self, beginning: &[u8]) -> bool {
        beginning.starts_with(&start())
    }

    /// All but what says at its end that nothing follows, and what a crash left of the last frame.
    fn whole(&self, file: &File) -> io::Result<u64> {
        let mut from = BufReader::new(file);
        from.rewind()?;
        let (mut stream, mut bytes) = (Stream::default(), Vec::new());
        // Where the last frame ends that can stay, and where the last of all does.
        let (mut stays, mut end) = (0, 0);
        loop {
            let (len, is_stop) = match stream.next(&bytes).map_err(io::Error::other)? {
                Step::Needs(need) => {
                    let more = need.saturating_sub(bytes.len()) as u64;
                    if from.by_ref().take(more).read_to_end(&mut bytes)? == 0 {
                        return Ok(stays);
                    }
                    continue;
                }
                Step::Data { len, .. } => (len, false),
                Step::Control { len, .. } => (len, true),
            };
            bytes.drain(..len.min(bytes.len()));
            end += len as u64;
            if !(is_stop && stream.is_whole()) {
                stays = end;
            }
        }
    }
}
