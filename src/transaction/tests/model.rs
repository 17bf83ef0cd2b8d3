//! The naive model: a list of all transactions, searched from its end, of which nothing is ever swept away. What became of a
//! transaction depends on the packets' times alone, so it says what the table says, which forgets.

use super::*;

const COPY_MS: i64 = 50;
const TIMEOUT_MS: i64 = 5_000;
const REPEATED_MS: i64 = 6_000;
const REPEATED_IN_ALL_MS: i64 = 30_000;
const RESPONSE_FIRST_MS: i64 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Open,
    Answered,
    Late,
    Alone,
}

struct Known {
    key: (u16, u16, Option<&'static str>),
    is: Is,
    first: i64,
    latest: i64,
    begun: Option<i64>,
    query: Option<Sent>,
    response: Option<Sent>,
    retransmitted: u32,
}

/// The list, and what came of it.
#[derive(Default)]
struct Model {
    all: Vec<Known>,
    /// Packets that others took the place of soon after them.
    replaced: Vec<Sent>,
    events: Vec<Got>,
    messages: Messages,
    transactions: Counters,
}

fn key(sent: &Sent) -> (u16, u16, Option<&'static str>) {
    (sent.port, sent.id, sent.name)
}

/// Whether both are the same packet.
fn is_copy(one: &Sent, other: &Sent) -> bool {
    key(one) == key(other)
        && one.bytes() == other.bytes()
        && one.ip_id == other.ip_id
        && (one.at_ms - other.at_ms).abs() <= COPY_MS
}

impl Model {
    fn replace(&mut self, old: Option<Sent>, now: i64) {
        let old = old.filter(|old| now - old.at_ms <= COPY_MS);
        // The latest time of each packet counts.
        if let Some(old) = old {
            self.replaced.retain(|it| {
                key(it) != key(&old) || it.bytes() != old.bytes() || it.ip_id != old.ip_id
            });
            self.replaced.push(old);
        }
    }

    fn event(&mut self, query: Option<i64>, response: Option<i64>, again: u32, odd: &'static str) {
        self.events.push(is(query, response, again, odd));
    }

    /// What the transaction still has to say.
    fn end(&mut self, known: &Known) {
        match known.is {
            Is::Open => {
                self.transactions.unanswered += 1;
                self.event(known.begun, None, known.retransmitted, "");
            }
            Is::Alone => {
                self.transactions.response_only += 1;
                self.event(None, known.begun, 0, "");
            }
            Is::Answered | Is::Late => {}
        }
    }

    /// Another transaction takes its place.
    fn give_way(&mut self, known: Known, now: i64) {
        self.end(&known);
        self.replace(known.query, now);
        self.replace(known.response, now);
    }

    fn begin(&mut self, sent: &Sent) {
        let (query, response) = if sent.response {
            (None, Some(sent.clone()))
        } else {
            (Some(sent.clone()), None)
        };
        self.all.push(Known {
            key: key(sent),
            is: if sent.response { Is::Alone } else { Is::Open },
            first: sent.at_ms,
            latest: sent.at_ms,
            begun: Some(sent.at_ms),
            query,
            response,
            retransmitted: 0,
        });
    }

    fn take(&mut self, sent: &Sent) {
        let at = self.all.iter().rposition(|known| known.key == key(sent));
        let known = at.map(|at| self.all.remove(at));
        let was_replaced = self.replaced.iter().any(|it| is_copy(it, sent));
        let same = |packet: &Option<Sent>| packet.as_ref().is_some_and(|it| is_copy(it, sent));
        let is_copied = known.as_ref().is_some_and(|known| {
            same(if sent.response {
                &known.response
            } else {
                &known.query
            })
        });
        if was_replaced || is_copied {
            self.all.extend(known);
            if sent.response {
                self.messages.response_copy += 1;
            } else {
                self.messages.query_copy += 1;
            }
        } else if sent.response {
            self.response(known, sent);
        } else {
            self.query(known, sent);
        }
    }

    fn query(&mut self, known: Option<Known>, sent: &Sent) {
        let now = sent.at_ms;
        if let Some(mut known) = known {
            let quiet = now - known.latest;
            let is_repeated = match known.is {
                Is::Open => quiet <= REPEATED_MS && now - known.first <= REPEATED_IN_ALL_MS,
                Is::Answered => quiet <= TIMEOUT_MS,
                Is::Late | Is::Alone => false,
            };
            if is_repeated {
                self.messages.query_retransmitted += 1;
                known.retransmitted += 1;
                let old = known.query.replace(sent.clone());
                self.replace(old, now);
                if known.is == Is::Open {
                    known.latest = known.latest.max(now);
                }
                self.all.push(known);
                return;
            }
            if known.is == Is::Alone && quiet.abs() <= RESPONSE_FIRST_MS {
                self.messages.query += 1;
                self.messages.response += 1;
                self.messages.response_unmatched -= 1;
                self.transactions.answered += 1;
                self.event(Some(now), known.begun, 0, "response first");
                known.is = Is::Answered;
                known.query = Some(sent.clone());
                self.all.push(known);
                return;
            }
            self.give_way(known, now);
        }
        self.messages.query += 1;
        self.begin(sent);
    }

