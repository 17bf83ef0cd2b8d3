//! Fragments against a naive model.

use std::time::Duration;

use super::encapsulation::{outer, piece, split};
use super::*;
use crate::frame::fragment::{Bounds, Joining};

const SECOND: Duration = Duration::from_secs(1);

fn start() -> Timestamp {
    Timestamp::from_parts(1_700_000_000, 0)
}

/// An IP packet with a UDP datagram of `length` bytes to port 53, `seed` in its payload.
fn datagram(v6: bool, length: usize, seed: u8) -> Vec<u8> {
    let payload: Vec<u8> = (0..length)
        .map(|at| (at as u8).wrapping_mul(7).wrapping_add(seed))
        .collect();
    let mut bytes = Vec::new();
    if v6 {
        PacketBuilder::ipv6(CLIENT6, RESOLVER6, 64)
            .udp(4321, 53)
            .write(&mut bytes, &payload)
            .unwrap();
    } else {
        PacketBuilder::ipv4(CLIENT, RESOLVER, 64)
            .udp(4321, 53)
            .write(&mut bytes, &payload)
            .unwrap();
    }
    bytes
}

struct Wire {
    decoder: Decoder,
    now: Timestamp,
    sent: u64,
}

impl Wire {
    fn new() -> Self {
        Self {
            decoder: decoder(),
            now: start(),
            sent: 0,
        }
    }

    /// The payload that a packet completes.
    fn send(&mut self, link: i32, bytes: &[u8]) -> Option<Vec<u8>> {
        self.sent += 1;
        let packet = Packet {
            time: self.now,
            number: self.sent,
            ..packet(link, bytes)
        };
        let payload = self
            .decoder
            .decode(&packet)
            .map(|frame| frame.payload.to_vec());
        assert_eq!(self.decoder.stats.total(), self.sent);
        payload
    }

    fn send_all(&mut self, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        packets
            .iter()
            .filter_map(|bytes| self.send(101, bytes))
            .collect()
    }
}

fn payload(ip: &[u8]) -> Vec<u8> {
    ip[if ip[0] >> 4 == 6 { 48 } else { 28 }..].to_vec()
}

#[test]
fn in_order_and_backwards() {
    for v6 in [false, true] {
        let ip = datagram(v6, 3000, 1);
        let mut pieces = split(&ip, 7, 1000);
        let mut wire = Wire::new();
        assert_eq!(wire.send_all(&pieces), [payload(&ip)]);
        wire.now = wire.now.plus(SECOND);
        pieces.reverse();
        assert_eq!(wire.send_all(&pieces), [payload(&ip)]);
        assert_eq!(
            (wire.decoder.stats.udp, wire.decoder.stats.fragment),
            (2, 6)
        );
        assert_eq!(wire.decoder.fragment_stats().joined, 2);
        assert!(wire.decoder.next_lost().is_none());
    }
}

#[test]
fn interleaved_packets_of_many_hosts() {
    let packets: Vec<_> = (0..100u8)
        .map(|at| {
            let mut ip = datagram(at % 2 == 0, 500, at);
            let address = if at % 2 == 0 { 23 } else { 15 };
            ip[address] = at;
            ip
        })
        .collect();
    let mut pieces: Vec<_> = packets
        .iter()
        .flat_map(|ip| split(ip, 7, 64).into_iter().enumerate())
        .collect();
    pieces.sort_by_key(|(at, _)| *at);
    let pieces: Vec<_> = pieces.into_iter().map(|(_, piece)| piece).collect();
    let mut wire = Wire::new();
    assert_eq!(
        wire.send_all(&pieces),
        packets.iter().map(|ip| payload(ip)).collect::<Vec<_>>()
    );
}

