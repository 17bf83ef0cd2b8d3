//! A transaction becomes an event.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Anomaly, Assets, Event, Outcome, Seen, Wire};
use crate::frame::{Layers, Mac, Ports};
use crate::message::{Cut, Message, Record, Section};
use crate::time::Timestamp;
use crate::transaction::{Multicast, Side, Transaction};

/// Makes events; holds what is the same for all of them.
#[derive(Clone, Debug)]
pub struct Maker {
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// The configured zone.
    pub zone: Option<Arc<str>>,
    /// What is known of addresses.
    pub assets: Assets,
    /// The inputs' names, in the order of the packets' `input`.
    pub sources: Vec<Arc<str>>,
    /// Addresses that stand for a blocked answer, beside 0.0.0.0 and ::.
    pub sinkholes: Vec<ipnet::IpNet>,
    /// The ports that were named; what is on none of them was found by its shape.
    pub ports: Ports,
    /// Whether events keep the bytes of their messages.
    pub keeps_bytes: bool,
}

impl Maker {
    /// The event of a transaction. `None` where it has no message at all.
    #[must_use]
    pub fn event(&self, transaction: &Transaction<'_>) -> Option<Event> {
        let query = transaction.query.as_ref().and_then(decode);
        let response = transaction.response.as_ref().and_then(decode);
        // What the response repeats, it may repeat wrongly: who asked, and for what, the query knows best.
        let (asked, asked_side) = query
            .as_ref()
            .filter(|(message, _)| message.name.is_some())
            .or(response
                .as_ref()
                .filter(|(message, _)| message.name.is_some()))
            .or(query.as_ref())
            .or(response.as_ref())?;
        let (said, _) = response.as_ref().or(query.as_ref())?;
        let (_, first_side) = query.as_ref().or(response.as_ref())?;
        let seen = match (&query, &response) {
            (Some(_), Some(_)) => Seen::Both,
            (Some(_), None) => Seen::QueryOnly,
            (None, _) => Seen::ResponseOnly,
        };
        let edns = match (&query, &response) {
            (Some((query, _)), Some((response, _))) => {
                query.edns.as_ref().or(response.edns.as_ref())
            }
            _ => said.edns.as_ref(),
        };
        let reply = response.as_ref().map(|(message, _)| message);
        let (src_mac, dest_mac) = macs(transaction);
        let Layers { vlan, tunnel, .. } = first_side.layers;
        let time = first_side.time;
        Some(Event {
            time,
            sensor: Arc::clone(&self.sensor),
            source: self
                .sources
                .get(usize::from(first_side.input))
                .map_or_else(|| Arc::from(""), Arc::clone),
            zone: self.zone.clone(),
            seen,
            src: transaction.client,
            src_port: transaction.client_port,
            src_mac,
            dest: transaction.resolver,
            dest_port: transaction.resolver_port,
            dest_mac,
            src_asset: self.assets.find(transaction.client).cloned(),
            dest_asset: self.assets.find(transaction.resolver).cloned(),
            transport: transaction.transport,
            transaction_id: transaction.id,
            opcode: said.opcode.clone(),
            header_flags: said.header.flags,
            query: asked.name.clone().unwrap_or_else(|| "unknown".to_owned()),
            query_spelled: asked
                .name
                .as_ref()
                .map_or_else(|| "unknown".to_owned(), |_| asked.name_spelled.clone()),
            other_questions: asked.other_questions.clone(),
            record_type: asked.record_type.clone(),
            query_class: asked.class_name(transaction.multicast == Some(Multicast::Mdns)),
            query_count: asked.header.questions,
            answer_count: reply.map_or(0, |message| message.header.answers),
            authority_answer_count: said.header.authorities,
            additional_answer_count: said.header.additionals,
            reply_code: reply.map(|message| message.rcode),
            answers: reply
                .map(|message| message.answers.clone())
                .unwrap_or_default(),
            duration: match (&query, &response) {
                (Some((_, query)), Some((_, response))) => {
                    Some(response.time.nanos_since(query.time))
                }
                _ => None,
            },
            edns: edns.cloned(),
            edns_options: edns_options(query.as_ref(), response.as_ref()),
            outcome: response
                .as_ref()
                .map_or(Outcome::Unanswered, |(message, side)| {
                    self.outcome(message, side, asked.name.is_some())
                }),
            anomalies: anomalies(transaction, query.as_ref(), response.as_ref(), &self.ports),
            src_role: transaction.role,
            vlan: vlan.to_vec(),
            tunnel: tunnel.iter().map(|tunnel| tunnel.name()).collect(),
            packet: first_side.number,
            response_packet: response.as_ref().map(|(_, side)| side.number),
            event_id: self.event_id(transaction, time, asked, asked_side),
            added: Vec::new(),
            wire: Wire::of(transaction, self.keeps_bytes),
        })
    }

