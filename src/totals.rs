//! What is said on standard error at the end of a run: what was found, and what could be seen at all. *No rows* must never
//! look like *nothing was there*.

use std::fmt::Write;

use crate::pipeline::Report;
use crate::stats::{Delivery, Stats};
use crate::time::Timestamp;

/// What cannot be known of a run that read stored events.
const WITHOUT_PACKETS: &str = "events were read, and no packets: what was seen of encrypted connections, of hosts behind resolvers and of losses is in the records of the sensors alone.";

/// The totals in a few lines; all counters too where `verbose`.
#[must_use]
pub fn totals(report: &Report, verbose: bool) -> String {
    let stats = &report.stats;
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    line(found(report));
    for words in visible(report) {
        line(words);
    }
    if verbose {
        line(counters(stats));
    }
    text
}

/// `2 sources, 15 lookups of 48,211 by 112 clients in 8 h; 99.2 % answered; 0 packets dropped, 31 copies counted once.`
fn found(report: &Report) -> String {
    let stats = &report.stats;
    let over = |first: Option<Timestamp>, last: Option<Timestamp>| match first.zip(last) {
        Some((first, last)) => format!(" in {}", duration(last.since(first))),
        None => String::new(),
    };
    let matched = format!(
        "{}, {}",
        counted(report.sources_with_hits, "source"),
        counted(stats.rows.events_matched, "lookup")
    );
    if report.stored {
        let stored = &stats.stored;
        return format!(
            "{matched} of {} that were read again{}; {} that came twice, counted once.",
            thousands(stored.events),
            over(stored.first, stored.last),
            thousands(stored.copies)
        );
    }
    let transactions = &stats.transactions;
    let lookups = transactions.answered
        + transactions.unanswered
        + transactions.response_only
        + transactions.multicast;
    let span = over(stats.capture.first, stats.capture.last);
    let asked = transactions.answered + transactions.unanswered;
    let answered = if asked == 0 {
        String::new()
    } else {
        format!(" {} answered;", percent(transactions.answered, asked))
    };
    let dropped = stats.capture.kernel_dropped + stats.capture.interface_dropped;
    let copies = stats.messages.query_copy
        + stats.messages.response_copy
        + transactions.multicast_copy
        + stats.segments.copy;
    format!(
        "{matched} of {} by {}{}{span};{answered} {} dropped, {} counted once.",
        thousands(lookups),
        if stats.hosts.more { "more than " } else { "" },
        counted(stats.hosts.clients, "client"),
        counted(dropped, "packet"),
        if copies == 1 {
            "1 copy".to_owned()
        } else {
            format!("{} copies", thousands(copies))
        },
    )
}

