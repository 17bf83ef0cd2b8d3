//! Pairing: in time, late, response first, without a question, repeated, copied, flushed; and a naive model.

mod model;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::frame::{Around, Layers, Transport, Tunnel};
use crate::message::Envelope;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 53));

struct Everything;
impl Interest for Everything {
    fn wants(&self, _: &mut Question) -> bool {
        true
    }
}

/// One message on its way.
#[derive(Clone, Debug)]
struct Sent {
    at_ms: i64,
    response: bool,
    client: IpAddr,
    resolver: IpAddr,
    vlan: Option<u16>,
    port: u16,
    id: u16,
    name: Option<&'static str>,
    answers: u16,
    ip_id: u16,
    /// A server said so by dnstap, and nobody saw the packet.
    tapped: bool,
}

impl Sent {
    fn query(at_ms: i64, name: &'static str) -> Self {
        Self {
            at_ms,
            response: false,
            client: CLIENT,
            resolver: RESOLVER,
            vlan: None,
            port: 40_000,
            id: 7,
            name: Some(name),
            answers: 0,
            ip_id: at_ms as u16,
            tapped: false,
        }
    }

    fn response(at_ms: i64, name: &'static str) -> Self {
        Self {
            response: true,
            ..Self::query(at_ms, name)
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(if self.response {
            [0x81, 0x80]
        } else {
            [0x01, 0x00]
        });
        bytes.extend(u16::from(self.name.is_some()).to_be_bytes());
        // The count alone makes the payloads differ; the records are not needed here.
        bytes.extend(self.answers.to_be_bytes());
        bytes.extend([0; 4]);
        if let Some(name) = self.name {
            for label in name.split('.') {
                bytes.push(label.len() as u8);
                bytes.extend(label.as_bytes());
            }
            bytes.extend([0, 0, 1, 0, 1]);
        }
        bytes
    }
}

/// What a transaction is, for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    query_ms: Option<i64>,
    response_ms: Option<i64>,
    retransmitted: u32,
    odd: &'static str,
}

fn got(transaction: &Transaction<'_>) -> Got {
    let ms = |side: &Side<'_>| side.time.as_nanos() / 1_000_000;
    Got {
        query_ms: transaction.query.as_ref().map(ms),
        response_ms: transaction.response.as_ref().map(ms),
        retransmitted: transaction.retransmitted,
        odd: match transaction {
            Transaction { is_late: true, .. } => "late",
            Transaction {
                is_differing: true, ..
            } => "differing",
            Transaction {
                is_response_first: true,
                ..
            } => "response first",
            Transaction {
                is_id_mismatch: true,
                ..
            } => "another ID",
            Transaction {
                answered_from: Some(_),
                ..
            } => "another address",
            _ => "",
        },
    }
}

thread_local! {
    /// One reader, because the arrivals of a run are hashed with the same key.
    static READER: std::cell::RefCell<Reader> = std::cell::RefCell::default();
}

fn push(pairing: &mut Pairing, sent: &Sent, list: &mut Vec<Got>) {
    let layers = Layers {
        vlan: sent.vlan.into_iter().collect(),
        tunnel: sent.tapped.then_some(Tunnel::Dnstap).into_iter().collect(),
        tunnel_id: u64::from(sent.tapped),
        ..Layers::default()
    };
    let time = Timestamp::from_nanos(sent.at_ms * 1_000_000);
    let (client, resolver) = ((sent.client, sent.port), (sent.resolver, 53));
    let ((src, src_port), (dst, dst_port)) = if sent.response {
        (resolver, client)
    } else {
        (client, resolver)
    };
    let envelope = Envelope {
        time,
        input: 0,
        number: 1,
        src,
        dst,
        src_port,
        dst_port,
        transport: Transport::Udp,
        ip_id: (!sent.tapped).then_some(sent.ip_id),
        around: Around::Layers(&layers),
        missing: 0,
        fragment_missing: false,
    };
    pairing.advance(time, &mut |transaction| list.push(got(transaction)));
    let mut arrival =
        READER.with_borrow_mut(|reader| reader.read(&envelope, &sent.bytes(), &Everything));
    pairing.push(arrival.as_mut().unwrap(), &mut |transaction| {
        list.push(got(transaction))
    });
}