    /// Adds to an event that was stored what this run knows beyond what its sensor knew.
    pub fn renew(&self, event: &mut Event) {
        if let Some(zone) = &self.zone {
            event.zone = Some(Arc::clone(zone));
        }
        if !self.assets.is_empty() {
            event.src_asset = self.assets.find(event.src).cloned();
            event.dest_asset = self.assets.find(event.dest).cloned();
        }
        if event.outcome == Outcome::Resolved && self.is_blocked(&event.answers) {
            event.outcome = Outcome::Blocked;
        }
    }

    /// Whether an answer leads nowhere.
    fn is_blocked(&self, answers: &[Record]) -> bool {
        answers
            .iter()
            .filter(|record| matches!(record.record_type.as_ref(), "A" | "AAAA"))
            .filter_map(|record| record.data.parse::<IpAddr>().ok())
            .any(|address| self.is_sinkhole(address))
    }

    /// What came of a lookup, by its response, and whether it is known what was asked for.
    fn outcome(&self, response: &Message, side: &Side<'_>, has_question: bool) -> Outcome {
        match (response.header.opcode(), response.rcode) {
            (0, 0) => {}
            (0, 2) => return Outcome::Servfail,
            (0, 3) => return Outcome::Nxdomain,
            (0, 5) => return Outcome::Refused,
            _ => return Outcome::Other,
        }
        if response.header.answers == 0 {
            // A truncated response says nothing, a referral says to ask somebody else, and without a question there is no
            // name that exists.
            let says_nothing =
                response.header.is_truncated() || response.is_referral || !has_question;
            return if says_nothing {
                Outcome::Other
            } else {
                Outcome::Nodata
            };
        }
        // Answers that nobody can read answer nothing; those that the capture cut did.
        if response.sound_answers == 0 && is_whole(side) {
            return Outcome::Other;
        }
        if self.is_blocked(&response.answers) {
            return Outcome::Blocked;
        }
        // An alias whose target has no record of the type asked for is no data either (RFC 2308, section 2.2).
        let only_aliases = response
            .answers
            .iter()
            .all(|record| matches!(record.record_type.as_ref(), "CNAME" | "DNAME" | "RRSIG"));
        let asked_for_them = matches!(
            response.record_type.as_ref(),
            "CNAME" | "DNAME" | "RRSIG" | "ANY" | "unknown"
        );
        let all_read = response.answers.len() == usize::from(response.header.answers);
        if only_aliases && !asked_for_them && all_read && !response.header.is_truncated() {
            Outcome::Nodata
        } else {
            Outcome::Resolved
        }
    }

    fn is_sinkhole(&self, address: IpAddr) -> bool {
        address.is_unspecified() || self.sinkholes.iter().any(|net| net.contains(&address))
    }

    /// A hash of what the same transaction has in common wherever and whenever it is replayed. Parts are fixed in length
    /// or preceded by it, so that no two differ only in where one part ends.
    fn event_id(
        &self,
        transaction: &Transaction<'_>,
        time: Timestamp,
        asked: &Message,
        side: &Side<'_>,
    ) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        part(self.sensor.as_bytes());
        part(&time.as_nanos().to_be_bytes());
        for address in [transaction.client, transaction.resolver] {
            match address {
                IpAddr::V4(address) => part(&address.octets()),
                IpAddr::V6(address) => part(&address.octets()),
            }
        }
        part(&transaction.client_port.to_be_bytes());
        part(&transaction.resolver_port.to_be_bytes());
        part(transaction.transport.name().as_bytes());
        part(&transaction.id.to_be_bytes());
        match &asked.name {
            Some(name) => {
                part(name.as_bytes());
                part(asked.record_type.as_bytes());
                part(asked.class_name(false).as_bytes());
            }
            None => part(side.bytes),
        }
        part(&transaction.occurrence.to_be_bytes());
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        id
    }
}

