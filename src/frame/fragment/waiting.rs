//! One IP packet of which some fragments are there.

use std::time::Duration;

use etherparse::{IpNumber, UdpHeaderSlice, ip_number};

use super::super::layer::Discard;
use super::super::{Frame, Layers, Lost, Origin};
use super::{Key, Piece, Whole, Worth};
use crate::packet::{MessageId, Packet, Trail};
use crate::time::Timestamp;

/// How long the fragments of a packet wait for one another (RFC 791 says 15 s or more, RFC 8200 60 s, Linux does 30 s).
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a fragment of a packet that was joined is the mirror's copy, and not the next packet with that identification.
const COPY: Duration = Duration::from_millis(50);
/// How much of the beginning of a lost datagram is kept, in bytes.
const BEGINNING: usize = 4096;

/// A fragment that is there.
#[derive(Clone, Copy, Debug)]
struct Held {
    offset: usize,
    /// On the wire; less may be held where the capture cut the last one.
    length: usize,
    /// Where its bytes begin in [`Waiting::bytes`], and how many they are.
    at: usize,
    kept: usize,
    /// Of its content, to know it again.
    hash: u64,
}

impl Held {
    const fn end(&self) -> usize {
        self.offset + self.length
    }
}

/// A packet of which some fragments are there.
#[derive(Debug)]
pub(super) struct Waiting {
    /// When its first fragment came, which is where its time runs out from.
    since: Timestamp,
    /// When it was completed.
    pub(super) joined: Option<Timestamp>,
    /// Tells it from another that had the same key before.
    pub(super) serial: u64,
    /// By offset.
    held: Vec<Held>,
    /// Their bytes, in the order in which they came.
    bytes: Vec<u8>,
    /// Sum of their lengths.
    received: usize,
    /// Known since the last one came.
    total: Option<usize>,
    /// Known since the first one came.
    protocol: Option<IpNumber>,
    worth: Worth,
    overlapping: bool,
    /// Where the beginning lies, and what was around it.
    head: Option<(Origin, Layers)>,
    /// The packets of all its fragments, where they are kept, until it is joined; copies among them.
    trail: Trail,
    /// Its name, once it is joined.
    number: Option<MessageId>,
}

impl Waiting {
    /// Begins with nothing there.
    pub(super) fn new(since: Timestamp, serial: u64) -> Self {
        Self {
            since,
            joined: None,
            serial,
            held: Vec::new(),
            bytes: Vec::new(),
            received: 0,
            total: None,
            protocol: None,
            worth: Worth::Unknown,
            overlapping: false,
            head: None,
            trail: Trail::default(),
            number: None,
        }
    }

    /// The bytes that it needs, with their bookkeeping.
    pub(super) fn cost(&self) -> usize {
        size_of::<(Key, Self)>()
            + self.bytes.len()
            + self.held.len() * size_of::<Held>()
            + self.trail.held()
    }

    /// Whether its end without being joined is a loss.
    pub(super) const fn is_loss(&self) -> bool {
        self.joined.is_none() && !self.overlapping && !matches!(self.worth, Worth::Nothing)
    }