fn run(messages: &[Sent]) -> (Vec<Got>, Pairing) {
    let mut pairing = Pairing::new(Limits::default(), NamedRoles::default());
    // So that it grows, and is numbered anew.
    pairing.table = Table::with_room(4);
    let mut list = Vec::new();
    for sent in messages {
        push(&mut pairing, sent, &mut list);
    }
    pairing.close(&mut |transaction| list.push(got(transaction)));
    (list, pairing)
}

fn is(
    query_ms: Option<i64>,
    response_ms: Option<i64>,
    retransmitted: u32,
    odd: &'static str,
) -> Got {
    Got {
        query_ms,
        response_ms,
        retransmitted,
        odd,
    }
}

#[test]
fn in_time_and_out_of_it() {
    assert_eq!(
        run(&[Sent::query(0, "a"), Sent::response(10, "a")]).0,
        [is(Some(0), Some(10), 0, "")]
    );
    assert_eq!(
        run(&[Sent::query(0, "a"), Sent::response(5_000, "a")]).0,
        [is(Some(0), Some(5_000), 0, "")],
        "exactly the timeout is in time"
    );
    assert_eq!(
        run(&[Sent::query(0, "a"), Sent::response(5_001, "a")]).0,
        [is(Some(0), None, 0, ""), is(None, Some(5_001), 0, "late")]
    );
    // The same where a sweep came between: the outcome does not depend on it.
    assert_eq!(
        run(&[
            Sent::query(0, "a"),
            Sent {
                port: 1,
                ..Sent::query(7_000, "b")
            },
            Sent::response(7_500, "a")
        ])
        .0,
        [
            is(Some(0), None, 0, ""),
            is(None, Some(7_500), 0, "late"),
            is(Some(7_000), None, 0, "")
        ]
    );
}

#[test]
fn what_nobody_answers_comes_at_its_timeout_or_at_the_end() {
    assert_eq!(run(&[Sent::query(0, "a")]).0, [is(Some(0), None, 0, "")]);
    let (list, pairing) = run(&[
        Sent::query(0, "a"),
        Sent {
            port: 1,
            ..Sent::query(20_000, "b")
        },
    ]);
    assert_eq!(
        list,
        [is(Some(0), None, 0, ""), is(Some(20_000), None, 0, "")]
    );
    assert_eq!(pairing.transactions.unanswered, 2);
}

/// Of a query that waits no more nothing stays behind, however it came to that; and its message is made another one of.
#[test]
fn what_is_open_is_remembered_as_long_as_it_is() {
    let mut pairing = Pairing::new(Limits::default(), NamedRoles::default());
    let mut list = Vec::new();
    let of = |port, sent| Sent { port, ..sent };
    for (sent, open) in [
        (of(1, Sent::query(0, "answered")), 1),
        (of(2, Sent::query(1, "given up")), 2),
        (of(3, Sent::query(2, "response first")), 3),
        (of(1, Sent::response(10, "answered")), 2),
        (of(3, Sent::response(11, "response first")), 1),
        (of(4, Sent::response(12, "alone")), 1),
        // The same but for its ID, which takes the other one's place.
        (of(5, Sent::query(4_000, "twice")), 2),
        (
            of(
                5,
                Sent {
                    id: 8,
                    ..Sent::query(4_001, "twice")
                },
            ),
            2,
        ),
        (
            of(
                5,
                Sent {
                    id: 8,
                    ..Sent::response(4_002, "twice")
                },
            ),
            1,
        ),
        (of(6, Sent::query(20_000, "last")), 1),
    ] {
        push(&mut pairing, &sent, &mut list);
        assert_eq!(pairing.open.len(), open, "{sent:?}");
    }
    pairing.close(&mut |_| {});
    assert!(pairing.open.is_empty() && pairing.held == 0 && pairing.is_empty());
    let mut spare = Spare::default();
    pairing.done_with(&mut Vec::new(), &mut spare);
    assert_eq!(spare.len(), 3, "the queries that were answered");
}

