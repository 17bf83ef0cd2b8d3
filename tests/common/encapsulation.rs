//! Every encapsulation that can be taken off, put on: one list, for the tests of the layers, of events and of live capture.

#![allow(dead_code, reason = "each test uses its part of it")]

use std::collections::BTreeMap;

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};

/// Who asks and who is asked, over IPv4 and over IPv6.
pub(crate) const CLIENT: [u8; 4] = [192, 0, 2, 1];
pub(crate) const RESOLVER: [u8; 4] = [192, 0, 2, 53];
pub(crate) const CLIENT6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub(crate) const RESOLVER6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53];
/// The client's port.
pub(crate) const CLIENT_PORT: u16 = 4321;
/// The hardware addresses in every Ethernet header: the client's side, the resolver's side.
pub(crate) const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
/// The ends of the tunnels.
const ENDS: [[u8; 4]; 2] = [[198, 51, 100, 1], [198, 51, 100, 2]];
const ENDS6: [[u8; 16]; 2] = [
    [0x20, 1, 0xd, 0xb8, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0x20, 1, 0xd, 0xb8, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
];
/// The port of a tunnel's end that is not the tunnel's number.
const END_PORT: u16 = 50_000;

/// How a packet goes through a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Whether the outer IP is version 6, where there is one.
    pub(crate) v6: bool,
    /// Whether it goes from the resolver to the client.
    pub(crate) back: bool,
}

impl Way {
    /// From the client to the resolver.
    pub(crate) const fn there(v6: bool) -> Self {
        Self { v6, back: false }
    }

    /// Two things that stand for the client's and the resolver's side, the sender's first.
    fn order<T>(self, [client, resolver]: [T; 2]) -> [T; 2] {
        if self.back {
            [resolver, client]
        } else {
            [client, resolver]
        }
    }

    /// A number that each direction has another of.
    const fn number(self) -> u8 {
        if self.back { 9 } else { 7 }
    }
}

/// An IP packet or an Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrapped {
    Ip(Vec<u8>),
    Ethernet(Vec<u8>),
}

impl Wrapped {
    pub(crate) fn into_ethernet(self, way: Way) -> Vec<u8> {
        match self {
            Self::Ip(ip) => ethernet(way, ether_type_of(&ip), &ip),
            Self::Ethernet(bytes) => bytes,
        }
    }

    /// The link type that it is a packet of, and its bytes.
    pub(crate) fn link(&self) -> (i32, &[u8]) {
        match self {
            Self::Ip(bytes) => (101, bytes),
            Self::Ethernet(bytes) => (1, bytes),
        }
    }

    /// An IP packet in fragments of so many bytes of payload; another one as it is.
    pub(crate) fn split(self, id: u32, size: usize) -> Vec<Self> {
        match self {
            Self::Ip(ip) => split(&ip, id, size).into_iter().map(Self::Ip).collect(),
            ethernet @ Self::Ethernet(_) => vec![ethernet],
        }
    }
}

/// What an encapsulation can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    Ip,
    Ipv6,
    Ethernet,
}

/// Puts an encapsulation on.
type Wrap = Box<dyn Fn(&[u8], Way) -> Wrapped>;

/// An encapsulation: what it is called, what the event names, what it can carry, how it is put on.
pub(crate) struct Encapsulation {
    pub(crate) what: &'static str,
    names: &'static [&'static str],
    pub(crate) vlans: &'static [u16],
    pub(crate) carries: Carries,
    /// Whether it brings an IP header of its own, of either version.
    pub(crate) over_ip: bool,
    wrap: Wrap,
}

impl Encapsulation {
    /// Puts it on; `None` where it cannot carry that.
    pub(crate) fn wrap(&self, inside: &Wrapped, way: Way) -> Option<Wrapped> {
        match (self.carries, inside) {
            (Carries::Ethernet, _) => Some((self.wrap)(&inside.clone().into_ethernet(way), way)),
            (Carries::Ip, Wrapped::Ip(ip)) => Some((self.wrap)(ip, way)),
            (Carries::Ipv6, Wrapped::Ip(ip)) if ip[0] >> 4 == 6 => Some((self.wrap)(ip, way)),
            _ => None,
        }
    }