#[test]
fn a_packet_that_the_mirror_shows_twice_counts_once() {
    for v6 in [false, true] {
        let ip = datagram(v6, 100, 1);
        let pieces = split(&ip, 7, 56);
        let (first, last) = (&pieces[0], &pieces[1]);
        let mut wire = Wire::new();
        for piece in [first, first, last, last, first] {
            wire.now = wire.now.plus(Duration::from_millis(1));
            wire.send(101, piece);
        }
        let stats = wire.decoder.stats;
        assert_eq!((stats.udp, stats.fragment, stats.fragment_copy), (1, 1, 3));
        // Later the same is another packet.
        wire.now = wire.now.plus(SECOND);
        assert_eq!(wire.send_all(&pieces), [payload(&ip)]);
        wire.decoder.close();
        assert_eq!(
            (
                wire.decoder.fragment_stats().joined,
                wire.decoder.fragment_stats().total()
            ),
            (2, 2)
        );
    }
}

#[test]
fn overlaps_spoil_the_packet() {
    let ip = datagram(false, 100, 1);
    let other = datagram(false, 100, 2);
    let length = 108;
    for (what, spoiler) in [
        ("the same place, another content", piece(&other, 7, 0, 56)),
        ("into the last", piece(&ip, 7, 48, 64)),
        ("within the first", piece(&ip, 7, 8, 16)),
        ("past the end", {
            let longer = datagram(false, 300, 1);
            piece(&longer, 7, 112, 120)
        }),
        ("another end", piece(&ip[..20 + 104], 7, 96, 104)),
    ] {
        let mut wire = Wire::new();
        for piece in [
            piece(&ip, 7, 0, 56),
            piece(&ip, 7, 64, length),
            spoiler,
            piece(&ip, 7, 56, 64),
        ] {
            assert_eq!(wire.send(101, &piece), None, "{what}");
        }
        assert_eq!(wire.decoder.stats.fragment_overlap, 2, "{what}");
        assert_eq!(wire.decoder.fragment_stats().overlapping, 1, "{what}");
        wire.decoder.close();
        assert_eq!(wire.decoder.fragment_stats().unfinished, 0, "{what}");
        assert!(wire.decoder.next_lost().is_none(), "{what}");
    }
}

#[test]
fn fragments_that_cannot_be() {
    let ip = datagram(false, 100, 1);
    let mut wire = Wire::new();
    // Not a multiple of eight, but not the last.
    wire.send(101, &piece(&ip, 7, 0, 57));
    // Nothing in it.
    wire.send(101, &piece(&ip, 7, 8, 8));
    // Past the end of the longest packet.
    let mut past = piece(&ip, 7, 0, 56);
    past[6..8].copy_from_slice(&0x1fff_u16.to_be_bytes());
    wire.send(101, &past);
    assert_eq!(wire.decoder.stats.malformed, 3);
}

#[test]
fn what_the_snaplen_cut() {
    let ip = datagram(false, 100, 1);
    let mut pieces = split(&ip, 7, 56);
    let mut wire = Wire::new();
    // The last one can do without its end.
    let cut = pieces[1].len() - 9;
    pieces[1].truncate(cut);
    assert_eq!(wire.send(101, &pieces[0]), None);
    let packet = Packet {
        time: wire.now,
        ..packet(101, &pieces[1])
    };
    let frame = wire.decoder.decode(&packet).unwrap();
    assert_eq!((frame.payload, frame.cut), (&payload(&ip)[..91], 9));
    // The first one cannot.
    pieces[0].truncate(50);
    let mut wire = Wire::new();
    assert_eq!(wire.send_all(&pieces), Vec::<Vec<u8>>::new());
    assert_eq!(
        (wire.decoder.stats.snaplen, wire.decoder.stats.fragment),
        (1, 1)
    );
}