#[test]
fn a_response_alone_and_a_response_first() {
    assert_eq!(run(&[Sent::response(5, "a")]).0, [is(None, Some(5), 0, "")]);
    assert_eq!(
        run(&[Sent::response(5, "a"), Sent::query(6, "a")]).0,
        [is(Some(6), Some(5), 0, "response first")]
    );
    assert_eq!(
        run(&[Sent::response(5, "a"), Sent::query(600, "a")]).0,
        [is(None, Some(5), 0, ""), is(Some(600), None, 0, "")]
    );
}

#[test]
fn repetitions_and_copies() {
    let (list, pairing) = run(&[
        Sent::query(0, "a"),
        Sent::query(5_900, "a"),
        Sent::response(10_900, "a"),
    ]);
    assert_eq!(
        list,
        [is(Some(0), Some(10_900), 1, "")],
        "the time counts from the last repetition"
    );
    assert_eq!(pairing.messages.query_retransmitted, 1);

    let copy = |sent: Sent, at_ms| Sent { at_ms, ..sent };
    let (list, pairing) = run(&[
        Sent::query(0, "a"),
        copy(Sent::query(0, "a"), 49),
        Sent::response(60, "a"),
        copy(Sent::response(60, "a"), 61),
        copy(Sent::query(0, "a"), 50),
    ]);
    assert_eq!(list, [is(Some(0), Some(60), 0, "")]);
    assert_eq!(
        (pairing.messages.query_copy, pairing.messages.response_copy),
        (2, 1)
    );

    // More than 50 ms apart, or another IP identification: a repetition.
    let (_, pairing) = run(&[Sent::query(0, "a"), copy(Sent::query(0, "a"), 51)]);
    assert_eq!(
        (
            pairing.messages.query_copy,
            pairing.messages.query_retransmitted
        ),
        (0, 1)
    );
    let (_, pairing) = run(&[
        Sent::query(0, "a"),
        Sent {
            ip_id: 9,
            ..Sent::query(1, "a")
        },
    ]);
    assert_eq!(
        (
            pairing.messages.query_copy,
            pairing.messages.query_retransmitted
        ),
        (0, 1)
    );
}

#[test]
fn a_query_that_never_stops_is_closed_all_the_same() {
    let messages: Vec<Sent> = (0..30).map(|n| Sent::query(n * 5_000, "a")).collect();
    let (list, _) = run(&messages);
    assert!(list.len() >= 2, "{list:?}");
    assert_eq!(
        list.iter().map(|got| got.retransmitted + 1).sum::<u32>(),
        30
    );
}

#[test]
fn second_responses() {
    let again = Sent {
        ip_id: 99,
        ..Sent::response(20, "a")
    };
    let (list, pairing) = run(&[Sent::query(0, "a"), Sent::response(10, "a"), again]);
    assert_eq!(list, [is(Some(0), Some(10), 0, "")]);
    assert_eq!(pairing.messages.response_repeated, 1);
    let other = Sent {
        answers: 3,
        ..Sent::response(20, "a")
    };
    let (list, _) = run(&[Sent::query(0, "a"), Sent::response(10, "a"), other]);
    assert_eq!(
        list,
        [
            is(Some(0), Some(10), 0, ""),
            is(None, Some(20), 0, "differing")
        ]
    );
}

#[test]
fn what_differs_does_not_pair() {
    for other in [
        Sent::response(10, "b"),
        Sent {
            id: 8,
            ..Sent::response(10, "a")
        },
        Sent {
            port: 1,
            ..Sent::response(10, "a")
        },
        Sent {
            client: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
            ..Sent::response(10, "a")
        },
    ] {
        let (list, _) = run(&[Sent::query(0, "a"), other.clone()]);
        assert_eq!(list.len(), 2, "{other:?}");
        assert!(
            list.iter()
                .all(|got| got.query_ms.is_none() || got.response_ms.is_none())
        );
    }
    // The same ID again for another question.
    let (list, _) = run(&[
        Sent::query(0, "a"),
        Sent::query(1, "b"),
        Sent::response(2, "b"),
        Sent::response(3, "a"),
    ]);
    assert_eq!(
        list,
        [is(Some(1), Some(2), 0, ""), is(Some(0), Some(3), 0, "")]
    );
}

