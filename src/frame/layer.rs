//! What the layers share: the step from one to the next, and the reading of bytes that may not be there.

use etherparse::IpNumber;

use super::Frame;

/// What a layer says comes next in the payload.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// An Ethernet header.
    Ethernet,
    /// Linux cooked capture, version 1.
    LinuxCooked,
    /// Linux cooked capture, version 2.
    LinuxCooked2,
    /// The protocol family of BSD's loopback.
    Family,
    /// What the EtherType says (below 1536: a length, then LLC).
    EtherType(u16),
    /// IPv4 or IPv6, told by the first four bits.
    Ip,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// What the protocol number of IPv4, or the next header of IPv6, says.
    Protocol(IpNumber),
    /// Nothing: the frame is a UDP datagram or TCP segment with a DNS port.
    Done,
}

/// Why a packet is not handed on; each is a counter of the same name in [`crate::stats::Packets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discard {
    OtherPort,
    OtherProtocol,
    NotIp,
    Fragment,
    Tunnel,
    UnsupportedLink,
    Malformed,
    Snaplen,
}

/// What a layer makes of the payload: the next layer, with the payload now beginning there.
pub(super) type Step = Result<Next, Discard>;

impl<'a> Frame<'a> {
    /// Why bytes are not there: the capture cut them, or the sender's headers lie.
    pub(super) const fn short(&self) -> Discard {
        if self.cut > 0 {
            Discard::Snaplen
        } else {
            Discard::Malformed
        }
    }

    /// The first `N` bytes of the payload.
    pub(super) fn peek<const N: usize>(&self) -> Result<[u8; N], Discard> {
        self.payload
            .first_chunk()
            .copied()
            .ok_or_else(|| self.short())
    }

    /// Takes the first `N` bytes off the payload.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Discard> {
        let (taken, rest) = self
            .payload
            .split_first_chunk()
            .ok_or_else(|| self.short())?;
        self.payload = rest;
        Ok(*taken)
    }

    /// Takes `length` bytes off the payload.
    pub(super) fn skip(&mut self, length: usize) -> Result<&'a [u8], Discard> {
        let (taken, rest) = self
            .payload
            .split_at_checked(length)
            .ok_or_else(|| self.short())?;
        self.payload = rest;
        Ok(taken)
    }

    /// Ends the payload where a header says that it ends: behind that is padding, or a trailer.
    ///
    /// Where the header says more than is there, something between the sender and us cut the packet: the capture, or a
    /// mirror that slices.
    pub(super) fn limit(&mut self, length: usize) {
        match self.payload.get(..length) {
            Some(kept) => {
                self.payload = kept;
                self.cut = 0;
            }
            None => {
                self.cut =
                    u32::try_from(length.saturating_sub(self.payload.len())).unwrap_or(u32::MAX)
            }
        }
    }

    /// [`Self::limit`] for a length that is not believed where it says more than the layer around it.
    pub(super) fn limit_within(&mut self, length: usize) {
        let cut = self.cut;
        self.limit(length);
        self.cut = self.cut.min(cut);
    }
}
