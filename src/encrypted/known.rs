//! The public resolvers that are known by name and address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

/// The list inside the program.
const EMBEDDED: &str = include_str!("../../rules/doh-resolvers.txt");

/// The shortest prefixes that a network may have: larger ones are no resolver's.
const SHORTEST_PREFIX: (u8, u8) = (16, 40);
/// The most that a list may hold.
const LARGEST: usize = 1 << 20;

/// Who runs resolvers: a place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operator(u16);

/// What is wrong with a list of resolvers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMistake {
    /// The line, from 1; 0 where the whole list is meant.
    pub line: u32,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// Resolvers by name and address.
#[derive(Debug)]
pub struct KnownResolvers {
    operators: Vec<Arc<str>>,
    names: hashbrown::HashMap<Box<str>, Operator, ahash::RandomState>,
    /// The last bytes of each of them; nearly every other name ends with others.
    ends: hashbrown::HashSet<[u8; END], ahash::RandomState>,
    /// Some name is shorter than that.
    has_short: bool,
    /// First and last address of each network, in order; they do not overlap.
    ipv4: Vec<(Ipv4Addr, Ipv4Addr, Operator)>,
    ipv6: Vec<(Ipv6Addr, Ipv6Addr, Operator)>,
    near: Near,
}

/// A bit for each /24 of IPv4 and each /48 of IPv6 in which there is a resolver, by hash: the quick look that turns
/// nearly all servers of the web away.
#[derive(Debug)]
struct Near(Box<[u64; 1024]>);

impl Near {
    fn place(net: u64) -> (usize, u64) {
        // A multiplication by 2^64 over the golden ratio spreads the bits over the upper ones.
        let hash = net.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((hash >> 54) as usize, 1 << (hash >> 48 & 63))
    }

    #[inline]
    fn holds(&self, net: u64) -> bool {
        let (word, bit) = Self::place(net);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn insert(&mut self, net: u64) {
        let (word, bit) = Self::place(net);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }
}

#[inline]
fn net_of_ipv4(address: [u8; 4]) -> u64 {
    u64::from(u32::from_be_bytes(address) >> 8)
}

#[inline]
fn net_of_ipv6([a, b, c, d, e, f, ..]: [u8; 16]) -> u64 {
    u64::from_be_bytes([1, 0, a, b, c, d, e, f])
}

/// How many bytes of a name's end are looked at before the name is looked up.
const END: usize = 8;

impl Default for KnownResolvers {
    /// None.
    fn default() -> Self {
        Self {
            operators: Vec::new(),
            names: hashbrown::HashMap::default(),
            ends: hashbrown::HashSet::default(),
            has_short: false,
            ipv4: Vec::new(),
            ipv6: Vec::new(),
            near: Near(Box::new([0; 1024])),
        }
    }
}

impl KnownResolvers {
    /// The resolvers inside the program.
    ///
    /// # Errors
    /// The mistakes in that list; a test shows that there is none.
    pub fn embedded() -> Result<Self, Vec<ListMistake>> {
        Self::read(EMBEDDED)
    }