    /// What the event names, the four kinds of IP in IP told apart by what is outside and inside.
    pub(crate) fn names(&self, inside: &Wrapped, way: Way) -> Vec<&'static str> {
        let is_v6 = matches!(inside, Wrapped::Ip(ip) if ip[0] >> 4 == 6);
        self.names
            .iter()
            .map(|&name| match (name, way.v6, is_v6) {
                ("ip in ip", false, false) => "ipip",
                ("ip in ip", false, true) => "ip6in4",
                ("ip in ip", true, false) => "ip4in6",
                ("ip in ip", true, true) => "ip6in6",
                _ => name,
            })
            .collect()
    }
}

pub(crate) fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(crate) fn ether_type_of(ip: &[u8]) -> u16 {
    if ip[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}

pub(crate) fn ethernet(way: Way, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let [src, dst] = way.order(MACS);
    joined(&[&dst, &src, &ether_type.to_be_bytes(), payload])
}

/// A UDP datagram between client and resolver in an IP packet of either version.
pub(crate) fn datagram(way: Way, payload: &[u8]) -> Vec<u8> {
    let [src_port, dst_port] = way.order([CLIENT_PORT, 53]);
    let mut bytes = Vec::new();
    if way.v6 {
        let [src, dst] = way.order([CLIENT6, RESOLVER6]);
        PacketBuilder::ipv6(src, dst, 64)
            .udp(src_port, dst_port)
            .write(&mut bytes, payload)
            .unwrap();
    } else {
        let [src, dst] = way.order([CLIENT, RESOLVER]);
        PacketBuilder::ipv4(src, dst, 64)
            .udp(src_port, dst_port)
            .write(&mut bytes, payload)
            .unwrap();
    }
    bytes
}

/// An IP packet of either version between the ends of a tunnel.
pub(crate) fn outer(way: Way, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = u16::try_from(payload.len()).unwrap();
    if way.v6 {
        let [source, destination] = way.order(ENDS6);
        Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: length,
            next_header: IpNumber(protocol),
            hop_limit: 64,
            source,
            destination,
        }
        .write(&mut bytes)
        .unwrap();
    } else {
        let [source, destination] = way.order(ENDS);
        Ipv4Header::new(length, 64, IpNumber(protocol), source, destination)
            .unwrap()
            .write(&mut bytes)
            .unwrap();
    }
    bytes.extend(payload);
    bytes
}

fn udp(way: Way, ports: [u16; 2], payload: &[u8]) -> Wrapped {
    let length = u16::try_from(payload.len() + 8).unwrap();
    let header = [ports[0], ports[1], length, 0]
        .map(u16::to_be_bytes)
        .concat();
    Wrapped::Ip(outer(way, 17, &joined(&[&header, payload])))
}

/// A tunnel whose number is the destination's port, in both directions.
pub(crate) fn outer_udp(way: Way, port: u16, payload: &[u8]) -> Wrapped {
    udp(way, [END_PORT, port], payload)
}

/// A tunnel between a client's port and a server's.
fn served_udp(way: Way, port: u16, payload: &[u8]) -> Wrapped {
    udp(way, way.order([END_PORT, port]), payload)
}

