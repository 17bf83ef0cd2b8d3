//! TCP segments to the length-prefixed DNS messages that they carry (RFC 1035, 4.2.2; RFC 7766).

use std::net::IpAddr;

use crate::frame::{Frame, Layers, Origin};
use crate::stats::{Segments, Streams as StreamStats};
use crate::time::Timestamp;

/// One message of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamMessage<'a> {
    /// The segment that completed it.
    pub origin: Origin,
    /// Sender.
    pub src: IpAddr,
    /// Receiver.
    pub dst: IpAddr,
    /// Sender's port.
    pub src_port: u16,
    /// Receiver's port.
    pub dst_port: u16,
    /// The layers around the segment.
    pub layers: &'a Layers,
    /// The message without its length.
    pub bytes: &'a [u8],
    /// How many of its bytes were never seen.
    pub missing: u32,
}

type Key = (IpAddr, IpAddr, u16, u16);

#[derive(Debug, Default)]
struct Direction {
    next: Option<u32>,
    buffer: Vec<u8>,
}

/// The streams, one for each direction of a connection.
#[derive(Debug, Default)]
pub struct Streams {
    map: hashbrown::HashMap<Key, Direction, ahash::RandomState>,
    /// What became of the segments.
    pub segments: Segments,
    /// What the streams went through.
    pub stats: StreamStats,
}

impl Streams {
    /// Takes a segment and calls `give` with each message that it completes.
    pub fn push(
        &mut self,
        origin: Origin,
        frame: &Frame<'_>,
        give: &mut dyn FnMut(&StreamMessage<'_>),
    ) {
        let Some(tcp) = frame.tcp else { return };
        if frame.payload.is_empty() {
            self.segments.empty += 1;
            return;
        }
        let key = (frame.src, frame.dst, frame.src_port, frame.dst_port);
        let direction = self.map.entry(key).or_default();
        let next = direction.next.unwrap_or(tcp.sequence);
        if next.wrapping_sub(tcp.sequence) as i32 > 0 {
            self.segments.retransmitted += 1;
            return;
        }
        self.segments.in_order += 1;
        direction.next = Some(tcp.sequence.wrapping_add(frame.payload.len() as u32));
        direction.buffer.extend_from_slice(frame.payload);
        loop {
            let Some(&[a, b]) = direction.buffer.first_chunk::<2>() else {
                break;
            };
            let end = 2 + usize::from(u16::from_be_bytes([a, b]));
            let Some(bytes) = direction.buffer.get(2..end) else {
                break;
            };
            self.stats.messages += 1;
            give(&StreamMessage {
                origin,
                src: frame.src,
                dst: frame.dst,
                src_port: frame.src_port,
                dst_port: frame.dst_port,
                layers: &frame.layers,
                bytes,
                missing: 0,
            });
            direction.buffer.drain(..end);
        }
    }

    /// Forgets the streams that were silent for too long before `now`.
    pub fn expire(&mut self, _now: Timestamp, _give: &mut dyn FnMut(&StreamMessage<'_>)) {}

    /// Ends all streams.
    pub fn close(&mut self, _give: &mut dyn FnMut(&StreamMessage<'_>)) {}
}
