use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::frame::{Decoder, Ports};
use crate::packet::{LinkType, Packet};
use crate::wide::{Processor, Work};

/// A message between two ports and its answer.
fn both<A: Address>([src, dst]: [A; 2], ports: [u16; 2], id: u16) -> [Between<A>; 2] {
    let between = |client, resolver, is_response| Between {
        client,
        resolver,
        transport: Transport::Udp,
        id,
        is_response,
        multicast: (None, false),
    };
    let [src, dst] = [(src, ports[0]), (dst, ports[1])];
    [between(src, dst, false), between(src, dst, true)]
}

/// Wants names with an `x`.
struct WithX;

impl Interest for WithX {
    fn wants(&self, question: &mut Question) -> bool {
        question.name_or_unknown().contains(&b'x')
    }
}

/// The look at the message of a plain packet, by the processor's own registers or not.
struct Look<'a>(&'a mut Reader, &'a Plain<'a>, &'a mut Vec<Arrival>);

impl Work for Look<'_> {
    type Output = Option<bool>;

    #[inline(always)]
    fn run(self, lanes: impl Lanes) -> Option<bool> {
        let Self(reader, plain, arrivals) = self;
        reader.read_plain(Timestamp::from_nanos(7), plain, &WithX, lanes, arrivals)
    }
}