/// The part of an IP packet's payload from `from` to `to` as a fragment.
pub(crate) fn piece(ip: &[u8], id: u32, from: usize, to: usize) -> Vec<u8> {
    let is_v6 = ip[0] >> 4 == 6;
    let (header, payload) = ip.split_at(if is_v6 { 40 } else { 20 });
    let more = u16::from(to < payload.len());
    let offset = u16::try_from(from).unwrap();
    let mut bytes = header.to_vec();
    if is_v6 {
        bytes[6] = 44;
        bytes[4..6].copy_from_slice(&u16::try_from(to - from + 8).unwrap().to_be_bytes());
        bytes.extend([header[6], 0]);
        bytes.extend((offset | more).to_be_bytes());
        bytes.extend(id.to_be_bytes());
    } else {
        bytes[2..4].copy_from_slice(&u16::try_from(to - from + 20).unwrap().to_be_bytes());
        bytes[4..6].copy_from_slice(&u16::try_from(id).unwrap().to_be_bytes());
        bytes[6..8].copy_from_slice(&((offset / 8) | (more << 13)).to_be_bytes());
        let checksum = Ipv4Header::from_slice(&bytes)
            .unwrap()
            .0
            .calc_header_checksum();
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes.extend(&payload[from..to]);
    bytes
}

/// An IP packet in fragments of at most `size` bytes.
pub(crate) fn split(ip: &[u8], id: u32, size: usize) -> Vec<Vec<u8>> {
    let length = ip.len() - if ip[0] >> 4 == 6 { 40 } else { 20 };
    (0..length)
        .step_by(size)
        .map(|from| piece(ip, id, from, (from + size).min(length)))
        .collect()
}

/// Encapsulations in one another, the inner first, each with whether the IP that it brings is version 6.
pub(crate) type Chain<'a> = [(&'a Encapsulation, bool)];

/// What must be counted of the packets that were made.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) packets: u64,
    /// How often each encapsulation is taken off.
    pub(crate) tunnels: BTreeMap<String, u64>,
    /// Packets that are joined of fragments.
    pub(crate) joined: u64,
    /// Packets that were split, which gives them their identifications.
    split: u32,
}

/// Which packets are split: bare, and behind each encapsulation, the inner first.
pub(crate) struct Split<'a> {
    pub(crate) at: &'a [bool],
    /// Bytes of payload in a fragment.
    pub(crate) size: usize,
}

/// The frames of a message in a chain, and the names of its layers, outer first; `None` where an encapsulation cannot carry
/// what it is given, or where something is to be split that is no IP packet.
pub(crate) fn frames(
    message: &[u8],
    exchange: Way,
    chain: &Chain<'_>,
    split: &Split<'_>,
    counts: &mut Counts,
) -> Option<(Vec<Vec<u8>>, Vec<&'static str>)> {
    let mut items = vec![Wrapped::Ip(datagram(exchange, message))];
    let (mut names, mut taken, mut joined) = (Vec::new(), Vec::new(), 0);
    for level in 0..=chain.len() {
        if let Some(&(encapsulation, v6)) = level.checked_sub(1).map(|before| &chain[before]) {
            let way = Way { v6, ..exchange };
            let here = encapsulation.names(&items[0], way);
            taken.push((here.clone(), items.len() as u64));
            names.splice(0..0, here);
            items = items
                .iter()
                .map(|item| encapsulation.wrap(item, way))
                .collect::<Option<_>>()?;
        }
        if split.at.get(level) == Some(&true) {
            let mut pieces = Vec::new();
            for item in items {
                if !matches!(item, Wrapped::Ip(_)) {
                    return None;
                }
                counts.split = counts.split % 65_000 + 1;
                let of_it = item.split(counts.split, split.size);
                joined += u64::from(of_it.len() > 1);
                pieces.extend(of_it);
            }
            items = pieces;
        }
    }
    for (here, count) in taken {
        for name in here {
            *counts.tunnels.entry(name.replace('-', "_")).or_default() += count;
        }
    }
    counts.joined += joined;
    counts.packets += items.len() as u64;
    let frames = items.into_iter().map(|item| item.into_ethernet(exchange));
    Some((frames.collect(), names))
}

/// The VLANs of a chain, outer first.
pub(crate) fn vlans(chain: &Chain<'_>) -> Vec<u16> {
    chain
        .iter()
        .rev()
        .flat_map(|(encapsulation, _)| encapsulation.vlans)
        .copied()
        .collect()
}

