//! Captures that share the packets of one interface: the kernel gives each packet to one of them, and those of one flow, in
//! both directions, to the same (`PACKET_FANOUT` with `PACKET_FANOUT_HASH`, packet(7)). The flow is that of the outermost IP
//! header, and fragments go by their addresses alone; so all fragments of a packet come to one capture.

use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, setsockopt};
use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// The group of a packet socket: its number in the lower half, and in the upper one how packets are given out.
    PacketFanout,
    Both,
    libc::SOL_PACKET,
    libc::PACKET_FANOUT,
    usize
);

/// How packets are given out: by flow. The upper half of the option's value.
const BY_FLOW: usize = (libc::PACKET_FANOUT_HASH as usize) << 16;
/// The kernel chooses a number that nobody else has, so that no other program's captures share our packets.
const UNIQUE: usize = (libc::PACKET_FANOUT_FLAG_UNIQUEID as usize) << 16;

/// A group of captures of one interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fanout(usize);

impl Fanout {
    /// Makes a group with a capture in it.
    pub(super) fn begin(capture: &impl AsFd) -> nix::Result<Self> {
        setsockopt(capture, PacketFanout, &(BY_FLOW | UNIQUE))?;
        let number = getsockopt(capture, PacketFanout)? & 0xFFFF;
        Ok(Self(number))
    }

    /// Takes a further capture of the same interface into it.
    pub(super) fn join(self, capture: &impl AsFd) -> nix::Result<()> {
        setsockopt(capture, PacketFanout, &(BY_FLOW | self.0))
    }
}
