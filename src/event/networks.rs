//! What is known of networks, found by an address: the most specific network first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use ipnet::IpNet;

/// Networks, and something of each.
#[derive(Clone, Debug)]
pub struct Networks<T> {
    of: HashMap<IpNet, T, ahash::RandomState>,
    /// The lengths of prefixes that there are, longest first, of IPv4 and of IPv6.
    lengths: [Vec<u8>; 2],
}

impl<T> Default for Networks<T> {
    fn default() -> Self {
        Self {
            of: HashMap::default(),
            lengths: Default::default(),
        }
    }
}

impl<T> Networks<T> {
    /// The place of a network.
    pub fn entry(&mut self, network: IpNet) -> Entry<'_, IpNet, T> {
        let [ipv4, ipv6] = &mut self.lengths;
        let lengths = if network.addr().is_ipv4() { ipv4 } else { ipv6 };
        let length = network.prefix_len();
        if let Err(place) = lengths.binary_search_by(|other| length.cmp(other)) {
            lengths.insert(place, length);
        }
        self.of.entry(network.trunc())
    }

    /// How many networks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// What is known of the networks that hold an address, or a whole network, the most specific first.
    pub fn each_holding(&self, inner: IpNet) -> impl Iterator<Item = &T> {
        let [ipv4, ipv6] = &self.lengths;
        let lengths = if inner.addr().is_ipv4() { ipv4 } else { ipv6 };
        let lengths = lengths
            .iter()
            .filter(move |length| **length <= inner.prefix_len());
        lengths.filter_map(move |length| {
            let network = IpNet::new(inner.addr(), *length).ok()?.trunc();
            self.of.get(&network)
        })
    }

    /// The same of an address.
    pub fn of_address(&self, address: IpAddr) -> impl Iterator<Item = &T> {
        self.each_holding(IpNet::from(address))
    }
}