    /// Reads a list: `[Operator]`, then names, addresses and networks between spaces or lines; `#` begins a comment.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn read(text: &str) -> Result<Self, Vec<ListMistake>> {
        let mut known = Self::default();
        let mut mistakes = Vec::new();
        if text.len() > LARGEST {
            mistakes.push(ListMistake {
                line: 0,
                message: format!("the list is larger than {LARGEST} bytes"),
            });
            return Err(mistakes);
        }
        let mut operator = None;
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
            let mut check = |result: Result<(), String>| {
                if let Err(message) = result {
                    mistakes.push(ListMistake {
                        line: number,
                        message,
                    });
                }
            };
            if let Some(name) = line.strip_prefix('[') {
                operator = None;
                check(known.add_operator(name).map(|added| operator = Some(added)));
                continue;
            }
            for word in line.split_whitespace() {
                check(match operator {
                    Some(operator) => known.add(word, operator),
                    None => Err(format!(
                        "'{word}' stands below no operator; expected [Operator] on a line before it"
                    )),
                });
            }
        }
        if mistakes.is_empty() {
            Ok(known)
        } else {
            Err(mistakes)
        }
    }

    fn add_operator(&mut self, line: &str) -> Result<Operator, String> {
        let name = line
            .strip_suffix(']')
            .map(str::trim)
            .filter(|name| !name.is_empty() && !name.contains(['[', ']']))
            .ok_or_else(|| format!("'[{line}' is no operator; expected [Its Name]"))?;
        if self.operators.iter().any(|other| &**other == name) {
            return Err(format!("'{name}' stands here twice"));
        }
        let operator = u16::try_from(self.operators.len())
            .map(Operator)
            .map_err(|_| "more than 65,536 operators".to_owned())?;
        self.operators.push(name.into());
        Ok(operator)
    }

    fn add(&mut self, word: &str, operator: Operator) -> Result<(), String> {
        let network = word
            .parse::<IpNet>()
            .or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) => self.add_network(network, operator),
            Err(_) => self.add_name(word, operator),
        }
    }

    fn add_name(&mut self, word: &str, operator: Operator) -> Result<(), String> {
        let name = word.strip_suffix('.').unwrap_or(word).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        // The last label of a name is no number: that would be an address.
        let is_name = name.len() <= 253
            && name.contains('.')
            && name.split('.').all(is_label)
            && !name.ends_with(|last: char| last.is_ascii_digit());
        if !is_name {
            return Err(format!(
                "'{word}' is neither a name such as dns.example.com, nor an address or network such as 192.0.2.0/24"
            ));
        }
        match name.as_bytes().last_chunk() {
            Some(end) => {
                self.ends.insert(*end);
            }
            None => self.has_short = true,
        }
        if let Some(other) = self.names.insert(name.into(), operator) {
            return Err(format!(
                "'{word}' is {}'s already",
                self.operator_name(other)
            ));
        }
        Ok(())
    }

    fn add_network(&mut self, network: IpNet, operator: Operator) -> Result<(), String> {
        let network = network.trunc();
        let shortest = match network {
            IpNet::V4(_) => SHORTEST_PREFIX.0,
            IpNet::V6(_) => SHORTEST_PREFIX.1,
        };
        if network.prefix_len() < shortest {
            return Err(format!(
                "{network} is larger than a resolver's network can be; expected /{shortest} or smaller"
            ));
        }
        let taken = match network {
            IpNet::V4(network) => {
                // At most 256 of them.
                let (first, last) = (network.network(), network.broadcast());
                for net in net_of_ipv4(first.octets())..=net_of_ipv4(last.octets()) {
                    self.near.insert(net);
                }
                insert(&mut self.ipv4, first, last, operator)
            }
            IpNet::V6(network) => {
                let (first, last) = (network.network(), network.broadcast());
                for net in net_of_ipv6(first.octets())..=net_of_ipv6(last.octets()) {
                    self.near.insert(net);
                }
                insert(&mut self.ipv6, first, last, operator)
            }
        };
        taken.map_err(|other| format!("{network} is {}'s already", self.operator_name(other)))
    }

    /// The operator's name.
    #[must_use]
    pub fn operator_name(&self, operator: Operator) -> &str {
        self.operators
            .get(usize::from(operator.0))
            .map_or("", |name| name)
    }

    /// The names, each of which stands for itself and all below it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(AsRef::as_ref)
    }

    /// Who runs the resolver of that name (lower case, without a final dot).
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Operator> {
        let end = name.as_bytes().last_chunk();
        if !self.has_short && !end.is_some_and(|end| self.ends.contains(end)) {
            return None;
        }
        let mut rest = name;
        loop {
            if let Some(operator) = self.names.get(rest) {
                return Some(*operator);
            }
            (_, rest) = rest.split_once('.')?;
        }
    }

    /// Who runs the resolver of that address.
    #[must_use]
    pub fn by_address(&self, address: IpAddr) -> Option<Operator> {
        match address {
            IpAddr::V4(address) => find(&self.ipv4, address),
            IpAddr::V6(address) => find(&self.ipv6, address),
        }
    }

    /// Whether an IPv4 address may be a resolver's: never false where it is.
    #[inline]
    #[must_use]
    pub fn may_hold_ipv4(&self, address: [u8; 4]) -> bool {
        self.near.holds(net_of_ipv4(address))
    }

    /// The same for an IPv6 address.
    #[inline]
    #[must_use]
    pub fn may_hold_ipv6(&self, address: [u8; 16]) -> bool {
        self.near.holds(net_of_ipv6(address))
    }

    /// The same for either.
    #[must_use]
    pub fn may_hold(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.may_hold_ipv4(address.octets()),
            IpAddr::V6(address) => self.may_hold_ipv6(address.octets()),
        }
    }
}

