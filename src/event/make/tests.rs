//! Events of transactions that are put together of nearly sound messages: what is made in the place of another is what is made
//! alone, and what is written is what serde writes.

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;
use crate::event::Asset;
use crate::frame::{Layers, Transport, Tunnel};
use crate::transaction::Role;

/// A message with a question, records of many kinds, and EDNS; a few of its bytes changed.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        4 => "[a-zA-Z0-9-]{1,20}",
        1 => "[ -~]{1,20}",
    ];
    let data = prop_oneof![
        any::<u32>().prop_map(|address| (1_u16, address.to_be_bytes().to_vec())),
        Just((1, vec![0; 4])),
        any::<u128>().prop_map(|address| (28, address.to_be_bytes().to_vec())),
        Just((5, b"\x03Www\xC0\x0C".to_vec())),
        "[ -~]{0,40}".prop_map(|text| (16, [&[text.len() as u8], text.as_bytes()].concat())),
        (any::<u16>(), prop::collection::vec(any::<u8>(), 0..20)),
    ];
    (
        prop_oneof![Just(0x0100_u16), Just(0x8180), Just(0x8583), any::<u16>()],
        prop::collection::vec(name, 0..3),
        prop::sample::select(&[1_u16, 5, 28, 255, 4_711]),
        prop::collection::vec((data, any::<u16>()), 0..6),
        prop::option::of("[ -~]{0,12}"),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
    )
        .prop_map(|(flags, names, record_type, records, option, changes)| {
            let mut bytes = 7_u16.to_be_bytes().to_vec();
            let counts = [names.len(), records.len(), 0, usize::from(option.is_some())];
            for word in [flags].into_iter().chain(counts.map(|count| count as u16)) {
                bytes.extend(word.to_be_bytes());
            }
            for name in names {
                bytes.push(name.len() as u8);
                bytes.extend(name.bytes());
                bytes.extend(b"\x05ngrok\x02io\0");
                bytes.extend(record_type.to_be_bytes());
                bytes.extend(1_u16.to_be_bytes());
            }
            for ((record_type, data), ttl) in records {
                bytes.extend(b"\xC0\x0C");
                bytes.extend(record_type.to_be_bytes());
                bytes.extend([0, 1, 0, 0]);
                bytes.extend(ttl.to_be_bytes());
                bytes.extend((data.len() as u16).to_be_bytes());
                bytes.extend(data);
            }
            if let Some(option) = option {
                bytes.extend(b"\0\0\x29\x04\xD0\0\0\x80\0\0");
                let subnet = b"\0\x08\0\x07\0\x01\x18\0\x0A\x01\x02";
                let length = option.len() + 4 + subnet.len();
                bytes.push(length as u8);
                bytes.extend([0, 3, 0, option.len() as u8]);
                bytes.extend(option.bytes());
                bytes.extend(subnet);
            }
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes
        })
}

/// What a transaction is made of.
#[derive(Clone, Debug)]
struct Seed {
    query: Option<Vec<u8>>,
    response: Option<Vec<u8>>,
    client: IpAddr,
    resolver: IpAddr,
    time: i64,
    took: i64,
    odd: bool,
    layers: Layers,
    input: u16,
}

fn seed() -> impl Strategy<Value = Seed> {
    let address = || {
        prop_oneof![
            (0..0x200_u32).prop_map(|host| IpAddr::V4((0x0A00_0000 + host).into())),
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))),
        ]
    };
    (
        prop::option::weighted(0.9, message()),
        prop::option::weighted(0.8, message()),
        [address(), address()],
        any::<i64>(),
        prop_oneof![0..2_000_000_000_i64, any::<i64>()],
        prop::bool::weighted(0.2),
        0..4_u8,
        0..3_u16,
    )
        .prop_map(
            |(query, response, [client, resolver], time, took, odd, kind, input)| {
                let mut layers = Layers::default();
                if kind & 1 > 0 {
                    layers.macs = Some((Mac([2, 0, 0, 0xAB, 9, 0xFF]), Mac([0; 6])));
                }
                if kind & 2 > 0 {
                    layers.vlan.extend([7, 4_094]);
                    layers.tunnel.push(Tunnel::Gre);
                }
                Seed {
                    query,
                    response,
                    client,
                    resolver,
                    time,
                    took,
                    odd,
                    layers,
                    input,
                }
            },
        )
}

impl Seed {
    fn transaction(&self) -> Transaction<'_> {
        let side = |bytes, time, number| Side {
            time: Timestamp::from_nanos(time),
            input: self.input,
            number,
            bytes,
            missing: 0,
            fragment_missing: self.odd,
            layers: &self.layers,
            carried: None,
        };
        let later = self.time.saturating_add(self.took);
        Transaction {
            client: self.client,
            client_port: 40_000,
            resolver: self.resolver,
            resolver_port: 53,
            transport: Transport::Udp,
            id: 7,
            query: self.query.as_deref().map(|bytes| side(bytes, self.time, 1)),
            response: self
                .response
                .as_deref()
                .map(|bytes| side(bytes, later, 100)),
            over: Timestamp::from_nanos(later),
            retransmitted: u32::from(self.odd) * 3,
            is_late: self.odd,
            is_differing: false,
            is_response_first: false,
            is_tcp_retry: false,
            is_id_mismatch: false,
            is_port_mismatch: false,
            answered_from: self.odd.then_some(self.client),
            multicast: None,
            occurrence: 0,
            role: if self.odd {
                Role::Resolver
            } else {
                Role::Client
            },
        }
    }
}

fn maker() -> Maker {
    let list = "ip,bunit,category,priority\n10.0.0.0/24,\"a \"\"b\"\"\",x|y,high\n";
    Maker {
        sensor: Arc::from("sensor \"7\""),
        zone: Some(Arc::from("dmz")),
        assets: Assets::read(list.as_bytes(), None).unwrap(),
        sources: vec![Arc::from("eth0"), Arc::from("C:\\dns.pcap")],
        sinkholes: Vec::new(),
        ports: Ports::new(&Ports::DEFAULT),
        keeps_bytes: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_event_has_nothing_of_the_one_in_whose_place_it_is_made(seeds in prop::collection::vec(seed(), 1..8)) {
        let maker = maker();
        let (mut decoded, mut events) = (Decoded::default(), [Event::default(), Event::default()]);
        for (turn, seed) in seeds.iter().enumerate() {
            let place = &mut events[turn % 2];
            let alone = maker.event(&seed.transaction());
            let is_one = maker.fill(&seed.transaction(), &mut decoded, place);
            prop_assert_eq!(is_one, alone.is_some());
            if let Some(alone) = alone {
                prop_assert_eq!(format!("{place:?}"), format!("{alone:?}"));
            }
        }
    }

    #[test]
    fn an_event_is_written_as_serde_writes_it(seed in seed(), values in prop::collection::vec("[ -~]{0,9}", 0..3)) {
        let Some(mut event) = maker().event(&seed.transaction()) else {
            return Ok(());
        };
        if seed.odd {
            event.src_asset = Some(Arc::new(Asset::default()));
            let field = crate::event::Field::Added(crate::event::Name::of("a \"column\""));
            let values: Vec<Box<str>> = values.iter().map(|value| value.as_str().into()).collect();
            event.added.extend([true, false].map(|is_list| crate::event::Added { field, values: values.clone(), is_list }));
        }
        let mut ours = Vec::new();
        event.write_json(&mut ours).unwrap();
        prop_assert_eq!(String::from_utf8(ours).unwrap(), serde_json::to_string(&event).unwrap());
    }
}
