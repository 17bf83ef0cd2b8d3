//! *No rows* must never look like *nothing was there*: what could be seen at all is said on standard error.

use super::{capture, dnsterrier, file, pcap, stderr, stdout};
use pcap::Record;

/// Runs over packets; gives standard error of a run that went well and had that many rows.
fn verdict(records: &[Record], more: &[&str], rows: usize) -> String {
    let (_folder, path) = pcap::made(records);
    let arguments = [&[&path, "--format", "jsonl"], more].concat();
    let output = dnsterrier(arguments);
    assert_eq!(stdout(&output).lines().count(), rows, "{}", stderr(&output));
    stderr(&output)
}

fn says(text: &str, part: &str) {
    assert!(text.contains(part), "'{part}' is not in: {text}");
}

/// The packets of the main capture by their UDP port, as (source, destination); those without one have none.
fn by_ports(wanted: impl Fn(Option<(u16, u16)>) -> bool) -> Vec<Record> {
    pcap::read(&file("captures/ngrok.pcap"))
        .into_iter()
        .filter(|record| {
            let word = |at: usize| u16::from_be_bytes([record.bytes[at], record.bytes[at + 1]]);
            // UDP in IPv4 without options, or straight in IPv6; there is no other in this capture.
            let transport = match word(12) {
                0x0800 if record.bytes[23] == 17 => Some(34),
                0x86DD if record.bytes[20] == 17 => Some(54),
                _ => None,
            };
            wanted(transport.map(|at| (word(at), word(at + 2))))
        })
        .collect()
}

#[test]
fn a_capture_without_packets() {
    says(&verdict(&[], &[], 0), "warning: no packet was seen");
}

#[test]
fn a_capture_without_dns() {
    let records = by_ports(|ports| ports.is_none());
    // The lookup over TCP is no UDP.
    let records: Vec<Record> = records
        .into_iter()
        .filter(|record| {
            record.bytes[12..14] == [8, 0] && {
                let ports = [&record.bytes[34..36], &record.bytes[36..38]];
                record.bytes[23] == 6 && !ports.contains(&&[0, 53][..])
            }
        })
        .collect();
    assert!(records.len() > 20, "{}", records.len());
    let text = verdict(&records, &[], 0);
    says(
        &text,
        &format!(
            "warning: no DNS message was seen in {} packets",
            records.len()
        ),
    );
    says(&text, &format!("{} on other ports", records.len()));
}

#[test]
fn queries_alone() {
    // 11 or more, as everything of the main capture that goes to port 53.
    let records = by_ports(|ports| ports.is_some_and(|(_, destination)| destination == 53));
    assert!(records.len() > 400);
    // Every name of the rule has one row, without an answer.
    let text = verdict(&records, &["--name", "tunnel.ngrok.com"], 1);
    says(
        &text,
        "warning: one direction only: queries, and not one response",
    );
    says(&text, "0.0 % answered");
}

#[test]
fn responses_alone() {
    let records = by_ports(|ports| ports.is_some_and(|(source, _)| source == 53));
    assert!(records.len() > 400);
    let text = verdict(&records, &["--name", "tunnel.ngrok.com"], 1);
    says(
        &text,
        "warning: one direction only: responses, and not one query",
    );
}

/// Half of the responses do not pass here.
#[test]
fn a_part_of_the_responses() {
    let mut responses = 0;
    let records = by_ports(|ports| ports.is_some());
    let records: Vec<Record> = records
        .into_iter()
        .filter(|record| {
            let is_ipv4 = record.bytes[12] == 8;
            let at = if is_ipv4 { 34 } else { 54 };
            let is_response = record.bytes[at..at + 2] == [0, 53];
            responses += u32::from(is_response);
            !is_response || responses % 4 == 0
        })
        .collect();
    says(
        &verdict(&records, &["--name", "not.there"], 0),
        "of the queries have a response: part of the traffic does not pass here",
    );
}

/// What is all there is not warned of.
#[test]
fn a_capture_with_everything() {
    for name in ["ngrok.pcap", "ngrok.pcapng", "vlan.pcap", "span-twice.pcap"] {
        let output = dnsterrier([&capture(name), "--name", "not.there"]);
        let text = stderr(&output);
        assert_eq!(stdout(&output), "", "{name}");
        assert!(!text.contains("warning"), "{name}: {text}");
        says(&text, "0 sources, 0 lookups of ");
        says(&text, "100.0 % answered");
        says(&text, "every one accounted for");
    }
    says(
        &stderr(&dnsterrier([capture("span-twice.pcap")])),
        "copies counted once",
    );
}

/// As tshark counts: `tshark -r captures/cut.pcap -Y 'udp && frame.cap_len < frame.len'` shows 21 packets, `-Y udp` 28.
#[test]
fn a_small_snaplen() {
    says(
        &stderr(&dnsterrier([&capture("cut.pcap"), "--no-embedded"])),
        "warning: 21 of 28 messages over UDP cut off by the snaplen",
    );
}

#[test]
fn filters_ports_and_times_that_leave_nothing() {
    let path = capture("ngrok.pcap");
    says(
        &stderr(&dnsterrier([&path, "--ports", "54"])),
        "warning: no DNS message was seen in 1,181 packets: 1,181 on other ports",
    );
    says(
        &stderr(&dnsterrier([&path, "--since", "2027-01-01"])),
        "1,181 outside --since and --until",
    );
    says(
        &stderr(&dnsterrier(["-r", &path, "udp port 54"])),
        "warning: no packet was seen",
    );
}

#[test]
fn a_filter_that_leaves_nothing_is_named() {
    says(
        &stderr(&dnsterrier(["-r", &capture("ngrok.pcap"), "udp port 54"])),
        "filter",
    );
}

#[test]
fn a_run_without_rules_says_so() {
    says(
        &stderr(&dnsterrier([&capture("ngrok.pcap"), "--no-embedded"])),
        "no rule",
    );
}

/// Files may come in any order: the span of time is from the earliest packet to the latest.
#[test]
fn the_span_of_time_is_that_of_all_files() {
    let (early, late) = (capture("ngrok.pcap"), capture("vlan.pcap"));
    let span = |arguments: [&str; 2]| {
        let text = stderr(&dnsterrier(arguments));
        text.split(" in ")
            .nth(1)
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(span([&late, &early]), span([&early, &late]));
}