#[test]
fn time_runs_out_by_the_packets_alone() {
    for (after, whole) in [
        (Duration::from_secs(30), true),
        (Duration::from_millis(30_001), false),
    ] {
        for sweep in [false, true] {
            let ip = datagram(true, 100, 1);
            let pieces = split(&ip, 7, 56);
            let mut wire = Wire::new();
            wire.send(101, &pieces[0]);
            wire.now = wire.now.plus(after);
            if sweep {
                wire.decoder.expire(wire.now);
            }
            assert_eq!(wire.send(101, &pieces[1]).is_some(), whole);
            assert_eq!(wire.decoder.fragment_stats().timed_out, u64::from(!whole));
        }
    }
    // A capture from before: what waits is not its.
    let ip = datagram(true, 100, 1);
    let pieces = split(&ip, 7, 56);
    let mut wire = Wire::new();
    wire.send(101, &pieces[0]);
    wire.now = wire.now.minus(Duration::from_secs(3600));
    assert_eq!(wire.send(101, &pieces[1]), None);
}

#[test]
fn the_beginning_of_what_was_lost_is_kept() {
    for v6 in [false, true] {
        let ip = datagram(v6, 300, 1);
        let pieces = split(&ip, 7, 104);
        let mut wire = Wire::new();
        wire.send(101, &pieces[1]);
        wire.send(101, &pieces[0]);
        assert!(wire.decoder.next_lost().is_none());
        wire.decoder.expire(wire.now.plus(SECOND * 31));
        let lost = wire.decoder.next_lost().unwrap();
        assert_eq!((lost.origin.number, lost.origin.time), (2, wire.now));
        let frame = lost.frame();
        assert_eq!(
            (frame.src_port, frame.dst_port, frame.ip_id),
            (4321, 53, (!v6).then_some(7))
        );
        assert_eq!((frame.payload, frame.cut), (&payload(&ip)[..200], 100));
        assert!(wire.decoder.next_lost().is_none());
        // Without the beginning there is nothing to show.
        wire.send(101, &pieces[2]);
        wire.decoder.close();
        assert!(wire.decoder.next_lost().is_none());
        let stats = wire.decoder.fragment_stats();
        assert_eq!((stats.timed_out, stats.unfinished), (1, 1));
    }
}

#[test]
fn other_ports_are_not_kept() {
    let mut ip = datagram(false, 3000, 1);
    ip[22..24].copy_from_slice(&2049u16.to_be_bytes());
    for reversed in [false, true] {
        let mut pieces = split(&ip, 7, 1000);
        if reversed {
            pieces.reverse();
        }
        let mut wire = Wire::new();
        assert_eq!(wire.send_all(&pieces), Vec::<Vec<u8>>::new());
        assert_eq!(
            (wire.decoder.stats.other_port, wire.decoder.stats.fragment),
            (1, 3)
        );
        wire.decoder.close();
        assert_eq!(wire.decoder.fragment_stats().total(), 0);
    }
}

#[test]
fn vlans_and_tunnels_do_not_mix() {
    let ip = datagram(false, 100, 1);
    let pieces = split(&ip, 7, 56);
    let mut wire = Wire::new();
    let tagged = |vlan: u8, ip: &[u8]| ethernet(0x8100, &joined(&[&[0, vlan], &[8, 0], ip]));
    assert_eq!(wire.send(1, &tagged(1, &pieces[0])), None);
    assert_eq!(wire.send(1, &tagged(2, &pieces[1])), None);
    assert_eq!(wire.send(101, &pieces[1]), None);
    assert_eq!(wire.send(101, &outer(WAY, 4, &pieces[1])), None);
    assert_eq!(wire.send(1, &tagged(1, &pieces[1])), Some(payload(&ip)));
    assert_eq!(
        wire.send(101, &outer(WAY, 4, &pieces[0])),
        Some(payload(&ip))
    );
}

/// The kernel may give the fragments of what is in a tunnel to several captures, each with a decoder.
#[test]
fn decoders_that_share_them_join_what_came_to_each_of_them() {
    let joining = Joining::default();
    let [mut one, mut other] = [(); 2].map(|()| {
        let mut wire = Wire::new();
        wire.decoder.fragments = joining.share();
        wire
    });
    let ip = datagram(false, 100, 1);
    assert_eq!(one.send(101, &piece(&ip, 7, 0, 48)), None);
    assert_eq!(other.send(101, &piece(&ip, 7, 48, 108)), Some(payload(&ip)));
    // What waits is given up when the last of them has ended, and counted once.
    assert_eq!(one.send(101, &piece(&ip, 8, 0, 48)), None);
    one.decoder.close();
    assert!(one.decoder.next_lost().is_none());
    other.decoder.close();
    assert!(other.decoder.next_lost().is_some());
    let [one, other] = [one, other].map(|mut wire| wire.decoder.fragment_stats());
    assert_eq!(one.joined + other.joined, 1);
    assert_eq!(one.unfinished + other.unfinished, 1);
}