/// What a reader of *no rows* has to know: what was there to be seen, and what was not.
fn visible(report: &Report) -> Vec<String> {
    let stats = &report.stats;
    let mut lines = Vec::new();
    let (capture, packets, messages, transactions) = (
        &stats.capture,
        &stats.packets,
        &stats.messages,
        &stats.transactions,
    );
    let mut warn = |condition: bool, words: String| {
        if condition {
            lines.push(format!("warning: {words}"));
        }
    };
    let heard = messages.total() - messages.not_dns;
    warn(
        report.stored && stats.received() == 0,
        "the database gave no event: is it the right one, do sensors send their --events there, and do --since and --until hold any?"
            .to_owned(),
    );
    warn(
        !report.stored && capture.received == 0,
        "no packet was seen: is this the right interface, does the resolver send dnstap here, is the file empty, or does a filter let nothing through?"
            .to_owned(),
    );
    warn(
        capture.received > 0 && heard == 0,
        format!(
            "no DNS message was seen in {}: {}",
            counted(capture.received, "packet"),
            instead(stats)
        ),
    );
    let queries = messages.query + messages.query_retransmitted + messages.query_copy;
    let responses = messages.response + messages.response_unmatched + messages.response_differing;
    warn(
        queries > 10 && responses == 0,
        "one direction only: queries, and not one response. Mirror both directions, or answers and outcomes stay unknown".to_owned(),
    );
    warn(
        responses > 10 && queries == 0,
        "one direction only: responses, and not one query. Mirror both directions, or unanswered lookups go unseen".to_owned(),
    );
    let asked = transactions.answered + transactions.unanswered;
    warn(
        responses > 0 && asked > 20 && transactions.answered * 2 < asked,
        format!(
            "only {} of the queries have a response: part of the traffic does not pass here",
            percent(transactions.answered, asked)
        ),
    );
    for filter in stats.filters.filters.iter().filter(|it| it.passed > 0) {
        warn(
            true,
            format!(
                "{} since {} that the filter {}:{} would have removed: it has expired",
                counted(filter.passed, "hit"),
                filter.expires.to_date(),
                filter.file,
                filter.line
            ),
        );
    }
    for words in hidden_clients(stats) {
        warn(true, words);
    }
    if let Some(words) = encrypted_dns(stats) {
        warn(true, words);
    }
    for words in not_in_evidence(stats) {
        warn(true, words);
    }
    let dropped = capture.kernel_dropped + capture.interface_dropped;
    warn(
        dropped > 0,
        format!(
            "{} dropped before it was seen ({} by the kernel, {} by the interface): lookups are missing. A larger --buffer-size helps",
            counted(dropped, "packet"),
            thousands(capture.kernel_dropped),
            thousands(capture.interface_dropped)
        ),
    );
    warn(
        capture.dnstap_refused + capture.dnstap_cut > 0,
        format!(
            "of {} for dnstap {} refused (too many, or not dnstap), and {} ended in the middle of a frame or without STOP",
            counted(capture.dnstap_connections, "connection"),
            thousands(capture.dnstap_refused),
            thousands(capture.dnstap_cut),
        ),
    );
    let unread = stats.dnstap.malformed + stats.dnstap.not_a_message + stats.dnstap.no_dns;
    warn(
        unread > 0,
        format!("{} of dnstap held no DNS message", counted(unread, "frame")),
    );
    let unseen = [
        (packets.tunnel, "in tunnels that are not followed"),
        (
            stats.fragments.timed_out + stats.fragments.evicted + stats.fragments.unfinished,
            "in fragments that did not all come",
        ),
        (packets.fragment_overlap, "in fragments that overlap"),
        (
            packets.too_deep,
            "in more tunnels than --tunnel-depth takes off",
        ),
        (packets.encrypted, "encrypted"),
        (
            packets.unsupported_link,
            "of link types that are not followed",
        ),
        (packets.malformed, "with malformed headers"),
        (packets.snaplen, "cut off within their headers"),
        (stats.segments.dropped, "TCP segments that fit no stream"),
    ];
    let list: Vec<String> = unseen
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", thousands(*count)))
        .collect();
    warn(
        !list.is_empty(),
        format!("packets that could not be looked into: {}", list.join(", ")),
    );
    warn(
        capture.messages_cut > 0,
        format!(
            "{} of {} over UDP cut off by the snaplen: what stood behind it, answers above all, was not seen. Capture whole packets",
            thousands(capture.messages_cut),
            counted(packets.udp + stats.further.udp, "message"),
        ),
    );
    warn(
        stats.streams.gaps > 0 && stats.streams.lost_bytes > 0,
        format!(
            "{} of TCP streams were lost in {}",
            counted(stats.streams.lost_bytes, "byte"),
            counted(stats.streams.gaps, "hole")
        ),
    );
    warn(
        stats.rows.shown_cut > 0,
        format!(
            "{} not shown at once, new or not, because too many were; all are in the table",
            counted(stats.rows.shown_cut, "lookup")
        ),
    );
    warn(
        stats.rows.correlation_evicted > 0,
        format!(
            "{} forgotten by correlations before their time, because too many were remembered: what they hold of may be missing",
            counted(stats.rows.correlation_evicted, "hit")
        ),
    );
    warn(
        stats.events.evicted > 0,
        format!(
            "{} closed early, because too many were open",
            counted(stats.events.evicted, "transaction")
        ),
    );
    let broken: Vec<String> = stats
        .identities
        .iter()
        .filter(|identity| !identity.holds)
        .map(|identity| {
            format!(
                "{} ({} is not {})",
                identity.says, identity.left, identity.right
            )
        })
        .collect();
    if stats.filters.removed > 0 {
        let removing = stats.filters.filters.iter().filter(|it| it.removed > 0);
        lines.push(format!(
            "{} removed by {}.",
            counted(stats.filters.removed, "hit"),
            counted(removing.count() as u64, "filter")
        ));
    }
    for delivery in &stats.deliveries {
        lines.push(delivered(delivery));
    }
    let found = stats.any_port.udp_messages + stats.any_port.tcp_messages;
    if found > 0 {
        lines.push(format!(
            "{} found by their shape on ports that were not named, in {}; the anomaly is other_port.",
            counted(found, "message"),
            counted(stats.any_port.conversations, "conversation")
        ));
    }
    if broken.is_empty() {
        if report.stored {
            lines.push(WITHOUT_PACKETS.to_owned());
        }
        lines.push(format!(
            "{} received, every one accounted for: {}.",
            counted(
                stats.received(),
                if report.stored { "record" } else { "packet" }
            ),
            account(report)
        ));
    } else {
        lines.push(format!(
            "error: the counters do not add up: {}",
            broken.join("; ")
        ));
    }
    lines
}

