//! Port numbers: those of DNS, of encrypted DNS, and of tunnels over UDP.

use std::net::IpAddr;
use std::sync::Arc;

use super::overlay;
use crate::encrypted::{DNS_PORT, HTTPS_PORT, KnownResolvers};

/// The ports on which DNS is looked for.
#[derive(Clone, Debug)]
pub struct Ports {
    dns: PortSet,
    /// Whether the usual port is among them.
    usual: bool,
    tunnels: PortSet,
    /// Both together, and that of DNS over TLS and QUIC, so that the look before the copy asks one set.
    looked_into: PortSet,
    /// Whose connections on the port of HTTPS may be DNS.
    pub(super) known: Arc<KnownResolvers>,
    anywhere: bool,
}

impl Ports {
    /// That of nearly all.
    const USUAL: u16 = 53;

    /// The ports of DNS, mDNS and LLMNR.
    pub const DEFAULT: [u16; 3] = [53, 5353, 5355];

    /// A set of ports.
    #[must_use]
    pub fn new(ports: &[u16]) -> Self {
        let mut set = Self {
            dns: PortSet::default(),
            usual: ports.contains(&Self::USUAL),
            tunnels: PortSet::default(),
            looked_into: PortSet::default(),
            known: Arc::default(),
            anywhere: false,
        };
        for &port in ports {
            set.dns.insert(port);
            set.looked_into.insert(port);
        }
        set.looked_into.insert(DNS_PORT);
        set.with_tunnels(&overlay::port::ALL)
    }

    /// What else than VXLAN is looked for on a UDP port; `None` where nothing is.
    #[must_use]
    pub fn taken_by(&self, port: u16) -> Option<&'static str> {
        if self.contains(port) {
            Some("DNS")
        } else {
            overlay::port::other_than_vxlan(port)
        }
    }

    /// The same, with further UDP ports on which VXLAN is looked for, beside 4789 and 8472; a port that is
    /// [taken](Self::taken_by) stays what it is.
    #[must_use]
    pub fn with_vxlan(self, ports: &[u16]) -> Self {
        self.with_tunnels(ports)
    }

    /// The same, with resolvers whose connections on the port of HTTPS are looked for.
    #[must_use]
    pub fn with_known(mut self, known: Arc<KnownResolvers>) -> Self {
        self.known = known;
        self
    }

    /// These resolvers.
    #[must_use]
    pub fn known(&self) -> Arc<KnownResolvers> {
        Arc::clone(&self.known)
    }

    /// The same, with DNS looked for by its shape on all other ports.
    #[must_use]
    pub fn and_anywhere(mut self) -> Self {
        self.anywhere = true;
        self
    }

    /// Whether DNS is looked for by its shape on all other ports.
    #[must_use]
    pub const fn are_anywhere(&self) -> bool {
        self.anywhere
    }

    fn with_tunnels(mut self, ports: &[u16]) -> Self {
        for &port in ports {
            self.tunnels.insert(port);
            self.looked_into.insert(port);
        }
        self
    }

    /// Whether the port is one of them.
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.dns.contains(port)
    }

    /// Whether DNS is looked for between these ports whatever its shape.
    #[inline(always)]
    #[must_use]
    pub fn contain_one_of(&self, [src, dst]: [u16; 2]) -> bool {
        // Both at once: either may be the one, so that no branch could be foreseen. A half that is zero lends from above.
        let both = (u32::from(src) << 16 | u32::from(dst)) ^ (u32::from(Self::USUAL) * 0x0001_0001);
        let has_usual = both.wrapping_sub(0x0001_0001) & !both & 0x8000_8000 != 0;
        has_usual && self.usual || self.contains(src) || self.contains(dst)
    }

    /// Whether the UDP port is that of a tunnel.
    pub(super) fn carries_tunnel(&self, port: u16) -> bool {
        self.tunnels.contains(port)
    }

    /// Whether one of the UDP ports is that of a tunnel.
    pub(super) fn carry_tunnel(&self, ports: [u16; 2]) -> bool {
        ports.into_iter().any(|port| self.carries_tunnel(port))
    }

    /// Whether something between these ends may be encrypted DNS: never false where it is.
    pub(super) fn may_be_encrypted(&self, ends: [(IpAddr, u16); 2]) -> bool {
        ends.into_iter().any(|(address, port)| match port {
            DNS_PORT => true,
            HTTPS_PORT => self.known.may_hold(address),
            _ => false,
        })
    }

    /// Whether what goes between these ports is DNS, encrypted or not, or may be a tunnel that holds it.
    #[inline]
    pub(super) fn look_into(&self, [src, dst]: [u16; 2]) -> bool {
        self.looked_into.contains(src) || self.looked_into.contains(dst)
    }
}

/// A bit for each port.
#[derive(Clone, Debug)]
pub(super) struct PortSet(Box<[u64; 1024]>);

impl Default for PortSet {
    fn default() -> Self {
        Self(Box::new([0; 1024]))
    }
}

impl PortSet {
    pub(super) fn insert(&mut self, port: u16) {
        if let Some(word) = self.0.get_mut(usize::from(port >> 6)) {
            *word |= 1 << (port & 63);
        }
    }

    #[inline(always)]
    pub(super) fn contains(&self, port: u16) -> bool {
        self.0
            .get(usize::from(port >> 6))
            .is_some_and(|word| word >> (port & 63) & 1 == 1)
    }
}
