//! Roles: learnt from answers, from queries without RD, from what is passed on; or given.

use std::net::IpAddr;

use crate::frame::{Around, Layers, Transport};
use crate::message::{Envelope, Question};
use crate::stats::HiddenBehind;
use crate::time::Timestamp;
use crate::transaction::{Interest, Limits, NamedRoles, Pairing, Reader, Role};

struct Everything;
impl Interest for Everything {
    fn wants(&self, _: &mut Question) -> bool {
        true
    }
}

const RD: u8 = 1;
const QR: u8 = 0x80;

/// Plays messages; tells who looked what up, in which role.
struct Play {
    pairing: Pairing,
    reader: Reader,
    roles: Vec<(String, Role)>,
}

impl Play {
    fn new(resolvers: &[&str], nat: &[&str]) -> Self {
        let networks = |texts: &[&str]| -> Vec<ipnet::IpNet> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let named = NamedRoles::new(&networks(resolvers), &networks(nat));
        Self {
            pairing: Pairing::new(Limits::default(), named),
            reader: Reader::default(),
            roles: Vec::new(),
        }
    }

    /// A message about a name of one label, at that many milliseconds; the client's port tells lookups apart.
    fn message(
        &mut self,
        ms: i64,
        (client, port): (&str, u16),
        server: &str,
        flags: u8,
        name: &str,
    ) {
        let (client, server): (IpAddr, IpAddr) = (client.parse().unwrap(), server.parse().unwrap());
        let mut bytes = vec![0, 7, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.len() as u8];
        bytes.extend(name.as_bytes());
        bytes.extend([0, 0, 1, 0, 1]);
        let mut ends = [(client, port), (server, 53)];
        if flags & QR != 0 {
            ends.reverse();
        }
        let time = Timestamp::from_nanos(ms * 1_000_000);
        let envelope = Envelope {
            time,
            input: 0,
            number: 1,
            src: ends[0].0,
            dst: ends[1].0,
            src_port: ends[0].1,
            dst_port: ends[1].1,
            transport: Transport::Udp,
            ip_id: Some(ms as u16),
            around: Around::Layers(&Layers::default()),
            missing: 0,
            fragment_missing: false,
        };
        let Self {
            pairing,
            reader,
            roles,
        } = self;
        let mut arrival = reader.read(&envelope, &bytes, &Everything).unwrap();
        let mut give = |transaction: &crate::transaction::Transaction<'_>| {
            roles.push((transaction.client.to_string(), transaction.role));
        };
        pairing.advance(time, &mut give);
        pairing.push(&mut arrival, &mut give);
    }

    fn end(mut self) -> (Vec<(String, Role)>, Pairing) {
        let roles = &mut self.roles;
        self.pairing.close(&mut |transaction| {
            roles.push((transaction.client.to_string(), transaction.role))
        });
        (self.roles, self.pairing)
    }
}

const HOST: (&str, u16) = ("10.0.0.1", 4001);
const FORWARDER: (&str, u16) = ("10.0.0.53", 4053);
const WORLD: &str = "192.0.2.8";

fn role(address: (&str, u16), role: Role) -> (String, Role) {
    (address.0.to_owned(), role)
}

#[test]
fn who_answered_is_a_resolver() {
    let mut play = Play::new(&[], &[]);
    play.message(0, HOST, FORWARDER.0, RD, "a");
    play.message(1, HOST, FORWARDER.0, RD | QR, "a");
    play.message(2, FORWARDER, WORLD, RD, "b");
    play.message(3, FORWARDER, WORLD, RD | QR, "b");
    let mut learnt = Vec::new();
    play.pairing.take_resolvers(&mut learnt);
    assert_eq!(
        learnt,
        [
            FORWARDER.0.parse::<IpAddr>().unwrap(),
            WORLD.parse().unwrap()
        ]
    );
    play.pairing.take_resolvers(&mut learnt);
    assert_eq!(learnt.len(), 2, "each is told once");
    let (roles, pairing) = play.end();
    assert_eq!(
        roles,
        [role(HOST, Role::Client), role(FORWARDER, Role::Resolver)]
    );
    assert_eq!((pairing.seen().clients, pairing.seen().resolvers), (2, 2));
}

/// The forwarder's first lookup, before it has answered anybody: it asks what it was asked.
#[test]
fn who_passes_on_what_it_was_asked_is_a_resolver() {
    let mut play = Play::new(&[], &[]);
    play.message(0, HOST, FORWARDER.0, RD, "a");
    play.message(1, FORWARDER, WORLD, RD, "a");
    play.message(2, FORWARDER, WORLD, RD | QR, "a");
    // Not what it was asked.
    play.message(3, (FORWARDER.0, 4054), WORLD, RD, "b");
    play.message(4, (FORWARDER.0, 4054), WORLD, RD | QR, "b");
    // What it was asked, but long ago.
    play.message(9_000, (FORWARDER.0, 4055), WORLD, RD, "a");
    play.message(9_001, (FORWARDER.0, 4055), WORLD, RD | QR, "a");
    let (roles, _) = play.end();
    assert_eq!(
        roles,
        [
            role(FORWARDER, Role::Resolver),
            role(FORWARDER, Role::Client),
            role(HOST, Role::Client),
            role(FORWARDER, Role::Client),
        ]
    );
}