/// `hits to hec+https://splunk.example: 1,204 delivered, 2 refused.`
fn delivered(delivery: &Delivery) -> String {
    let mut parts = vec![format!("{} delivered", thousands(delivery.delivered))];
    let losses = [
        (
            delivery.cut,
            "of them cut, since the place takes none so long",
        ),
        (delivery.refused, "refused"),
        (delivery.dropped, "dropped because the spool was full"),
        (delivery.not_stored, "lost because the disk was full"),
        (delivery.damaged, "damaged in the spool"),
        (delivery.left, "left in the spool"),
    ];
    let losses = losses.iter().filter(|(count, _)| *count > 0);
    let [_, records] = Delivery::nouns(&delivery.stream);
    parts.extend(losses.map(|(count, what)| format!("{} {what}", thousands(*count))));
    format!("{} to {}: {}.", records, delivery.place, parts.join(", "))
}

/// What of the packets that hit, or have DNS, was not written.
fn not_in_evidence(stats: &Stats) -> Vec<String> {
    let (evidence, written) = (&stats.evidence, &stats.written_packets);
    let mut said = Vec::new();
    if evidence.hits_without_packets > 0 {
        said.push(format!(
            "{} of which no packet was seen: their lookups are known by dnstap, and not in the evidence",
            counted(evidence.hits_without_packets, "hit")
        ));
    }
    if evidence.lost > 0 {
        said.push(format!(
            "{} a packet of a hit came in too many parts to be kept, and is not in the evidence",
            counted(evidence.lost, "time")
        ));
    }
    if evidence.forgotten > 0 {
        said.push(format!(
            "{} that came again were forgotten for want of room, before it was known whether they belong to what hit: the evidence may lack them",
            counted(evidence.forgotten, "packet")
        ));
    }
    if written.without_packets > 0 {
        said.push(format!(
            "{} of dnstap cannot be written as packets: --write left them out",
            counted(written.without_packets, "frame")
        ));
    }
    said
}

/// Who asks where nobody can read it: that there is no row for somebody must not look as if there was nothing.
fn encrypted_dns(stats: &Stats) -> Option<String> {
    let seen = &stats.encrypted_dns;
    let connections = seen.dot + seen.doq + seen.doh;
    if seen.sources == 0 {
        return None;
    }
    let mut parts = vec![counted(seen.sources, "source")];
    if connections > 0 {
        parts.push(format!(
            "{} ({} answered)",
            counted(connections, "connection"),
            thousands(seen.answered)
        ));
    }
    if seen.lookups > 0 {
        parts.push(format!(
            "{} of resolvers' names",
            counted(seen.lookups, "lookup")
        ));
    }
    let mut resolvers: Vec<String> = seen
        .resolvers
        .iter()
        .take(3)
        .map(|resolver| {
            let count = resolver.connections + resolver.lookups;
            format!("{} {}", resolver.name, thousands(count))
        })
        .collect();
    if seen.more_resolvers || seen.resolvers.len() > resolvers.len() {
        resolvers.push("others".to_owned());
    }
    Some(format!(
        "encrypted DNS seen: {}, with {}. What is asked there cannot be read: that a source has no rows does not mean that it asked for nothing. --sources lists these sources",
        parts.join(", "),
        resolvers.join(", ")
    ))
}

/// Where nearly all lookups hide who asked: behind whom, and where to mirror instead.
fn hidden_clients(stats: &Stats) -> Vec<String> {
    let hidden = &stats.hidden_clients;
    let lookups = stats.messages.query;
    let all = hidden.behind_resolvers.saturating_add(hidden.behind_nat);
    if lookups <= 10 || all.saturating_mul(5) <= lookups.saturating_mul(4) {
        return Vec::new();
    }
    let addresses = |role: &str| {
        let list: Vec<String> = hidden
            .addresses
            .iter()
            .filter(|behind| behind.role == role)
            .map(|behind| behind.address.to_string())
            .collect();
        match list.get(..3) {
            Some(first) if list.len() > 3 || hidden.more_addresses > 0 => {
                format!("{} and others", first.join(", "))
            }
            _ => list.join(", "),
        }
    };
    [
        (
            hidden.behind_resolvers,
            "resolver",
            "come from resolvers that answer nobody here",
            "Mirror the links on which hosts ask these resolvers instead, not those on which the resolvers ask the world",
        ),
        (
            hidden.behind_nat,
            "nat",
            "come through NAT",
            "Mirror the inside of it instead",
        ),
    ]
    .into_iter()
    .filter(|(part, ..)| *part > 0)
    .map(|(part, role, how, advice)| {
        format!(
            "{} of the lookups {how} ({}): rows name these addresses, and the hosts behind them stay hidden. {advice}",
            percent(part, lookups),
            addresses(role)
        )
    })
    .collect()
}