#[test]
fn without_a_question_by_addresses_ports_and_id() {
    let bare = |at_ms| Sent {
        name: None,
        ..Sent::response(at_ms, "a")
    };
    let (list, pairing) = run(&[
        Sent::query(0, "a"),
        bare(10),
        Sent {
            ip_id: 3,
            ..bare(20)
        },
    ]);
    assert_eq!(list, [is(Some(0), Some(10), 0, "")]);
    assert_eq!(pairing.messages.response_repeated, 1);
    let (list, _) = run(&[
        Sent {
            name: None,
            ..Sent::query(0, "a")
        },
        Sent::response(10, "a"),
    ]);
    assert_eq!(list, [is(Some(0), Some(10), 0, "")]);
}

#[test]
fn an_answer_from_another_address() {
    let elsewhere = |sent: Sent| Sent {
        resolver: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99)),
        ..sent
    };
    let (list, pairing) = run(&[
        Sent::query(0, "a"),
        elsewhere(Sent::response(10, "a")),
        elsewhere(Sent {
            ip_id: 10,
            ..Sent::response(40, "a")
        }),
    ]);
    assert_eq!(list, [is(Some(0), Some(10), 0, "another address")]);
    assert_eq!(pairing.messages.response_copy, 1);
    // The one that was asked comes first, where it is there.
    let (list, _) = run(&[
        Sent::query(0, "a"),
        elsewhere(Sent::query(1, "a")),
        elsewhere(Sent::response(10, "a")),
        Sent::response(20, "a"),
    ]);
    assert_eq!(
        list,
        [is(Some(1), Some(10), 0, ""), is(Some(0), Some(20), 0, "")]
    );
    // Another question, ID or port is another transaction.
    for other in [
        Sent::response(10, "b"),
        Sent {
            id: 8,
            ..Sent::response(10, "a")
        },
        Sent {
            port: 1,
            ..Sent::response(10, "a")
        },
    ] {
        let (list, _) = run(&[Sent::query(0, "a"), elsewhere(other)]);
        assert_eq!(list.len(), 2, "{list:?}");
    }
}

#[test]
fn an_answer_with_another_id() {
    let guess = |at_ms, id| Sent {
        id,
        ..Sent::response(at_ms, "a")
    };
    let (list, _) = run(&[
        Sent::query(0, "a"),
        guess(10, 8),
        guess(11, 9),
        Sent::response(20, "a"),
        guess(30, 10),
    ]);
    assert_eq!(
        list,
        [
            is(Some(0), Some(20), 0, ""),
            is(None, Some(10), 0, "another ID"),
            is(None, Some(11), 0, "another ID"),
            // Nothing was open any more.
            is(None, Some(30), 0, ""),
        ]
    );
}

/// A response that waited in vain for its query, repeated just before that came, and delivered again just after it.
#[test]
fn a_copy_of_a_lone_response_answers_nothing() {
    let repeated = Sent::response(475, "a");
    let (list, pairing) = run(&[
        Sent::response(0, "a"),
        repeated.clone(),
        Sent::query(501, "a"),
        Sent {
            at_ms: 502,
            vlan: Some(20),
            ..repeated
        },
    ]);
    assert_eq!(list, [is(None, Some(0), 0, ""), is(Some(501), None, 0, "")]);
    assert_eq!(pairing.messages.response_copy, 1);
}