    fn response(&mut self, known: Option<Known>, sent: &Sent) {
        let now = sent.at_ms;
        if let Some(mut known) = known {
            if known.is == Is::Open && now - known.latest > TIMEOUT_MS {
                self.end(&known);
                known.is = Is::Late;
                known.latest += TIMEOUT_MS;
            }
            let wait = if known.is == Is::Alone {
                RESPONSE_FIRST_MS
            } else {
                TIMEOUT_MS
            };
            let is_same = known
                .response
                .as_ref()
                .is_some_and(|it| it.bytes() == sent.bytes());
            if now - known.latest <= wait && (known.is != Is::Alone || is_same) {
                if known.is == Is::Open {
                    self.messages.response += 1;
                    self.transactions.answered += 1;
                    self.event(known.begun, Some(now), known.retransmitted, "");
                    known.is = Is::Answered;
                    known.latest = now;
                } else if is_same {
                    self.messages.response_repeated += 1;
                } else if known.is == Is::Late {
                    self.messages.response_unmatched += 1;
                    self.transactions.response_only += 1;
                    self.event(None, Some(now), 0, "late");
                } else {
                    self.messages.response_differing += 1;
                    self.transactions.response_only += 1;
                    self.event(None, Some(now), 0, "differing");
                }
                let old = known.response.replace(sent.clone());
                self.replace(old, now);
                self.all.push(known);
                return;
            }
            self.give_way(known, now);
        }
        self.messages.response_unmatched += 1;
        self.begin(sent);
    }
}

/// One step of the traffic: how long after the one before it, and how much earlier it was captured; which transaction, and what of it;
/// or a packet of before, once more.
#[derive(Clone, Debug)]
struct Step {
    wait: i64,
    early: i64,
    key: (u16, u16, usize),
    response: bool,
    answers: u16,
    ip_id: Option<u16>,
    again: Option<usize>,
}

fn step(ports: u16) -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        4 => 0_i64..60,
        2 => 400_i64..600,
        3 => 0_i64..3_000,
        1 => prop::sample::select(vec![COPY_MS, COPY_MS + 1, TIMEOUT_MS, TIMEOUT_MS + 1, REPEATED_MS, REPEATED_MS + 1, 6_500, 6_501, 12_000]),
    ];
    // A mirror that sends packets out of order does so by less than the time in which a copy comes.
    let early = prop_oneof![3 => Just(0_i64), 1 => 0_i64..40];
    (
        wait,
        early,
        (0..ports, 0_u16..2, 0_usize..2),
        any::<bool>(),
        0_u16..2,
        prop::option::of(0_u16..2),
        prop::option::weighted(0.25, 0_usize..4),
    )
        .prop_map(|(wait, early, key, response, answers, ip_id, again)| Step {
            wait,
            early,
            key,
            response,
            answers,
            ip_id,
            again,
        })
}

fn traffic(steps: &[Step]) -> Vec<Sent> {
    let mut at_ms = 0;
    let mut messages: Vec<Sent> = Vec::new();
    for (number, step) in (100..).zip(steps) {
        at_ms += step.wait;
        let (port, id, name) = step.key;
        let sent = Sent {
            port,
            id,
            response: step.response,
            answers: if step.response { step.answers } else { 0 },
            ip_id: step.ip_id.unwrap_or(number),
            ..Sent::query(at_ms - step.early, ["a.example", "b.example"][name])
        };
        let again = step.again.and_then(|back| messages.iter().rev().nth(back));
        let again = again.map(|before| Sent {
            at_ms: sent.at_ms,
            ..before.clone()
        });
        messages.push(again.unwrap_or(sent));
    }
    messages
}

fn check(messages: &[Sent]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for sent in messages {
        model.take(sent);
    }
    for known in std::mem::take(&mut model.all) {
        model.end(&known);
    }
    let (list, pairing) = run(messages);
    let sorted = |mut list: Vec<Got>| {
        for got in &mut list {
            // Whether another query waits is of that moment, and no matter of the transaction.
            if got.odd == "another ID" {
                got.odd = "";
            }
        }
        list.sort_by_key(|got| (got.query_ms, got.response_ms, got.odd, got.retransmitted));
        list
    };
    prop_assert_eq!(sorted(list), sorted(model.events));
    prop_assert_eq!(
        format!("{:?}", pairing.messages),
        format!("{:?}", model.messages)
    );
    prop_assert_eq!(
        format!("{:?}", pairing.transactions),
        format!("{:?}", model.transactions)
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Few transactions or many, and everything that can happen to them.
    #[test]
    fn it_says_what_the_table_says(
        steps in (1_u16..20).prop_flat_map(|ports| prop::collection::vec(step(ports), 0..80)),
    ) {
        check(&traffic(&steps))?;
    }
}