/// The versions of IP that an encapsulation can bring.
pub(crate) fn versions(encapsulation: &Encapsulation) -> &'static [bool] {
    if encapsulation.over_ip {
        &[false, true]
    } else {
        &[false]
    }
}

/// The list while it grows.
#[derive(Default)]
struct List(Vec<Encapsulation>);

impl List {
    fn add(
        &mut self,
        what: &'static str,
        names: &'static [&'static str],
        carries: Carries,
        over_ip: bool,
        wrap: impl Fn(&[u8], Way) -> Wrapped + 'static,
    ) {
        self.0.push(Encapsulation {
            what,
            names,
            vlans: &[],
            carries,
            over_ip,
            wrap: Box::new(wrap),
        });
    }

    /// A header behind IP.
    fn ip(
        &mut self,
        what: &'static str,
        names: &'static [&'static str],
        carries: Carries,
        protocol: u8,
        header: impl Fn(&[u8], Way) -> Vec<u8> + 'static,
    ) {
        self.add(what, names, carries, true, move |inside, way| {
            let header = header(inside, way);
            Wrapped::Ip(outer(way, protocol, &joined(&[&header, inside])))
        });
    }

    /// A mirror's header behind GRE: whatever is mirrored goes to the collector.
    fn mirror(
        &mut self,
        what: &'static str,
        names: &'static [&'static str],
        carries: Carries,
        header: &'static [u8],
    ) {
        self.add(what, names, carries, true, move |inside, way| {
            Wrapped::Ip(outer(Way::there(way.v6), 47, &joined(&[header, inside])))
        });
    }

    /// A header behind UDP, the port that of the destination.
    fn udp(
        &mut self,
        what: &'static str,
        names: &'static [&'static str],
        carries: Carries,
        port: u16,
        header: impl Fn(&[u8], Way) -> Vec<u8> + 'static,
    ) {
        self.add(what, names, carries, true, move |inside, way| {
            outer_udp(way, port, &joined(&[&header(inside, way), inside]))
        });
    }

    /// A header behind UDP, the port that of the server.
    fn served(
        &mut self,
        what: &'static str,
        names: &'static [&'static str],
        carries: Carries,
        port: u16,
        header: impl Fn(&[u8], Way) -> Vec<u8> + 'static,
    ) {
        self.add(what, names, carries, true, move |inside, way| {
            served_udp(way, port, &joined(&[&header(inside, way), inside]))
        });
    }

    /// A header behind an EtherType.
    fn ether(
        &mut self,
        what: &'static str,
        names: &'static [&'static str],
        carries: Carries,
        ether_type: u16,
        header: impl Fn(&[u8], Way) -> Vec<u8> + 'static,
    ) {
        self.add(what, names, carries, false, move |inside, way| {
            let header = header(inside, way);
            Wrapped::Ethernet(ethernet(way, ether_type, &joined(&[&header, inside])))
        });
    }

    /// Tags between the addresses of an Ethernet frame and its EtherType, and what stands behind the frame.
    fn tag(
        &mut self,
        what: &'static str,
        names: &'static [&'static str],
        vlans: &'static [u16],
        tags: impl Fn(Way) -> Vec<u8> + 'static,
        trailer: &'static [u8],
    ) {
        self.add(what, names, Carries::Ethernet, false, move |inside, way| {
            let (macs, rest) = inside.split_at(12);
            Wrapped::Ethernet(joined(&[macs, &tags(way), rest, trailer]))
        });
        if let Some(last) = self.0.last_mut() {
            last.vlans = vlans;
        }
    }
}

/// Every encapsulation that can be taken off, each with the variants that its header has.
pub(crate) fn encapsulations() -> Vec<Encapsulation> {
    let mut list = List::default();
    tags(&mut list);
    behind_ethernet(&mut list);
    gre(&mut list);
    behind_ip(&mut list);
    overlays(&mut list);
    l2tp(&mut list);
    list.0
}