/// What a server says by dnstap, and what was on the wire: a copy within 50 ms, whatever the packet's identification. On the
/// wire alone the identification counts as it did.
#[test]
fn a_servers_word_and_the_wire() {
    let said = |sent| Sent {
        tapped: true,
        ..sent
    };
    let (query, response) = (Sent::query(1, "a"), Sent::response(21, "a"));
    let later = |sent: &Sent, ms| Sent {
        at_ms: sent.at_ms + ms,
        ..sent.clone()
    };
    let counts = |pairing: &Pairing| {
        let messages = &pairing.messages;
        [
            messages.query_copy,
            messages.response_copy,
            messages.query_retransmitted,
            messages.response_repeated,
        ]
    };
    // A server sends late what it saw; or the wire is read late.
    // Later than that they are two networks with the same addresses.
    for (ms, lookups) in [(0, 1), (3, 1), (50, 1), (51, 2)] {
        let (wire, server) = (
            [query.clone(), response.clone()],
            [said(later(&query, ms)), said(later(&response, ms))],
        );
        for order in [[&wire, &server], [&server, &wire]] {
            let (list, pairing) = run(&order.map(|messages| messages.to_vec()).concat());
            assert_eq!(list.len(), lookups, "{ms}: {list:?}");
            let copies = u64::from(lookups == 1);
            assert_eq!(counts(&pairing), [copies, copies, 0, 0], "{ms}");
        }
    }
    // Merged by time, where the server sees its own response first.
    let (list, pairing) = run(&[
        query.clone(),
        said(later(&query, 1)),
        said(response.clone()),
        later(&response, 1),
    ]);
    assert_eq!(list, [is(Some(1), Some(21), 0, "")]);
    assert_eq!(counts(&pairing), [1, 1, 0, 0]);
    // What a client asks again is asked again, whoever says so.
    let (list, pairing) = run(&[
        query.clone(),
        Sent {
            ip_id: 99,
            ..later(&query, 5)
        },
        response.clone(),
    ]);
    assert_eq!(list, [is(Some(1), Some(21), 1, "")]);
    assert_eq!(counts(&pairing), [0, 0, 1, 0]);
    // A server that says its queries, and says them once more with their responses.
    let (list, pairing) = run(&[
        said(query.clone()),
        said(query.clone()),
        said(response.clone()),
    ]);
    assert_eq!(list, [is(Some(1), Some(21), 0, "")]);
    assert_eq!(counts(&pairing), [1, 0, 0, 0]);
    // On port 5353 too it is no multicast.
    let (list, _) = run(&[
        said(Sent {
            port: 5353,
            ..query
        }),
        said(Sent {
            port: 5353,
            ..response
        }),
    ]);
    assert_eq!(list, [is(Some(1), Some(21), 0, "")]);
}

#[test]
fn the_same_addresses_in_other_networks() {
    let within = |vlan, ip_id, sent| Sent {
        vlan: Some(vlan),
        ip_id,
        ..sent
    };
    // Two tenants, alike but for what they are told.
    let (list, pairing) = run(&[
        within(10, 1, Sent::query(0, "a")),
        within(20, 2, Sent::query(10, "a")),
        within(20, 3, Sent::response(20, "a")),
        within(10, 4, Sent::response(30, "a")),
    ]);
    assert_eq!(
        list,
        [is(Some(10), Some(20), 0, ""), is(Some(0), Some(30), 0, "")]
    );
    assert_eq!(pairing.messages.query_retransmitted, 0);
    // Each direction in a VLAN of its own.
    let (list, pairing) = run(&[
        within(10, 1, Sent::query(0, "a")),
        within(10, 2, Sent::query(1_000, "a")),
        within(20, 3, Sent::response(1_020, "a")),
        within(20, 4, Sent::response(1_500, "a")),
    ]);
    assert_eq!(list, [is(Some(0), Some(1_020), 1, "")]);
    assert_eq!(pairing.messages.response_repeated, 1);
    // A mirror of both sides of a router: a repetition that is seen first where the first query was seen second.
    let (list, pairing) = run(&[
        within(10, 1, Sent::query(0, "a")),
        within(20, 1, Sent::query(1, "a")),
        within(20, 2, Sent::query(1_000, "a")),
        within(10, 2, Sent::query(1_001, "a")),
        within(20, 3, Sent::response(1_020, "a")),
        within(10, 3, Sent::response(1_021, "a")),
    ]);
    assert_eq!(list, [is(Some(0), Some(1_020), 1, "")]);
    assert_eq!(
        (
            pairing.messages.query_copy,
            pairing.messages.response_copy,
            pairing.messages.query_retransmitted
        ),
        (2, 1, 1)
    );
}