fn decode<'a, 'b>(side: &'b Side<'a>) -> Option<(Message, &'b Side<'a>)> {
    Message::decode(side.bytes).map(|message| (message, side))
}

/// Whether all of the message was seen.
const fn is_whole(side: &Side<'_>) -> bool {
    side.missing == 0 && !side.fragment_missing
}

/// The hardware addresses on the client's and on the resolver's side.
fn macs(transaction: &Transaction<'_>) -> (Option<Mac>, Option<Mac>) {
    let sender_first = |side: &Side<'_>| side.layers.macs;
    if let Some((src, dst)) = transaction.query.as_ref().and_then(sender_first) {
        (Some(src), Some(dst))
    } else if let Some((src, dst)) = transaction.response.as_ref().and_then(sender_first) {
        (Some(dst), Some(src))
    } else {
        (None, None)
    }
}

/// The options of both sides' OPT records, each with the side that it comes from.
fn edns_options(
    query: Option<&(Message, &Side<'_>)>,
    response: Option<&(Message, &Side<'_>)>,
) -> Vec<String> {
    let of = |side: &'static str, message: Option<&(Message, &Side<'_>)>| {
        message
            .into_iter()
            .flat_map(|(message, _)| &message.edns_options)
            .map(|option| format!("{side}:{option}"))
            .collect::<Vec<_>>()
    };
    let mut options = of("query", query);
    options.append(&mut of("response", response));
    options
}

/// What was odd, in a fixed order.
fn anomalies(
    transaction: &Transaction<'_>,
    query: Option<&(Message, &Side<'_>)>,
    response: Option<&(Message, &Side<'_>)>,
    named: &Ports,
) -> Vec<Anomaly> {
    let mut list = Vec::new();
    let mut add = |condition: bool, anomaly: Anomaly| {
        if condition {
            list.push(anomaly);
        }
    };
    add(
        transaction.multicast == Some(Multicast::Mdns),
        Anomaly::Mdns,
    );
    add(
        transaction.multicast == Some(Multicast::Llmnr),
        Anomaly::Llmnr,
    );
    let truncated = response.is_some_and(|(message, _)| message.header.is_truncated());
    add(truncated, Anomaly::Truncated);
    add(transaction.is_tcp_retry, Anomaly::TcpRetry);
    let sides = || {
        [query, response]
            .into_iter()
            .flatten()
            .map(|(_, side)| side)
    };
    add(
        sides().any(|side| side.missing > 0 && !side.fragment_missing),
        Anomaly::Snaplen,
    );
    add(
        sides().any(|side| side.fragment_missing),
        Anomaly::FragmentMissing,
    );
    add(
        transaction.retransmitted > 0,
        Anomaly::Retransmitted(transaction.retransmitted),
    );
    add(transaction.is_late, Anomaly::LateResponse);
    add(transaction.is_differing, Anomaly::MultipleResponses);
    add(transaction.is_response_first, Anomaly::ResponseFirst);
    add(transaction.is_id_mismatch, Anomaly::IdMismatch);
    if let Some(address) = transaction.answered_from {
        add(true, Anomaly::AnsweredFrom(address));
    }
    add(transaction.is_port_mismatch, Anomaly::PortMismatch);
    let ports = [transaction.client_port, transaction.resolver_port];
    let tapped = sides().any(|side| side.layers.are_tapped());
    // A server says by itself that its messages are DNS.
    add(!named.contain_one_of(ports) && !tapped, Anomaly::OtherPort);
    let addresses = [transaction.client, transaction.resolver];
    let is_missing = addresses.iter().any(IpAddr::is_unspecified) || ports.contains(&0);
    add(tapped && is_missing, Anomaly::AddressMissing);
    let messages = || [query, response].into_iter().flatten();
    for section in Section::ALL {
        for (message, side) in messages() {
            let anomaly = Anomaly::Malformed(section.name(message.header.opcode()));
            // What was not seen is not the sender's fault.
            if is_whole(side) && message.malformed.contains(&section) && !list.contains(&anomaly) {
                list.push(anomaly);
            }
        }
    }
    for what in [Cut::Questions, Cut::Answers, Cut::Options] {
        // A query's answers are not shown.
        let is_shown = |message: &Message| what != Cut::Answers || message.header.is_response();
        if messages().any(|(message, _)| message.cut.contains(&what) && is_shown(message)) {
            list.push(Anomaly::Cut(what.name()));
        }
    }
    list
}