/// What the packets were that held no DNS.
fn instead(stats: &Stats) -> String {
    let packets = &stats.packets;
    let list: Vec<String> = [
        (
            stats.capture.other_port + packets.other_port,
            "on other ports",
        ),
        (packets.other_protocol, "of other protocols"),
        (packets.not_ip, "not IP"),
        (packets.fragment, "fragments"),
        (packets.tunnel, "in tunnels"),
        (
            packets.unsupported_link,
            "of a link type that is not followed",
        ),
        (packets.malformed + packets.snaplen, "malformed or cut"),
        (packets.tcp, "TCP on DNS ports without a message"),
        (stats.messages.not_dns, "on DNS ports that are not DNS"),
        (stats.capture.outside_time, "outside --since and --until"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", thousands(*count)))
    .collect();
    list.join(", ")
}

/// The packets, or the stored records, by what became of them.
fn account(report: &Report) -> String {
    let stats = &report.stats;
    let mut packets = stats.packets;
    packets.other_port += stats.capture.other_port;
    let stored = &stats.stored;
    let records = [
        ("events", stored.events),
        ("copies", stored.copies),
        ("unreadable", stored.unreadable),
    ];
    let mut list: Vec<String> = packets
        .named()
        .chain(records)
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{} {name}", thousands(count)))
        .collect();
    if stats.capture.outside_time > 0 {
        list.push(format!(
            "{} outside_time",
            thousands(stats.capture.outside_time)
        ));
    }
    if list.is_empty() {
        "none".to_owned()
    } else {
        list.join(", ")
    }
}

/// Every counter that is not zero, a line for each section.
fn counters(stats: &Stats) -> String {
    let mut text = String::new();
    let mut section = |name: &str, counters: Vec<(&'static str, u64)>| {
        let list: Vec<String> = counters
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {}", thousands(*count)))
            .collect();
        // Writing to a string does not fail.
        writeln!(
            text,
            "{name}: {}",
            if list.is_empty() {
                "-".to_owned()
            } else {
                list.join(", ")
            }
        )
        .ok();
    };
    section("packets", stats.packets.named().collect());
    section("dnstap", stats.dnstap.named().collect());
    section("any_port", stats.any_port.named().collect());
    section("segments", stats.segments.named().collect());
    section("streams", stats.streams.named().collect());
    section("messages", stats.messages.named().collect());
    section("transactions", stats.transactions.named().collect());
    section("stored", stats.stored.named().collect());
    section(
        "events",
        vec![
            ("made", stats.events.made),
            ("not_looked_into", stats.events.not_looked_into),
            ("outside_time", stats.events.outside_time),
            ("evicted", stats.events.evicted),
        ],
    );
    let encrypted = &stats.encrypted_dns;
    section(
        "encrypted_dns",
        vec![
            ("dot", encrypted.dot),
            ("doq", encrypted.doq),
            ("doh", encrypted.doh),
            ("answered", encrypted.answered),
            ("lookups", encrypted.lookups),
            ("sources", encrypted.sources),
            ("forgotten", encrypted.forgotten),
        ],
    );
    section("rows", stats.rows.named().collect());
    section("risk", stats.risk.named().collect());
    section("evidence", stats.evidence.named().collect());
    section("written packets", stats.written_packets.named().collect());
    section("reloads", stats.reloads.named().collect());
    for delivery in &stats.deliveries {
        section("delivery", delivery.named().collect());
    }
    for filter in &stats.filters.filters {
        let state = if filter.expired { "expired" } else { "expires" };
        writeln!(
            text,
            "filter {}:{} of '{}' ({}): removed {}, {state} {}, passed {}",
            filter.file,
            filter.line,
            filter.rule,
            filter.owner,
            thousands(filter.removed),
            filter.expires.to_date(),
            thousands(filter.passed)
        )
        .ok();
    }
    for identity in &stats.identities {
        writeln!(
            text,
            "{}: {} = {}",
            identity.says, identity.left, identity.right
        )
        .ok();
    }
    text.trim_end().to_owned()
}

/// `1 client`, `112 clients`.
fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(count))
}