#[test]
fn many_questions_with_one_id_do_not_pile_up() {
    let names: Vec<&'static str> = (0..100)
        .map(|n| &*Box::leak(format!("n{n}").into_boxed_str()))
        .collect();
    let messages: Vec<Sent> = names
        .iter()
        .enumerate()
        .map(|(at, name)| Sent::query(at as i64, name))
        .collect();
    let (list, pairing) = run(&messages);
    assert_eq!(list.len(), 100);
    assert!(pairing.evicted >= 60, "{}", pairing.evicted);
}

#[test]
fn a_full_table_gives_on_what_it_closes() {
    let limits = Limits {
        entries: 10,
        ..Limits::default()
    };
    let mut pairing = Pairing::new(limits, NamedRoles::default());
    let mut list = Vec::new();
    for port in 0..100 {
        push(
            &mut pairing,
            &Sent {
                port,
                ..Sent::query(i64::from(port), "a")
            },
            &mut list,
        );
    }
    assert_eq!((list.len(), pairing.evicted), (90, 90));
    assert_eq!(list[0], is(Some(0), None, 0, ""), "the oldest first");
    pairing.close(&mut |transaction| list.push(got(transaction)));
    assert_eq!(list.len(), 100);
}

#[test]
fn the_bytes_that_wait_are_bounded() {
    let mut pairing = Pairing::new(
        Limits {
            bytes: 100_000,
            ..Limits::default()
        },
        NamedRoles::default(),
    );
    let mut list = Vec::new();
    for port in 0..2_000 {
        let sent = Sent {
            port,
            ..Sent::query(i64::from(port), "a")
        };
        push(&mut pairing, &sent, &mut list);
        assert!(pairing.held <= 101_000);
        if port % 3 == 0 {
            let answer = Sent {
                response: true,
                ..sent
            };
            push(&mut pairing, &answer, &mut list);
        }
    }
    assert!(pairing.evicted > 500, "{}", pairing.evicted);
    pairing.close(&mut |transaction| list.push(got(transaction)));
    assert_eq!(list.len(), 2_000, "each is given on, once");
    assert_eq!(pairing.held, 0);
}

#[test]
fn time_that_jumps_back_closes_what_is_open() {
    let (list, pairing) = run(&[
        Sent::query(1_000_000, "a"),
        Sent::query(0, "a"),
        Sent::response(10, "a"),
    ]);
    assert_eq!(
        list,
        [
            is(Some(1_000_000), None, 0, ""),
            is(Some(0), Some(10), 0, "")
        ]
    );
    assert_eq!(pairing.messages.query_retransmitted, 0);
}

/// The default timeout.
const TIMEOUT_MS: i64 = 5_000;

/// A transaction as the model tells it: times of the query and of the response.
type Pair = (Option<i64>, Option<i64>);

