//! Held against a model that is obviously right: a packet is evidence where an event that hit was brought by it, or a message of
//! such an event came once more in it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::aggregate::tests::sample_event;
use crate::aggregate::{Aggregator, Window};
use crate::capture::{Files, Source, TakePackets, expand};
use crate::event::{Field, Wire, WireMessage};
use crate::packet::{Carried, LinkType, Packet, Trail};
use crate::rule::Rule;
use crate::sink::packet_place;

/// A packet comes every second.
fn packet(second: i64) -> Arc<Captured> {
    Captured::of(&Packet {
        time: Timestamp::from_parts(second, 0),
        input: 0,
        number: second.unsigned_abs(),
        link: LinkType(1),
        wire_len: 100,
        bytes: &[7; 100],
    })
}

/// An event that these packets brought.
fn event(name: u64, seconds: &BTreeSet<i64>) -> Event {
    let mut trail = Trail::default();
    seconds
        .iter()
        .for_each(|second| trail.push(&packet(*second)));
    let carried = Carried {
        message: MessageId::datagram(name),
        trail,
    };
    Event {
        event_id: [u8::try_from(name).unwrap(); 16],
        wire: Some(Arc::new(Wire {
            query: Some(WireMessage {
                time: Timestamp::from_parts(0, 0),
                bytes: Box::default(),
                carried: Some(Arc::new(carried)),
            }),
            response: None,
        })),
        ..sample_event()
    }
}

fn aggregator() -> Aggregator {
    let rule = Rule {
        name: "rule".into(),
        by: vec![Field::Src, Field::Query],
        ..Rule::default()
    };
    Aggregator::new(&[rule], Window::None, "s".into(), Default::default()).unwrap()
}

#[derive(Default)]
struct Seconds(Vec<i64>, stats::Capture);

impl TakePackets for Seconds {
    fn take(&mut self, packet: &Packet<'_>) -> ControlFlow<()> {
        self.0.push(packet.time.as_nanos() / 1_000_000_000);
        ControlFlow::Continue(())
    }

    fn send_on(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn idle(&mut self, _: Timestamp) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn stats(&mut self) -> &mut stats::Capture {
        &mut self.1
    }
}

/// The times of the packets that were written, as the reader of captures finds them.
fn read(path: &Path) -> Vec<i64> {
    let mut seconds = Seconds::default();
    let inputs = expand(&[path.to_owned()]).unwrap();
    let errors = Files::new(inputs, None, |_| None).run(&mut seconds, &|| false);
    assert!(errors.is_empty(), "{errors:?}");
    seconds.0
}

fn writer(path: &Path) -> Writer {
    let place = packet_place("--evidence", path, true).unwrap();
    Writer::packets(place, vec![Arc::from("eth0")], false).unwrap()
}

/// An event: the packets that brought it, how often it hits, what comes before it of its message, and what comes later.
type Step = (BTreeSet<i64>, u8, Vec<i64>, Vec<i64>);

fn step() -> impl Strategy<Value = Step> {
    let seconds = || prop::collection::vec(0_i64..40, 0..3);
    let brought = prop::collection::btree_set(0_i64..40, 1..4);
    (brought, 0_u8..3, seconds(), seconds())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_hit_is_written_once_and_in_order(
        steps in prop::collection::vec(step(), 1..20),
        advances in prop::collection::vec(0_i64..40, 20),
        has_room in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.pcapng");
        let mut writer = writer(&path);
        let mut limits = Limits::with_wait(Duration::from_secs(50));
        if !has_room {
            // Some packets only.
            limits.bytes = 1_000;
        }
        let mut evidence = Evidence::new(limits);
        let mut aggregator = aggregator();
        let (mut expected, mut for_sure) = (BTreeSet::new(), BTreeSet::new());
        for (name, ((brought, hits, before, after), now)) in (0..).zip(steps.iter().zip(&advances)) {
            let further = |second: &i64| Further {
                message: MessageId::datagram(name),
                packet: packet(*second),
            };
            before.iter().for_each(|second| evidence.further(&further(second)));
            let event = event(name, brought);
            for _ in 0..*hits {
                let rows = aggregator.rows_of(None, 0, &event, "q").unwrap();
                evidence.hit(&event, &rows);
            }
            evidence.over(&event);
            after.iter().for_each(|second| evidence.further(&further(second)));
            if *hits > 0 {
                for_sure.extend(brought);
                expected.extend(brought.iter().chain(before).chain(after));
            }
            evidence.advance(Timestamp::from_parts(*now, 0), &mut writer).unwrap();
            prop_assert!(evidence.held <= limits.bytes.max(1_000) && evidence.held_known <= limits.bytes);
        }
        evidence.close(&mut writer).unwrap();
        prop_assert_eq!((evidence.held, evidence.held_known), (0, 0));
        prop_assert_eq!(evidence.stats.packets, evidence.stats.written);
        writer.finish().unwrap();
        let found = read(&path);
        let once: BTreeSet<i64> = found.iter().copied().collect();
        prop_assert_eq!(once.len(), found.len());
        if has_room {
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        } else {
            prop_assert!(for_sure.is_subset(&once) && once.is_subset(&expected));
        }
    }
}

/// Packets are written when nothing can come of them any more; where time jumps back, all are.
#[test]
fn a_packet_waits_for_as_long_as_a_transaction_can_take() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.pcapng");
    let mut writer = writer(&path);
    let mut evidence = Evidence::new(Limits::with_wait(Duration::from_secs(50)));
    let mut aggregator = aggregator();
    let mut hit = |evidence: &mut Evidence, name, second| {
        let event = event(name, &BTreeSet::from([second]));
        let rows = aggregator.rows_of(None, 0, &event, "q").unwrap();
        evidence.hit(&event, &rows);
    };
    hit(&mut evidence, 1, 100);
    for (now, written) in [(149, 0), (150, 0), (151, 1)] {
        evidence
            .advance(Timestamp::from_parts(now, 0), &mut writer)
            .unwrap();
        assert_eq!(evidence.stats.written, written, "{now}");
    }
    // It was written: another hit does not write it again.
    hit(&mut evidence, 2, 100);
    assert_eq!(evidence.stats.again, 1);
    hit(&mut evidence, 3, 151);
    evidence
        .advance(Timestamp::from_parts(100, 0), &mut writer)
        .unwrap();
    assert_eq!(evidence.stats.written, 1, "disorder");
    evidence
        .advance(Timestamp::from_parts(10, 0), &mut writer)
        .unwrap();
    assert_eq!(evidence.stats.written, 2, "another capture");
    writer.finish().unwrap();
    assert_eq!(read(&path), [100, 151]);
}