/// An Ethernet packet with a message over UDP.
fn packet(
    v6: bool,
    vlan: Option<u16>,
    addresses: &[u8; 32],
    ports: [u16; 2],
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    if let Some(vlan) = vlan {
        bytes.extend([0x81, 0x00]);
        bytes.extend(vlan.to_be_bytes());
    }
    let udp = (8 + payload.len()) as u16;
    if v6 {
        bytes.extend([0x86, 0xDD, 0x60, 0, 0, 0]);
        bytes.extend(udp.to_be_bytes());
        bytes.extend([17, 64]);
        bytes.extend(addresses);
    } else {
        bytes.extend([0x08, 0x00, 0x45, 0]);
        bytes.extend((20 + udp).to_be_bytes());
        bytes.extend([0xAB, 0xCD, 0x40, 0, 64, 17, 0, 0]);
        bytes.extend(&addresses[..8]);
    }
    for number in [ports[0], ports[1], udp, 0] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

proptest! {
    /// A query may come in a plain packet and its response in another, of which the addresses' version is not known before.
    #[test]
    fn a_key_is_one_whether_the_version_is_known_or_not(
        v4 in any::<[[u8; 4]; 2]>(), v6 in any::<[[u8; 16]; 2]>(), ports in any::<[u16; 2]>(), id: u16,
    ) {
        let keyed = Keyed::default();
        let known = both(v4, ports, id).map(|between| keyed.key(&between));
        let either = both(v4.map(IpAddr::from), ports, id).map(|between| keyed.key(&between));
        prop_assert_eq!(known, either);
        prop_assert_eq!(known[0], known[1]);
        let known = both(v6, ports, id).map(|between| keyed.key(&between));
        let either = both(v6.map(IpAddr::from), ports, id).map(|between| keyed.key(&between));
        prop_assert_eq!(known, either);
        prop_assert_eq!(known[0], known[1]);
        // The keys are this run's own.
        let others = Keyed::default();
        prop_assert_ne!(both(v4, ports, id).map(|between| others.key(&between)), either);
    }

    /// The look at a plain packet gives what the look at any message does, in wide registers and without them.
    #[test]
    fn one_message_is_one_arrival_however_it_is_looked_at(
        v6: bool,
        vlan in prop::option::of(any::<u16>()),
        addresses in any::<[u8; 32]>(),
        other in prop_oneof![Just(53), Just(5353), Just(5355), any::<u16>()],
        dns in prop_oneof![Just(53_u16), Just(5353), Just(5355)],
        swapped: bool,
        header in prop::collection::vec(any::<u8>(), 4),
        questions in 0_u16..3,
        labels in prop::collection::vec(prop::collection::vec(prop_oneof![20 => b'A'..=b'z', 1 => any::<u8>()], 1..20), 0..6),
        after in prop::collection::vec(any::<u8>(), 0..300),
        change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut payload = header;
        payload.extend(questions.to_be_bytes());
        payload.extend([0; 6]);
        for label in &labels {
            payload.push(label.len() as u8);
            payload.extend(label);
        }
        payload.push(0);
        payload.extend(after);
        if let Some((place, byte)) = change {
            let place = place.index(payload.len());
            payload[place] = byte;
        }
        let ports = if swapped { [other, dns] } else { [dns, other] };
        let bytes = packet(v6, vlan, &addresses, ports, &payload);
        let packet = Packet {
            time: Timestamp::from_nanos(7),
            input: 0,
            number: 1,
            link: LinkType(1),
            wire_len: bytes.len() as u32,
            bytes: &bytes,
        };
        let decoder = Decoder::new(Ports::new(&Ports::DEFAULT));
        let Some(plain) = decoder.decode_plain(&packet) else {
            // The header of a message is missing.
            prop_assert!(payload.len() < 12);
            return Ok(());
        };
        let mut reader = Reader::default();
        let envelope = Envelope::of_plain(&plain, &packet);
        let expected = reader.read(&envelope, plain.payload, &WithX).unwrap();
        for processor in [Processor::ANY, Processor::detect()] {
            let mut arrivals = Vec::new();
            let is_kept = processor.run(Look(&mut reader, &plain, &mut arrivals)).unwrap();
            prop_assert_eq!(is_kept, expected.kept.is_some());
            let mut arrival = arrivals.pop().unwrap();
            if is_kept {
                reader.keep(&mut arrival, &envelope, plain.payload);
            }
            prop_assert_eq!(format!("{arrival:?}"), format!("{expected:?}"));
        }
    }

    /// A copy is known by its whole message: each byte counts, and the length.
    #[test]
    fn another_message_has_another_hash(
        message in prop::collection::vec(any::<u8>(), 12..400),
        place in any::<prop::sample::Index>(),
        with in 1_u8..,
    ) {
        let keyed = Keyed::default();
        let hash = keyed.payload(&message);
        prop_assert_eq!(keyed.payload(&message.clone()), hash);
        let mut other = message.clone();
        other[place.index(message.len())] ^= with;
        prop_assert_ne!(keyed.payload(&other), hash);
        prop_assert_ne!(keyed.payload(&message[..message.len() - 1]), hash);
        let longer = [&message[..], &[0]].concat();
        prop_assert_ne!(keyed.payload(&longer), hash);
        prop_assert_ne!(Keyed::default().payload(&message), hash);
    }
}

/// As many queries as wait together on a busy line, all to one resolver and for one name: no two have one key. Of a hash of
/// 32 bits, some of them would.
#[test]
fn keys_to_one_resolver_are_told_apart() {
    let keyed = Keyed::default();
    let mut keys = HashSet::new();
    for number in 0..300_000_u32 {
        let client = (0x0A00_0000 + number / 100).to_be_bytes();
        let [query, _] = both(
            [client, [127, 0, 0, 1]],
            [40_000, 53],
            (number % 100) as u16,
        );
        assert!(keys.insert(keyed.key(&query)), "{number}");
    }
}

/// No more memory stays than is said, whatever the messages were.
#[test]
fn what_is_spare_is_bounded() {
    let mut spare = Spare::default();
    let layers = Layers::default();
    let envelope = Envelope {
        time: Timestamp::MIN,
        input: 0,
        number: 1,
        src: IpAddr::from([10, 0, 0, 1]),
        dst: IpAddr::from([10, 0, 0, 53]),
        src_port: 40_000,
        dst_port: 53,
        transport: Transport::Udp,
        ip_id: None,
        around: Around::Layers(&layers),
        missing: 0,
        fragment_missing: false,
    };
    let key = Between::new(&envelope, &Header::read(&[0; 12]).unwrap()).key();
    let kept: Vec<Box<Kept>> = (0..2_000)
        .map(|len| Spare::default().keep(key, &envelope, &vec![7; len]))
        .collect();
    for kept in kept {
        spare.give(kept);
    }
    assert_eq!(
        spare.len(),
        Spare::BYTES + 1,
        "those with more bytes are given up"
    );
    let mut others = spare.clone();
    spare.append(&mut others);
    spare.append(&mut others);
    assert_eq!((spare.len(), others.len()), (Spare::MOST, 0));
    for len in [0, 1, 300] {
        let kept = spare.keep(key, &envelope, &vec![9; len]);
        assert_eq!(
            (kept.bytes.as_slice(), kept.side().missing),
            (vec![9; len].as_slice(), 0)
        );
    }
    assert_eq!(spare.len(), Spare::MOST - 3);
}