/// Puts a network into its place among others; gives the operator of one that overlaps it.
fn insert<A: Ord + Copy>(
    list: &mut Vec<(A, A, Operator)>,
    first: A,
    last: A,
    operator: Operator,
) -> Result<(), Operator> {
    let place = list.partition_point(|(other, ..)| *other <= first);
    let before = place.checked_sub(1).and_then(|before| list.get(before));
    let after = list.get(place);
    match (before, after) {
        (Some((_, end, other)), _) if *end >= first => Err(*other),
        (_, Some((start, _, other))) if *start <= last => Err(*other),
        _ => {
            list.insert(place, (first, last, operator));
            Ok(())
        }
    }
}

/// The operator of the network that holds an address.
fn find<A: Ord + Copy>(list: &[(A, A, Operator)], address: A) -> Option<Operator> {
    let after = list.partition_point(|(first, ..)| *first <= address);
    let (_, last, operator) = list.get(after.checked_sub(1)?)?;
    (address <= *last).then_some(*operator)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> KnownResolvers {
        KnownResolvers::read(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    }

    fn mistakes(text: &str) -> Vec<(u32, String)> {
        let list = KnownResolvers::read(text).err().unwrap_or_default();
        list.into_iter()
            .map(|mistake| (mistake.line, mistake.message))
            .collect()
    }

    #[test]
    fn the_embedded_list_is_sound() {
        let known = KnownResolvers::embedded().unwrap();
        let operator = |name| known.by_name(name).map(|found| known.operator_name(found));
        let at = |address: &str| {
            let found = known.by_address(address.parse().unwrap());
            found.map(|found| known.operator_name(found))
        };
        for (name, address, expected) in [
            ("mozilla.cloudflare-dns.com", "162.159.61.4", "Cloudflare"),
            ("one.one.one.one", "1.1.1.1", "Cloudflare"),
            ("dns.google", "2001:4860:4860::8844", "Google"),
            ("dns.quad9.net", "9.9.9.9", "Quad9"),
            ("doh.opendns.com", "146.112.41.2", "OpenDNS"),
            ("abc123.dns.nextdns.io", "45.90.28.123", "NextDNS"),
            ("dns.nextdns.io", "2a07:a8c1::7d:7d77", "NextDNS"),
            ("dns.adguard-dns.com", "94.140.15.15", "AdGuard"),
        ] {
            assert_eq!(operator(name), Some(expected), "{name}");
            assert_eq!(at(address), Some(expected), "{address}");
        }
        // A canary is no resolver, and neither are the operators' other names and addresses.
        for name in [
            "use-application-dns.net",
            "google.com",
            "www.google",
            "adns.google",
            "quad9.net",
            "cloudflare.com",
            "nextdns.io",
        ] {
            assert_eq!(operator(name), None, "{name}");
        }
        for address in ["1.1.1.4", "8.8.8.9", "104.16.1.1", "2606:4700::1111", "::"] {
            assert_eq!(at(address), None, "{address}");
        }
        assert!(
            known.names().all(|name| name.len() >= 8),
            "shorter names make the look at every name slower"
        );
        assert!(known.ipv4.len() > 80 && known.ipv6.len() > 60);
    }

    #[test]
    fn names_stand_for_all_below_them() {
        let known = read(
            "[A]\nDNS.example.com. 192.0.2.1 # a comment\n\n[B b]\n\tdns.example 2001:db8::/48",
        );
        let operator = |name| known.by_name(name).map(|found| known.operator_name(found));
        assert_eq!(operator("dns.example.com"), Some("A"));
        assert_eq!(operator("x.y.dns.example.com"), Some("A"));
        assert_eq!(operator("xdns.example.com"), None);
        assert_eq!(operator("example.com"), None);
        assert_eq!(operator("dns.example"), Some("B b"));
        assert_eq!(operator(""), None);
        let short = read("[C]\nq.to");
        let operator = |name| short.by_name(name).map(|found| short.operator_name(found));
        assert_eq!(
            (
                operator("q.to"),
                operator("x.q.to"),
                operator("a-longer-name.q.to")
            ),
            (Some("C"), Some("C"), Some("C"))
        );
        assert_eq!((operator("to"), operator("xq.to")), (None, None));
        let mut names: Vec<&str> = known.names().collect();
        names.sort_unstable();
        assert_eq!(names, ["dns.example", "dns.example.com"]);
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let list = mistakes(
            "early.example.com\n[A\n[A]\n[A]\n[B]\nlocalhost http://x/ *.example.com 192.0.2.300\n10.0.0.0/8 2001:db8::/39 10.1.0.0/16\n[C]\n10.1.2.3 a.example.com\na.example.com.",
        );
        let expected = [
            (1, "'early.example.com' stands below no operator"),
            (2, "'[A' is no operator"),
            (4, "'A' stands here twice"),
            (6, "'localhost' is neither a name"),
            (6, "'http://x/' is neither a name"),
            (6, "'*.example.com' is neither a name"),
            (6, "'192.0.2.300' is neither a name"),
            (
                7,
                "10.0.0.0/8 is larger than a resolver's network can be; expected /16 or smaller",
            ),
            (
                7,
                "2001:db8::/39 is larger than a resolver's network can be; expected /40 or smaller",
            ),
            (9, "10.1.2.3/32 is B's already"),
            (10, "'a.example.com.' is C's already"),
        ];
        assert_eq!(list.len(), expected.len(), "{list:#?}");
        for ((line, message), (expected_line, expected)) in list.iter().zip(expected) {
            assert_eq!(*line, expected_line, "{message}");
            assert!(message.starts_with(expected), "{message}");
        }
        assert!(mistakes("").is_empty(), "no resolver at all is a list, too");
        assert_eq!(mistakes(&" ".repeat(LARGEST + 1)).len(), 1);
    }

    proptest! {
        /// Networks anywhere, and addresses near them: as looking at one network after the other says.
        #[test]
        fn addresses_are_found_as_by_the_naive_search(
            networks in prop::collection::vec((any::<u32>(), 16_u8..=32, any::<bool>()), 0..30),
            probes in prop::collection::vec((any::<prop::sample::Index>(), -300_i64..300), 1..50),
        ) {
            let mut known = KnownResolvers::default();
            let operator = known.add_operator("A]").unwrap();
            let mut taken: Vec<IpNet> = Vec::new();
            for (bits, length, is_ipv6) in networks {
                let network: IpNet = if is_ipv6 {
                    // The same bits in the middle of an IPv6 address, so that some prefixes are long and some short.
                    let address = Ipv6Addr::from_bits(0x2001_u128 << 112 | u128::from(bits) << 64);
                    ipnet::Ipv6Net::new(address, length * 2 + 16).unwrap().into()
                } else {
                    ipnet::Ipv4Net::new(Ipv4Addr::from_bits(bits), length).unwrap().into()
                };
                if network.prefix_len() < 40 && is_ipv6 {
                    continue;
                }
                let overlaps = taken.iter().any(|other| other.contains(&network) || network.contains(other));
                prop_assert_eq!(known.add_network(network, operator).is_err(), overlaps);
                if !overlaps {
                    taken.push(network.trunc());
                }
            }
            for (which, offset) in probes {
                let base = if taken.is_empty() {
                    IpAddr::from([10, 0, 0, 0])
                } else {
                    let network = which.get(&taken);
                    if offset % 2 == 0 { network.network() } else { network.broadcast() }
                };
                let address: IpAddr = match base {
                    IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits().wrapping_add_signed(offset as i32)).into(),
                    IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().wrapping_add_signed(i128::from(offset))).into(),
                };
                let expected = taken.iter().any(|network| network.contains(&address));
                prop_assert_eq!(known.by_address(address).is_some(), expected, "{}", address);
                prop_assert!(known.may_hold(address) || !expected, "{}", address);
            }
        }
    }
}
