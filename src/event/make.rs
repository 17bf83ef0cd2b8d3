//! A transaction becomes an event.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Anomaly, Assets, Event, NO_QUESTION, Outcome, Seen, Wire};
use crate::frame::{Mac, Ports};
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

/// The messages of the transaction that was made an event of last, for the memory that they are in.
#[derive(Debug, Default)]
pub struct Decoded {
    query: Message,
    response: Message,
    /// What its identity was made of.
    identity: Vec<u8>,
}

impl Maker {
    /// The event of a transaction. `None` where it has no message at all.
    #[must_use]
    pub fn event(&self, transaction: &Transaction<'_>) -> Option<Event> {
        let mut event = Event::default();
        let is_one = self.fill(transaction, &mut Decoded::default(), &mut event);
        is_one.then_some(event)
    }

    /// The same in the place of another event, which gives its memory to the next one. `false`, and leaves it alone, where the
    /// transaction has no message at all.
    pub fn fill(
        &self,
        transaction: &Transaction<'_>,
        decoded: &mut Decoded,
        event: &mut Event,
    ) -> bool {
        let query = transaction.query.as_ref();
        let query = query.filter(|side| decoded.query.read(side.bytes));
        let query = query.map(|side| (&decoded.query, side));
        let response = transaction.response.as_ref();
        let asked = query.map(|(message, side)| (message, side.bytes));
        let response = response.filter(|side| decoded.response.read_response(side.bytes, asked));
        let response = response.map(|side| (&decoded.response, side));
        // What the response repeats, it may repeat wrongly: who asked, and for what, the query knows best.
        let has_name = |side: Option<(&Message, _)>| side.is_some_and(|it| it.0.name.is_some());
        let query_asks = has_name(query) || (query.is_some() && !has_name(response));
        let asks = if query_asks { query } else { response };
        let (Some((asked, asked_side)), Some((said, _)), Some((_, first_side))) =
            (asks, response.or(query), query.or(response))
        else {
            return false;
        };
        let reply = response.map(|(message, _)| message);
        // Every field is named, so that none stays as it was in the event before.
        let Event {
            time,
            sensor,
            source,
            zone,
            seen,
            src,
            src_port,
            src_mac,
            dest,
            dest_port,
            dest_mac,
            src_asset,
            dest_asset,
            transport,
            transaction_id,
            opcode,
            header_flags,
            query: query_name,
            query_spelled,
            other_questions,
            record_type,
            query_class,
            query_count,
            answer_count,
            authority_answer_count,
            additional_answer_count,
            reply_code,
            answers,
            duration,
            edns,
            edns_options,
            outcome,
            anomalies,
            src_role,
            vlan,
            tunnel,
            packet,
            response_packet,
            event_id,
            added,
            wire,
        } = event;
        *time = first_side.time;
        share(sensor, &self.sensor);
        match self.sources.get(usize::from(first_side.input)) {
            Some(name) => share(source, name),
            None => *source = Arc::from(""),
        }
        zone.clone_from(&self.zone);
        *seen = match (query, response) {
            (Some(_), Some(_)) => Seen::Both,
            (Some(_), None) => Seen::QueryOnly,
            (None, _) => Seen::ResponseOnly,
        };
        *src = transaction.client;
        *src_port = transaction.client_port;
        *dest = transaction.resolver;
        *dest_port = transaction.resolver_port;
        (*src_mac, *dest_mac) = macs(transaction);
        *src_asset = self.assets.find(transaction.client).cloned();
        *dest_asset = self.assets.find(transaction.resolver).cloned();
        *transport = transaction.transport;
        *transaction_id = transaction.id;
        opcode.clone_from(&said.opcode);
        *header_flags = said.header.flags;
        record_type.clone_from(&asked.record_type);
        *query_class = asked.class_name(transaction.multicast == Some(Multicast::Mdns));
        *query_count = asked.header.questions;
        *answer_count = reply.map_or(0, |message| message.header.answers);
        *authority_answer_count = said.header.authorities;
        *additional_answer_count = said.header.additionals;
        *reply_code = reply.map(|message| message.rcode);
        *duration = query
            .zip(response)
            .map(|((_, query), (_, response))| response.time.nanos_since(query.time));
        let edns_of = |side: Option<(&'_ Message, _)>| side.and_then(|it| it.0.edns.clone());
        *edns = edns_of(query).or_else(|| edns_of(response));
        *outcome = response.map_or(Outcome::Unanswered, |(message, side)| {
            self.outcome(message, side, asked.name.is_some())
        });
        anomalies.clear();
        add_anomalies(transaction, query, response, &self.ports, anomalies);
        *src_role = transaction.role;
        vlan.clear();
        vlan.extend_from_slice(&first_side.layers.vlan);
        tunnel.clear();
        tunnel.extend(first_side.layers.tunnel.iter().map(|tunnel| tunnel.name()));
        *packet = first_side.number;
        *response_packet = response.map(|(_, side)| side.number);
        *event_id = self.event_id(
            transaction,
            first_side.time,
            asked,
            asked_side,
            &mut decoded.identity,
        );
        added.clear();
        *wire = Wire::of(transaction, self.keeps_bytes);
        // The texts change places, so that nobody copies them, and the next message has memory for its own.
        edns_options.clear();
        let is_answered = reply.is_some();
        if query.is_some() {
            add_options("query:", &mut decoded.query, edns_options);
        }
        if is_answered {
            add_options("response:", &mut decoded.response, edns_options);
        }
        let asked = match query_asks {
            true => &mut decoded.query,
            false => &mut decoded.response,
        };
        match &mut asked.name {
            Some(name) => {
                std::mem::swap(query_name, name);
                std::mem::swap(query_spelled, &mut asked.name_spelled);
            }
            None => {
                for name in [query_name, query_spelled] {
                    NO_QUESTION.clone_into(name);
                }
            }
        }
        std::mem::swap(other_questions, &mut asked.other_questions);
        match is_answered {
            true => std::mem::swap(answers, &mut decoded.response.answers),
            false => answers.clear(),
        }
        true
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
        // Where no other address was named, few texts can be one that stands for it.
        let may_be_sinkhole =
            |text: &str| !self.sinkholes.is_empty() || text.starts_with(['0', ':']);
        answers
            .iter()
            .filter(|record| matches!(record.record_type.as_ref(), "A" | "AAAA"))
            .filter(|record| may_be_sinkhole(&record.data))
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
    /// or preceded by it, so that no two differ only in where one part ends. All of it comes together in `identity` first:
    /// to hash many parts costs more than to hash one.
    fn event_id(
        &self,
        transaction: &Transaction<'_>,
        time: Timestamp,
        asked: &Message,
        side: &Side<'_>,
        identity: &mut Vec<u8>,
    ) -> [u8; 16] {
        identity.clear();
        let mut part = |bytes: &[u8]| {
            identity.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            identity.extend_from_slice(bytes);
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
        let hash = *blake3::hash(identity).as_bytes();
        hash.first_chunk().copied().unwrap_or_default()
    }
}

/// Makes `to` the one that `from` is; mostly it is already, and nothing is counted.
fn share(to: &mut Arc<str>, from: &Arc<str>) {
    if !Arc::ptr_eq(to, from) {
        *to = Arc::clone(from);
    }
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

/// Takes the options of a side's OPT record, and puts before each the side that it comes from.
fn add_options(side: &str, message: &mut Message, options: &mut Vec<String>) {
    let options_of = message.edns_options.drain(..);
    options.extend(options_of.map(|mut option| {
        option.insert_str(0, side);
        option
    }));
}

/// Adds what was odd, in a fixed order.
fn add_anomalies(
    transaction: &Transaction<'_>,
    query: Option<(&Message, &Side<'_>)>,
    response: Option<(&Message, &Side<'_>)>,
    named: &Ports,
    list: &mut Vec<Anomaly>,
) {
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
    if messages().all(|(message, _)| message.malformed.is_empty() && message.cut.is_empty()) {
        return;
    }
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
}

#[cfg(test)]
mod tests;