/// The naive model: a list of all transactions, searched from its end. No copies, no response before its query.
fn model(messages: &[Sent]) -> Vec<Pair> {
    struct Known {
        key: (u16, u16, &'static str),
        query: Option<i64>,
        last: i64,
        response: Option<(i64, Vec<u8>)>,
        late: Option<Vec<u8>>,
    }
    let mut all: Vec<Known> = Vec::new();
    let mut extra: Vec<Pair> = Vec::new();
    for sent in messages {
        let key = (sent.port, sent.id, sent.name.unwrap_or(""));
        let known = all
            .iter_mut()
            .rev()
            .find(|known| known.key == key && known.query.is_some());
        if sent.response {
            match known {
                Some(known)
                    if known.response.is_none() && sent.at_ms - known.last <= TIMEOUT_MS =>
                {
                    known.response = Some((sent.at_ms, sent.bytes()));
                    known.last = sent.at_ms;
                }
                Some(Known {
                    response: Some((_, bytes)),
                    last,
                    ..
                }) if sent.at_ms - *last <= TIMEOUT_MS => {
                    if *bytes != sent.bytes() {
                        extra.push((None, Some(sent.at_ms)));
                        *bytes = sent.bytes();
                    }
                }
                // Too late: an event of its own, once.
                Some(known)
                    if known.response.is_none() && sent.at_ms - known.last <= 2 * TIMEOUT_MS =>
                {
                    if known.late.replace(sent.bytes()) != Some(sent.bytes()) {
                        extra.push((None, Some(sent.at_ms)));
                    }
                }
                _ => all.push(Known {
                    key,
                    query: None,
                    last: sent.at_ms,
                    response: Some((sent.at_ms, sent.bytes())),
                    late: None,
                }),
            }
        } else {
            match known {
                Some(known)
                    if known.late.is_none()
                        && sent.at_ms - known.last
                            <= TIMEOUT_MS + known.response.as_ref().map_or(1_000, |_| 0) =>
                {
                    if known.response.is_none() {
                        known.last = sent.at_ms;
                    }
                }
                _ => all.push(Known {
                    key,
                    query: Some(sent.at_ms),
                    last: sent.at_ms,
                    response: None,
                    late: None,
                }),
            }
        }
    }
    let mut pairs: Vec<Pair> = all
        .into_iter()
        .map(|known| (known.query, known.response.map(|(at, _)| at)))
        .collect();
    pairs.extend(extra);
    pairs.sort_unstable();
    pairs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every message is in exactly one event or counted, and no two transactions are ever joined: what pairs has the same
    /// identity, and is not further apart than the timeout.
    #[test]
    fn never_joins_two_transactions(
        steps in prop::collection::vec(
            (0_i64..9_000, any::<bool>(), 0_u16..2, 0_u16..2, 0_usize..3, 0_u16..2), 0..60)
    ) {
        let mut at_ms = 0;
        let messages: Vec<Sent> = steps.iter().map(|&(wait, response, port, id, name, answers)| {
            at_ms += wait;
            let name = ["a.example", "b.example", "c.example"][name];
            Sent { port, id, response, answers: if response { answers } else { 0 }, ..Sent::query(at_ms, name) }
        }).collect();
        let (list, pairing) = run(&messages);
        let by_time: BTreeMap<i64, &Sent> = messages.iter().map(|sent| (sent.at_ms, sent)).collect();
        if by_time.len() == messages.len() {
            for got in &list {
                if let (Some(query), Some(response)) = (got.query_ms, got.response_ms) {
                    let (query, response) = (by_time[&query], by_time[&response]);
                    prop_assert!(!query.response && response.response);
                    prop_assert_eq!((query.port, query.id, query.name), (response.port, response.id, response.name));
                }
            }
        }
        let messages_counted = pairing.messages.total();
        prop_assert_eq!(messages_counted, messages.len() as u64);
        let transactions = &pairing.transactions;
        prop_assert_eq!(pairing.messages.query, transactions.answered + transactions.unanswered);
        prop_assert_eq!(pairing.messages.response, transactions.answered);
        prop_assert_eq!(list.len() as u64, transactions.answered + transactions.unanswered + transactions.response_only);
    }

    /// A mirror that delivers every packet twice, the second in another VLAN and up to 50 ms later, changes nothing.
    #[test]
    fn copies_change_nothing(
        steps in prop::collection::vec(
            (prop_oneof![0_i64..60, 0_i64..9_000], any::<bool>(), 0_u16..2, 0_usize..2, 0_u16..3, 0_i64..=50), 0..40)
    ) {
        let mut at_ms = 0;
        let mut messages = Vec::new();
        let mut twice = Vec::new();
        for (number, &(wait, response, port, name, answers, later)) in (0..).zip(&steps) {
            at_ms += wait;
            let name = ["a.example", "b.example"][name];
            let sent = Sent {
                port,
                response,
                answers: if response { answers } else { 0 },
                ip_id: number,
                vlan: Some(10),
                ..Sent::query(at_ms, name)
            };
            let again = Sent { at_ms: at_ms + later, vlan: Some(20), ..sent.clone() };
            twice.extend([sent.clone(), again]);
            messages.push(sent);
        }
        twice.sort_by_key(|sent| sent.at_ms);
        // What waited for nothing is given when other packets move the time on, so only the order may differ.
        let sorted = |mut list: Vec<Got>| {
            list.sort_by_key(|got| (got.query_ms, got.response_ms, got.odd));
            list
        };
        let (once, single) = run(&messages);
        let (list, pairing) = run(&twice);
        prop_assert_eq!(sorted(list), sorted(once));
        prop_assert_eq!(
            pairing.messages.query_copy + pairing.messages.response_copy,
            messages.len() as u64
        );
        prop_assert_eq!(pairing.messages.query_retransmitted, single.messages.query_retransmitted);
    }

    /// For exchanges that are not odd (waits of a tenth of a second and more, so neither copies nor responses before
    /// their queries), the naive model says the same.
    #[test]
    fn as_the_naive_model_says(
        steps in prop::collection::vec((1_000_i64..6_000, any::<bool>(), 0_u16..2, 0_usize..2, 0_u16..2), 0..14)
    ) {
        let mut at_ms = 0;
        let messages: Vec<Sent> = steps.iter().map(|&(wait, response, port, name, answers)| {
            at_ms += wait;
            let name = ["a.example", "b.example"][name];
            Sent { port, response, answers: if response { answers } else { 0 }, ..Sent::query(at_ms, name) }
        }).collect();
        let (list, _) = run(&messages);
        let mut pairs: Vec<Pair> = list.iter().map(|got| (got.query_ms, got.response_ms)).collect();
        pairs.sort_unstable();
        prop_assert_eq!(pairs, model(&messages));
    }
}

/// Nothing stays in the table for longer than it has to, in whatever order its times came.
#[test]
fn everything_is_swept_away() {
    let messages = [
        // Repeated, and answered so late that the time of its first query was over.
        Sent::query(0, "a"),
        Sent::query(5_000, "a"),
        Sent {
            port: 2,
            ..Sent::query(6_600, "b")
        },
        Sent::response(8_000, "a"),
        // Nobody answers, somebody answers too late, nobody asked.
        Sent {
            port: 3,
            ..Sent::query(8_000, "c")
        },
        Sent {
            port: 4,
            ..Sent::response(8_000, "d")
        },
        Sent {
            port: 2,
            ..Sent::response(12_000, "b")
        },
        // Multicast, and a response before its query.
        Sent {
            port: 5353,
            ..Sent::query(12_000, "e")
        },
        Sent {
            port: 5,
            ..Sent::response(12_000, "f")
        },
        Sent {
            port: 5,
            ..Sent::query(12_100, "f")
        },
    ];
    let mut pairing = Pairing::new(Limits::default(), NamedRoles::default());
    let mut list = Vec::new();
    for sent in &messages {
        push(&mut pairing, sent, &mut list);
    }
    assert!(!pairing.is_empty());
    for second in 13..40 {
        let now = Timestamp::from_parts(second, 0);
        pairing.advance(now, &mut |transaction| list.push(got(transaction)));
    }
    assert_eq!((pairing.len(), list.len()), (0, 7), "{list:?}");
}

/// A query that is repeated for ever takes the place of one, whatever the table remembers of it.
#[test]
fn repetitions_take_no_room() {
    let mut pairing = Pairing::new(Limits::default(), NamedRoles::default());
    pairing.table = Table::with_room(16);
    let mut list = Vec::new();
    for number in 0..20_000_u16 {
        let sent = Sent {
            ip_id: number,
            ..Sent::query(i64::from(number) / 4, "a")
        };
        push(&mut pairing, &sent, &mut list);
    }
    assert_eq!((pairing.len(), pairing.table.room()), (1, 16));
    assert_eq!(pairing.messages.query_retransmitted, 19_999);
}

#[test]
fn the_longest_is_longer_than_any() {
    assert!(Pairing::longest(Duration::from_secs(5)) >= Duration::from_secs(36));
}