fn tags(list: &mut List) {
    list.tag("802.1Q", &[], &[5], |_| vec![0x81, 0, 0xa0, 5], &[]);
    list.tag("802.1ad", &[], &[6], |_| vec![0x88, 0xa8, 0, 6], &[]);
    list.tag(
        "802.1Q in 802.1ad",
        &[],
        &[6, 5],
        |_| vec![0x88, 0xa8, 0, 6, 0x81, 0, 0, 5],
        &[],
    );
    list.tag(
        "many tags",
        &[],
        &[4094, 3, 2, 1],
        |_| {
            vec![
                0x93, 0, 0xef, 0xfe, 0x91, 0, 0, 3, 0x88, 0xa8, 0, 2, 0x81, 0, 0, 1,
            ]
        },
        &[],
    );
    list.tag(
        "E-tag",
        &["etag"],
        &[],
        |way| vec![0x89, 0x3f, 1, way.number(), 3, 4, 5, 6],
        &[],
    );
    list.tag(
        "VN-tag",
        &["vntag"],
        &[],
        |way| vec![0x89, 0x26, 1, way.number(), 3, 4],
        &[],
    );
    list.tag(
        "VN-tag before 802.1Q",
        &["vntag"],
        &[5],
        |way| vec![0x89, 0x26, 1, way.number(), 3, 4, 0x81, 0, 0, 5],
        &[],
    );
    list.tag(
        "MACsec in clear",
        &["macsec"],
        &[],
        |way| {
            vec![
                0x88,
                0xe5,
                0x20,
                0,
                0,
                0,
                0,
                way.number(),
                1,
                1,
                1,
                1,
                1,
                1,
                1,
                1,
            ]
        },
        &[0xee; 16],
    );
    list.tag(
        "MACsec in clear without channel",
        &["macsec"],
        &[],
        |_| vec![0x88, 0xe5, 0, 0, 0, 0, 0, 1],
        &[0xee; 16],
    );
}

fn behind_ethernet(list: &mut List) {
    use Carries::{Ethernet, Ip};
    list.ether("PBB", &["pbb"], Ethernet, 0x88e7, |_, _| vec![0, 0, 0, 7]);
    list.ether("MPLS", &["mpls"], Ip, 0x8847, |_, way| {
        vec![0, 1, 0, 64, 0, 2, 0, 64, 0, way.number(), 1, 64]
    });
    list.ether("MPLS multicast", &["mpls"], Ip, 0x8848, |_, _| {
        vec![0, 1, 1, 64]
    });
    list.ether("MPLS explicit null", &["mpls"], Ip, 0x8847, |inside, _| {
        let label_and_bottom = if inside[0] >> 4 == 4 { 0x01 } else { 0x21 };
        vec![0, 0, label_and_bottom, 64]
    });
    let pseudowire = &["mpls", "pseudowire"];
    list.ether("pseudowire", pseudowire, Ethernet, 0x8847, |_, way| {
        vec![0, way.number(), 1, 64]
    });
    list.ether(
        "pseudowire with control word",
        pseudowire,
        Ethernet,
        0x8847,
        |_, way| vec![0, way.number(), 1, 64, 0, 0, 0, 9],
    );
    list.add("PPPoE", &["pppoe"], Ip, false, |inside, way| {
        let length = u16::try_from(inside.len() + 2).unwrap().to_be_bytes();
        let header = joined(&[&[0x11, 0, 0, 7], &length, &[0, ppp_protocol(inside)]]);
        Wrapped::Ethernet(ethernet(
            way,
            0x8864,
            &joined(&[&header, inside, b"padding"]),
        ))
    });
    list.ether("NSH", &["nsh"], Ethernet, 0x894f, |_, _| {
        vec![0x0f, 0xc2, 2, 3, 0, 0, 1, 255]
    });
}

fn ppp_protocol(ip: &[u8]) -> u8 {
    if ip[0] >> 4 == 4 { 0x21 } else { 0x57 }
}

