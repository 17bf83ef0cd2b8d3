//! The beginnings of datagrams that never became whole.

use std::net::IpAddr;

use super::{Frame, Layers};
use crate::packet::{Packet, Trail};
use crate::time::Timestamp;

/// Where a packet lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Capture time.
    pub time: Timestamp,
    /// The index into the run's list of inputs.
    pub input: u16,
    /// Its number within that input, from 1.
    pub number: u64,
}

impl Origin {
    /// That of a packet.
    #[must_use]
    pub const fn of(packet: &Packet<'_>) -> Self {
        Self {
            time: packet.time,
            input: packet.input,
            number: packet.number,
        }
    }
}

/// A UDP datagram with a DNS port whose first fragment came, and others did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Where the first fragment lies.
    pub origin: Origin,
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) ip_id: Option<u16>,
    pub(super) payload: Vec<u8>,
    pub(super) missing: u32,
    pub(super) layers: Layers,
    /// The packets of the fragments that came, where they are kept.
    pub trail: Trail,
}

impl Lost {
    /// What is there of it; `cut` is what is missing by the length in its UDP header.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            src: self.src,
            dst: self.dst,
            src_port: self.src_port,
            dst_port: self.dst_port,
            ip_id: self.ip_id,
            tcp: None,
            payload: &self.payload,
            cut: self.missing,
            layers: self.layers.clone(),
            brought: None,
        }
    }
}