#[test]
fn packets_and_bytes_are_bounded() {
    let bounds = Bounds {
        packets: 50,
        bytes: 40_000,
        lost: 10,
    };
    for (length, ids) in [(100, 200u32), (3000, 200)] {
        let ip = datagram(false, length, 1);
        let mut wire = Wire::new();
        wire.decoder.fragments = Joining::new(bounds).share();
        for id in 0..ids {
            wire.send(101, &piece(&ip, id, 0, (length - 50) / 8 * 8));
            let (packets, bytes) = wire.decoder.fragments.with(|it| it.load());
            assert!(packets <= bounds.packets && bytes <= bounds.bytes + length + 1000);
        }
        wire.decoder.close();
        assert_eq!(wire.decoder.fragments.with(|it| it.load()), (0, 0));
        let stats = wire.decoder.fragment_stats();
        assert_eq!(stats.evicted + stats.unfinished, u64::from(ids));
        assert_eq!(stats.forgotten, u64::from(ids) - 10);
    }
}

/// How often a host with all the memory in the world would join the fragments of one packet, with time standing still.
fn naive(length: usize, order: &[(usize, usize)]) -> usize {
    let mut covered: Vec<(usize, usize)> = Vec::new();
    let (mut joined, mut whole) = (0, false);
    for &(from, to) in order {
        if covered.contains(&(from, to)) {
            continue;
        }
        if whole {
            // Whatever is no copy of a fragment belongs to the next packet.
            (covered, whole) = (Vec::new(), false);
        }
        if covered.iter().any(|&(a, b)| a < to && from < b) {
            return joined;
        }
        covered.push((from, to));
        if covered.iter().map(|(a, b)| b - a).sum::<usize>() == length {
            (joined, whole) = (joined + 1, true);
        }
    }
    joined
}

proptest! {
    #[test]
    fn any_order_with_copies_and_overlaps(
        cuts in proptest::collection::btree_set(1usize..30, 0..8),
        order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..40),
        overlap in proptest::option::of((0usize..30, 1usize..30)),
        v6 in any::<bool>(),
    ) {
        // 248 bytes of IP payload, cut at multiples of eight.
        let ip = datagram(v6, 240, 3);
        let edges: Vec<usize> = std::iter::once(0).chain(cuts.iter().map(|cut| cut * 8)).chain([248]).collect();
        let mut ranges: Vec<_> = edges.windows(2).map(|pair| (pair[0], pair[1])).collect();
        if let Some((from, length)) = overlap {
            ranges.push((from * 8, (from * 8 + length * 8).min(248)));
        }
        let order: Vec<_> = order.iter().map(|index| ranges[index.index(ranges.len())]).collect();
        let mut wire = Wire::new();
        let mut found = Vec::new();
        for &(from, to) in &order {
            if (from, to) == (0, 248) {
                // Whole in one, which IPv4 has no fragment for.
                return Ok(());
            }
            found.extend(wire.send(101, &piece(&ip, 7, from, to)));
        }
        prop_assert!(found.iter().all(|found| *found == payload(&ip)), "another message");
        let expected = naive(248, &order);
        prop_assert_eq!(found.len(), expected);
        wire.decoder.close();
        let stats = wire.decoder.fragment_stats();
        prop_assert_eq!(stats.joined as usize, expected);
        let losses = stats.overlapping + stats.unfinished;
        prop_assert!(order.is_empty() || losses + stats.joined >= 1);
    }
}