fn gre(list: &mut List) {
    use Carries::{Ethernet, Ip};
    for (what, flags, rest) in [
        ("GRE", 0x0000u16, &[][..]),
        ("GRE with checksum", 0x8000, &[1; 4]),
        ("GRE with key", 0x2000, &[2; 4]),
        ("GRE with sequence number", 0x1000, &[3; 4]),
        ("GRE with all of them", 0xb000, &[4; 12]),
        (
            "GRE with routing",
            0xf000,
            &[
                1, 1, 0, 0, 2, 2, 2, 2, 3, 3, 3, 3, 8, 0, 0, 4, 192, 0, 2, 9, 0, 0, 0, 0,
            ],
        ),
    ] {
        list.ip(what, &["gre"], Ip, 47, move |inside, _| {
            let header = [flags, ether_type_of(inside)]
                .map(u16::to_be_bytes)
                .concat();
            joined(&[&header, rest])
        });
    }
    list.ip(
        "GRE, transparent Ethernet",
        &["gre"],
        Ethernet,
        47,
        |_, _| vec![0x00, 0, 0x65, 0x58],
    );
    list.ip(
        "GRE, transparent Ethernet, key and sequence number",
        &["gre"],
        Ethernet,
        47,
        |_, _| vec![0x30, 0, 0x65, 0x58, 0, 0, 0, 7, 0, 0, 0, 1],
    );
    list.ip("NVGRE", &["nvgre"], Ethernet, 47, |_, way| {
        // The last byte is an entropy of the flow.
        vec![0x20, 0, 0x65, 0x58, 0, 0, 7, way.number()]
    });
    list.ip("GRE, MPLS", &["gre", "mpls"], Ip, 47, |_, way| {
        vec![0x00, 0, 0x88, 0x47, 0, way.number(), 1, 64]
    });
    list.ip("GRE, PPP", &["gre", "ppp"], Ip, 47, |inside, _| {
        vec![0x00, 0, 0x88, 0x0b, 0xff, 3, 0, ppp_protocol(inside)]
    });
    for (what, flags, numbers, control) in [
        ("GRE version 1", 0x3001u16, &[1; 4][..], &[0xff, 3][..]),
        ("GRE version 1 with acknowledgment", 0x3081, &[1; 8], &[]),
    ] {
        list.ip(what, &["gre", "ppp"], Ip, 47, move |inside, way| {
            let ppp = joined(&[control, &[0, ppp_protocol(inside)]]);
            let length = u16::try_from(ppp.len() + inside.len()).unwrap();
            joined(&[
                &flags.to_be_bytes(),
                &[0x88, 0x0b],
                &length.to_be_bytes(),
                &[0, way.number()],
                numbers,
                &ppp,
            ])
        });
    }
    list.mirror("ERSPAN I", &["erspan1"], Ethernet, &[0x00, 0, 0x88, 0xbe]);
    list.mirror(
        "ERSPAN II",
        &["erspan2"],
        Ethernet,
        &[
            0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0x10, 7, 0, 0, 0, 0,
        ],
    );
    list.mirror(
        "ERSPAN III",
        &["erspan3"],
        Ethernet,
        &[
            0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 7, 1, 2, 3, 4, 0, 0, 0, 0,
        ],
    );
    list.mirror(
        "ERSPAN III with subheader",
        &["erspan3"],
        Ethernet,
        &[
            0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 7, 1, 2, 3, 4, 0, 0, 0, 1, 9, 9, 9, 9, 9,
            9, 9, 9,
        ],
    );
    list.mirror(
        "ERSPAN III of IP",
        &["erspan3"],
        Ip,
        &[
            0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 7, 1, 2, 3, 4, 0, 0, 8, 0,
        ],
    );
}

fn behind_ip(list: &mut List) {
    use Carries::{Ethernet, Ip};
    list.add("IP in IP", &["ip in ip"], Ip, true, |inside, way| {
        let protocol = if inside[0] >> 4 == 4 { 4 } else { 41 };
        Wrapped::Ip(outer(way, protocol, inside))
    });
    list.ip("EtherIP", &["etherip"], Ethernet, 97, |_, _| vec![0x30, 0]);
    list.ip("MPLS in IP", &["mpls"], Ip, 137, |_, way| {
        vec![0, way.number(), 1, 64]
    });
    list.udp("MPLS in UDP", &["mpls"], Ip, 6635, |_, way| {
        vec![0, way.number(), 1, 64]
    });
}