/// `48,211`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `99.2 %`. What is not all is never shown as 100.0.
fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// `8 h`, `31 min`, `12 s`, `0.4 s`.
fn duration(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{EncryptedDns, EncryptedResolver, HiddenBehind, HiddenClients, Messages};
    use std::time::Duration;

    /// A run with so many lookups, and what of them hides its clients.
    fn hiding(lookups: u64, behind: &[(&str, &'static str, u64)]) -> Vec<String> {
        let sum = |role: &str| {
            let of_role = behind.iter().filter(|(_, other, _)| *other == role);
            of_role.map(|(_, _, lookups)| lookups).sum()
        };
        hidden_clients(&Stats {
            messages: Messages {
                query: lookups,
                ..Messages::default()
            },
            hidden_clients: HiddenClients {
                behind_resolvers: sum("resolver"),
                behind_nat: sum("nat"),
                addresses: behind
                    .iter()
                    .map(|(address, role, lookups)| HiddenBehind {
                        address: address.parse().unwrap(),
                        role,
                        lookups: *lookups,
                    })
                    .collect(),
                more_addresses: 0,
            },
            ..Stats::default()
        })
    }

    #[test]
    fn encrypted_dns_is_told() {
        let told = |encrypted_dns: EncryptedDns| {
            super::encrypted_dns(&Stats {
                encrypted_dns,
                ..Stats::default()
            })
        };
        assert_eq!(told(EncryptedDns::default()), None);
        let resolver = |name: &str, connections, lookups| EncryptedResolver {
            name: name.to_owned(),
            connections,
            lookups,
        };
        let text = told(EncryptedDns {
            dot: 1_000,
            doq: 2,
            doh: 30,
            answered: 31,
            lookups: 1,
            sources: 12,
            resolvers: vec![
                resolver("10.9.0.53", 1_000, 0),
                resolver("Cloudflare", 30, 1),
                resolver("Google", 1, 0),
                resolver("Quad9", 1, 0),
            ],
            ..EncryptedDns::default()
        });
        assert!(
            text.is_some_and(|text| text.starts_with(
                "encrypted DNS seen: 12 sources, 1,032 connections (31 answered), 1 lookup of resolvers' names, with 10.9.0.53 1,000, Cloudflare 31, Google 1, others. "
            ))
        );
        let text = told(EncryptedDns {
            lookups: 2,
            sources: 1,
            resolvers: vec![resolver("Google", 0, 2)],
            ..EncryptedDns::default()
        });
        assert!(text.is_some_and(|text| text.starts_with(
            "encrypted DNS seen: 1 source, 2 lookups of resolvers' names, with Google 2. "
        )));
    }

    #[test]
    fn where_to_mirror_instead() {
        let one = ("192.0.2.1", "resolver", 81);
        assert_eq!(
            hiding(100, &[one]),
            [
                "81.0 % of the lookups come from resolvers that answer nobody here (192.0.2.1): rows name these addresses, and the hosts behind them stay hidden. Mirror the links on which hosts ask these resolvers instead, not those on which the resolvers ask the world"
            ]
        );
        // Four fifths are not more than four fifths; a handful of lookups says nothing.
        assert_eq!(hiding(100, &[("192.0.2.1", "resolver", 80)]), [""; 0]);
        assert_eq!(hiding(10, &[("192.0.2.1", "resolver", 10)]), [""; 0]);
        let both = hiding(
            100,
            &[
                ("192.0.2.7", "nat", 50),
                ("192.0.2.1", "resolver", 30),
                ("192.0.2.2", "resolver", 5),
                ("2001:db8::3", "resolver", 3),
                ("192.0.2.4", "resolver", 2),
            ],
        );
        assert_eq!(both.len(), 2);
        assert!(
            both[0].starts_with("40.0 %")
                && both[0].contains("(192.0.2.1, 192.0.2.2, 2001:db8::3 and others)"),
            "{both:?}"
        );
        assert!(
            both[1].starts_with("50.0 % of the lookups come through NAT (192.0.2.7)"),
            "{both:?}"
        );
    }

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(48_211), "48,211");
        assert_eq!(thousands(1_000_000), "1,000,000");
        assert_eq!(percent(1, 1), "100.0 %");
        assert_eq!(percent(999_999, 1_000_000), "99.9 %");
        assert_eq!(counted(1, "client"), "1 client");
        assert_eq!(duration(Duration::from_millis(400)), "0.4 s");
        assert_eq!(duration(Duration::from_secs(8 * 3600 + 59)), "8 h");
    }
}