    /// Whether a fragment that comes `now` belongs to another packet.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let (from, span) = self
            .joined
            .map_or((self.since, TIMEOUT), |joined| (joined, COPY));
        // A time before the first fragment's is that of another capture.
        now.since(from) > span || from.since(now) > span
    }

    /// Whether that very fragment is there.
    pub(super) fn holds(&self, offset: usize, length: usize, hash: u64) -> bool {
        let place = self.held.partition_point(|held| held.offset < offset);
        self.held
            .get(place)
            .is_some_and(|held| (held.offset, held.length, held.hash) == (offset, length, hash))
    }

    /// Whether it is not known to be none.
    pub(super) fn may_be_dns(&self) -> bool {
        self.worth != Worth::Nothing
    }

    /// Keeps the packets that brought a fragment, or gives those of the whole in their place; what the fragment came too late
    /// for, being a copy.
    pub(super) fn bring(
        &mut self,
        outcome: Result<Whole, Discard>,
        trail: &mut Trail,
    ) -> Option<MessageId> {
        match (outcome, self.joined) {
            (Err(Discard::FragmentCopy), Some(_)) => return self.number,
            (Err(_), _) if !self.may_be_dns() => self.trail.clear(),
            (Err(Discard::Fragment | Discard::FragmentCopy), _) => self.trail.extend(trail),
            (Ok(_), _) => {
                self.trail.extend(trail);
                *trail = std::mem::take(&mut self.trail);
            }
            // It never becomes whole.
            (Err(_), _) => self.trail.clear(),
        }
        None
    }

    /// Takes a fragment; where it is the last that was missing, the whole is put into `joined`.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another thing that is known of the fragment, or of the whole"
    )]
    pub(super) fn push(
        &mut self,
        packet: &Packet<'_>,
        frame: &Frame<'_>,
        piece: Piece,
        worth: Worth,
        hash: u64,
        number: MessageId,
        joined: &mut Vec<u8>,
    ) -> Result<Whole, Discard> {
        self.insert(piece, frame.whole_len(), frame.payload, hash)?;
        if piece.offset == 0 {
            self.protocol = Some(piece.protocol);
            self.head = Some((Origin::of(packet), frame.layers.clone()));
            self.worth = worth;
        }
        if worth == Worth::Nothing {
            self.bytes = Vec::new();
        }
        if self.total == Some(self.received) {
            self.joined = Some(packet.time);
            if self.worth != Worth::Nothing {
                self.number = Some(number);
                return Ok(self.join(joined, number));
            }
        }
        Err(if worth == Worth::Nothing {
            Discard::OtherPort
        } else {
            Discard::Fragment
        })
    }

    /// Marks it as spoilt; whether it was not before.
    pub(super) fn spoil(&mut self) -> bool {
        self.bytes = Vec::new();
        !std::mem::replace(&mut self.overlapping, true)
    }

    /// Puts a fragment in its place.
    fn insert(
        &mut self,
        piece: Piece,
        length: usize,
        bytes: &[u8],
        hash: u64,
    ) -> Result<(), Discard> {
        let new = Held {
            offset: piece.offset,
            length,
            at: self.bytes.len(),
            kept: bytes.len(),
            hash,
        };
        let place = self.held.partition_point(|held| held.offset < new.offset);
        let (before, behind) = self.held.split_at_checked(place).unwrap_or_default();
        if self.holds(new.offset, new.length, hash) {
            return Err(Discard::FragmentCopy);
        }
        let touches = before.last().is_some_and(|held| held.end() > new.offset)
            || behind.first().is_some_and(|held| held.offset < new.end());
        let contradicts = match self.total {
            Some(total) => new.end() > total || (!piece.more && new.end() != total),
            None => !piece.more && self.held.last().is_some_and(|last| last.end() > new.end()),
        };
        if self.overlapping || touches || contradicts {
            return Err(Discard::FragmentOverlap);
        }
        self.held.insert(place, new);
        self.received += length;
        if !piece.more {
            self.total = Some(new.end());
        }
        if self.worth != Worth::Nothing {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Copies the fragments in their order up to the first hole, and gives their bytes back.
    fn join(&mut self, joined: &mut Vec<u8>, number: MessageId) -> Whole {
        joined.clear();
        let cut = self.copy(joined);
        self.bytes = Vec::new();
        // Without the first fragment nothing is complete.
        Whole {
            protocol: self.protocol.unwrap_or(ip_number::IPV6_NO_NEXT_HEADER),
            cut,
            number,
        }
    }

    /// Copies the fragments in their order up to the first hole; how many bytes the capture cut off the last.
    fn copy(&self, to: &mut Vec<u8>) -> u32 {
        let mut cut = 0;
        for held in &self.held {
            if held.offset != to.len() {
                break;
            }
            to.extend_from_slice(
                self.bytes
                    .get(held.at..)
                    .and_then(|bytes| bytes.get(..held.kept))
                    .unwrap_or_default(),
            );
            cut = held.length - held.kept;
        }
        u32::try_from(cut).unwrap_or(u32::MAX)
    }

    /// The datagram as far as it is there, where its header is.
    pub(super) fn beginning(&self, key: &Key) -> Option<Lost> {
        if self.worth != Worth::Dns || self.protocol != Some(ip_number::UDP) {
            return None;
        }
        let (origin, layers) = self.head.clone()?;
        let mut bytes = Vec::new();
        self.copy(&mut bytes);
        let header = UdpHeaderSlice::from_slice(&bytes).ok()?;
        let (src_port, dst_port, length) = (
            header.source_port(),
            header.destination_port(),
            header.length(),
        );
        let mut payload = bytes.split_off(header.slice().len());
        payload.truncate(BEGINNING);
        let missing = usize::from(length)
            .saturating_sub(8)
            .saturating_sub(payload.len());
        Some(Lost {
            origin,
            src: key.src,
            dst: key.dst,
            src_port,
            dst_port,
            ip_id: key
                .src
                .is_ipv4()
                .then_some(u16::try_from(key.id).unwrap_or_default()),
            payload,
            missing: u32::try_from(missing).unwrap_or(u32::MAX),
            layers,
            trail: self.trail.clone(),
        })
    }
}