fn overlays(list: &mut List) {
    use Carries::{Ethernet, Ip, Ipv6};
    let vxlan = |_: &[u8], _: Way| vec![8, 0, 0, 0, 0, 0, 7, 0];
    list.udp("VXLAN", &["vxlan"], Ethernet, 4789, vxlan);
    list.udp("VXLAN on 8472", &["vxlan"], Ethernet, 8472, vxlan);
    list.udp(
        "VXLAN with group policy",
        &["vxlan"],
        Ethernet,
        4789,
        |_, _| vec![0x88, 8, 0, 5, 0, 0, 7, 0],
    );
    for (port, what, of_ip) in [
        (4790, "VXLAN-GPE", "VXLAN-GPE of IP"),
        (4789, "VXLAN-GPE on 4789", "VXLAN-GPE of IP on 4789"),
        (8472, "VXLAN-GPE on 8472", "VXLAN-GPE of IP on 8472"),
    ] {
        list.udp(what, &["vxlan-gpe"], Ethernet, port, |_, _| {
            vec![0x0c, 0, 0, 3, 0, 0, 7, 0]
        });
        list.udp(of_ip, &["vxlan-gpe"], Ip, port, |inside, _| {
            let protocol = if inside[0] >> 4 == 4 { 1 } else { 2 };
            vec![0x0c, 0, 0, protocol, 0, 0, 7, 0]
        });
    }
    list.udp(
        "VXLAN-GPE without protocol",
        &["vxlan-gpe"],
        Ethernet,
        4790,
        |_, _| vec![0x08, 0, 0, 0, 0, 0, 7, 0],
    );
    list.udp(
        "NSH in VXLAN-GPE",
        &["vxlan-gpe", "nsh"],
        Ethernet,
        4790,
        |_, _| {
            vec![
                0x0c, 0, 0, 4, 0, 0, 7, 0, 0x0f, 0xc6, 1, 3, 0, 0, 1, 255, 1, 1, 1, 1, 2, 2, 2, 2,
                3, 3, 3, 3, 4, 4, 4, 4,
            ]
        },
    );
    list.udp("Geneve", &["geneve"], Ethernet, 6081, |_, _| {
        vec![0, 0, 0x65, 0x58, 0, 0, 7, 0]
    });
    list.udp(
        "Geneve with options",
        &["geneve"],
        Ethernet,
        6081,
        |_, _| vec![2, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 1, 0x80, 1, 9, 9, 9, 9],
    );
    list.udp(
        "Geneve of IP with options",
        &["geneve"],
        Ip,
        6081,
        |inside, _| {
            let [high, low] = ether_type_of(inside).to_be_bytes();
            vec![
                3, 0, high, low, 0, 0, 7, 0, 1, 1, 0x80, 2, 9, 9, 9, 9, 9, 9, 9, 9,
            ]
        },
    );
    for (what, flags, rest) in [
        ("GTP-U", 0x30u8, &[][..]),
        ("GTP-U with sequence number", 0x32, &[0, 1, 0, 0]),
        (
            "GTP-U with extensions",
            0x36,
            &[0, 1, 0, 0x85, 1, 0, 9, 0xc0, 2, 0, 0, 0, 0, 0, 0, 0],
        ),
    ] {
        list.udp(what, &["gtp-u"], Ip, 2152, move |inside, way| {
            let length = u16::try_from(rest.len() + inside.len())
                .unwrap()
                .to_be_bytes();
            joined(&[&[flags, 255], &length, &[0, 0, 0, way.number()], rest])
        });
    }
    for (what, header) in [
        ("Teredo", &[][..]),
        (
            "Teredo with authentication",
            &[0, 1, 2, 3, 1, 1, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        ("Teredo with origin", &[0, 0, 1, 1, 2, 2, 2, 2]),
        (
            "Teredo with both",
            &[
                0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2,
            ],
        ),
    ] {
        list.served(what, &["teredo"], Ipv6, 3544, move |_, _| header.to_vec());
    }
    for (what, header) in [
        ("TZSP", &[1u8, 0, 0, 1, 1][..]),
        (
            "TZSP with tags",
            &[1, 0, 0, 1, 10, 1, 0xc4, 0, 41, 2, 1, 1, 1],
        ),
    ] {
        list.add(what, &["tzsp"], Ethernet, true, move |inside, way| {
            outer_udp(Way::there(way.v6), 37008, &joined(&[header, inside]))
        });
    }
    list.add("TZSP of 802.11", &["tzsp"], Ip, true, |inside, way| {
        let [src, dst] = way.order(MACS);
        // A data frame to the access point.
        let header = joined(&[&[0x08, 0x01, 0, 0], &[1; 6], &src, &dst, &[0, 0]]);
        let snap = joined(&[
            &[0xaa, 0xaa, 3, 0, 0, 0],
            &ether_type_of(inside).to_be_bytes(),
        ]);
        outer_udp(
            Way::there(way.v6),
            37008,
            &joined(&[&[1, 0, 0, 18, 1], &header, &snap, inside]),
        )
    });
}

fn l2tp(list: &mut List) {
    use Carries::{Ethernet, Ip};
    /// Words for each header: of Ethernet and of IP, straight in IP and in UDP.
    type Whats = [&'static str; 4];
    for (whats, rest) in [
        (
            [
                "L2TPv3",
                "L2TPv3 of IP",
                "L2TPv3 in UDP",
                "L2TPv3 of IP in UDP",
            ] as Whats,
            &[][..],
        ),
        (
            [
                "L2TPv3 with sublayer",
                "L2TPv3 with sublayer, of IP",
                "L2TPv3 with sublayer, in UDP",
                "L2TPv3 with sublayer, of IP in UDP",
            ],
            &[0x40u8, 0, 0, 1],
        ),
        (
            [
                "L2TPv3 with cookie",
                "L2TPv3 with cookie, of IP",
                "L2TPv3 with cookie, in UDP",
                "L2TPv3 with cookie, of IP in UDP",
            ],
            &[9; 8],
        ),
        (
            [
                "L2TPv3 with cookie and sublayer",
                "L2TPv3 with cookie and sublayer, of IP",
                "L2TPv3 with cookie and sublayer, in UDP",
                "L2TPv3 with cookie and sublayer, of IP in UDP",
            ],
            &[9, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0],
        ),
    ] {
        for (at, carries) in [(0, Ethernet), (1, Ip)] {
            list.ip(whats[at], &["l2tpv3"], carries, 115, move |_, way| {
                joined(&[&[0, 0, 0, way.number()], rest])
            });
            list.served(whats[at + 2], &["l2tpv3"], carries, 1701, move |_, way| {
                joined(&[&[0, 3, 0, 0, 0, 0, 0, way.number()], rest])
            });
        }
    }
    list.served("L2TPv2", &["l2tpv2", "ppp"], Ip, 1701, |inside, way| {
        vec![
            0x00,
            2,
            0,
            way.number(),
            0,
            8,
            0xff,
            3,
            0,
            ppp_protocol(inside),
        ]
    });
    list.add(
        "L2TPv2 with everything",
        &["l2tpv2", "ppp"],
        Ip,
        true,
        |inside, way| {
            let mut bytes = joined(&[
                &[0x4a, 2, 0, 0, 0, way.number(), 0, 8, 0, 1, 0, 2, 0, 3],
                &[9, 9, 9, 0xff, 3, 0, ppp_protocol(inside)],
                inside,
            ]);
            let length = u16::try_from(bytes.len()).unwrap();
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes.extend(b"behind the end");
            served_udp(way, 1701, &bytes)
        },
    );
}