/// The mirror may show the forwarder's query a moment before the client's.
#[test]
fn a_mirror_that_swaps_the_two_queries_changes_nothing() {
    let mut play = Play::new(&[], &[]);
    play.message(0, FORWARDER, WORLD, RD, "a");
    play.message(1, HOST, FORWARDER.0, RD, "a");
    play.message(20, FORWARDER, WORLD, RD | QR, "a");
    assert_eq!(play.end().0[0], role(FORWARDER, Role::Resolver));
}

#[test]
fn who_asks_without_recursion_is_a_resolver_in_that_lookup() {
    let mut play = Play::new(&[], &[]);
    play.message(0, HOST, WORLD, 0, "a");
    play.message(1, HOST, WORLD, QR, "a");
    play.message(2, (HOST.0, 4002), WORLD, RD, "b");
    play.message(3, (HOST.0, 4002), WORLD, RD | QR, "b");
    // An update (opcode 5) has no RD either.
    play.message(4, (HOST.0, 4003), WORLD, 5 << 3, "c");
    let (roles, _) = play.end();
    assert_eq!(
        roles,
        [
            role(HOST, Role::Resolver),
            role(HOST, Role::Client),
            role(HOST, Role::Client)
        ]
    );
}

#[test]
fn roles_that_were_given_count_before_what_is_seen() {
    let mut play = Play::new(&["10.0.0.0/24", "2001:db8::/32"], &["10.0.0.7/32"]);
    for (port, src) in ["10.0.0.1", "10.0.0.7", "10.0.1.1", "2001:db8::1"]
        .iter()
        .enumerate()
    {
        let server = if src.contains(':') {
            "2001:db8:1::53"
        } else {
            WORLD
        };
        play.message(port as i64, (src, 5000), server, RD, "a");
    }
    let (roles, _) = play.end();
    let roles: Vec<Role> = roles.into_iter().map(|(_, role)| role).collect();
    assert_eq!(
        roles,
        [Role::Resolver, Role::Nat, Role::Client, Role::Resolver]
    );
}

#[test]
fn of_two_equal_networks_the_resolver_counts() {
    let network = ["10.0.0.0/8".parse().unwrap()];
    let named = NamedRoles::new(&network, &network);
    assert_eq!(named.of("10.1.2.3".parse().unwrap()), Some(Role::Resolver));
    assert_eq!(named.of("11.1.2.3".parse().unwrap()), None);
}

/// Lookups that hide their clients: of resolvers whose own clients are not here, and of a NAT.
#[test]
fn hidden_clients_are_counted() {
    let mut play = Play::new(&["10.0.0.9/32"], &["10.0.0.7/32"]);
    let mut at = 0;
    let mut lookups = |play: &mut Play, src: &str, flags: u8, count: u16| {
        for port in 0..count {
            at += 1;
            play.message(at, (src, 5000 + port), WORLD, flags, "a");
            // The same again is no other lookup.
            at += 60;
            play.message(at, (src, 5000 + port), WORLD, flags, "a");
        }
    };
    lookups(&mut play, "10.0.0.1", RD, 5);
    lookups(&mut play, "10.0.0.7", RD, 4);
    lookups(&mut play, "10.0.0.8", 0, 3);
    lookups(&mut play, "10.0.0.9", RD, 2);
    // This one walks the tree, too, but the hosts that ask it are here.
    lookups(&mut play, FORWARDER.0, 0, 6);
    play.message(60_000, HOST, FORWARDER.0, RD, "a");
    play.message(60_001, HOST, FORWARDER.0, RD | QR, "a");
    let hidden = play.pairing.hidden_clients();
    assert_eq!((hidden.behind_resolvers, hidden.behind_nat), (5, 4));
    let list: Vec<(String, &str, u64)> = hidden
        .addresses
        .iter()
        .map(
            |HiddenBehind {
                 address,
                 role,
                 lookups,
             }| (address.to_string(), *role, *lookups),
        )
        .collect();
    assert_eq!(
        list,
        [
            ("10.0.0.7".to_owned(), "nat", 4),
            ("10.0.0.8".to_owned(), "resolver", 3),
            ("10.0.0.9".to_owned(), "resolver", 2)
        ]
    );
    assert_eq!(hidden.more_addresses, 0);
}
