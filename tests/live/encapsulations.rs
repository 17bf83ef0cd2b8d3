//! What a mirror, a cloud or a network wraps around DNS, on live interfaces, with the program's defaults.
//!
//! Every encapsulation is sent as ready frames, whatever kernel this is. Those that the kernel can make it makes itself in
//! [`super::kernel_tunnels`].

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::common::json_lines;
use crate::encapsulation::{
    Chain, Counts, Encapsulation, Split, Way, encapsulations, frames, versions, vlans,
};
use crate::lab::Lab;
use crate::pcap;

/// Sends the frames of a capture file, one after the other, out of an interface.
const SEND: &str = "
import socket, struct, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((sys.argv[1], 0))
capture = open(sys.argv[2], 'rb').read()
at = 24
while at < len(capture):
    length = struct.unpack_from('<I', capture, at + 8)[0]
    wire.send(capture[at + 16:at + 16 + length])
    at += 16 + length
";
const WHOLE: Split<'_> = Split { at: &[], size: 0 };
/// Bytes of payload in a fragment.
const PIECE: usize = 24;
const LAST: &str = "the-last-one.ngrok.io";

/// The exchanges to be sent, each for a name of its own, and what must be seen of them.
#[derive(Default)]
struct Exchanges {
    records: Vec<pcap::Record>,
    counts: Counts,
    layers: BTreeMap<String, Value>,
}

impl Exchanges {
    /// Adds one, where these encapsulations can carry each other.
    fn add(&mut self, name: String, v6: bool, chain: &Chain<'_>, split: &Split<'_>) {
        let id = u16::try_from(self.layers.len()).unwrap();
        let mut tunnel = Vec::new();
        let query = pcap::query(id, &name);
        let response = pcap::response(id, &name, [203, 0, 113, 9]);
        for (message, back) in [(query, false), (response, true)] {
            let way = Way { v6, back };
            let Some((frames, names)) = frames(&message, way, chain, split, &mut self.counts)
            else {
                return;
            };
            tunnel = names;
            self.records
                .extend(frames.into_iter().map(|bytes| pcap::Record {
                    time: (0, 0),
                    bytes,
                }));
        }
        let (src, dest) = if v6 {
            ("2001:db8::1", "2001:db8::53")
        } else {
            ("192.0.2.1", "192.0.2.53")
        };
        let layers = json!({
            "src": src, "dest": dest, "src_port": crate::encapsulation::CLIENT_PORT, "dest_port": 53,
            "src_mac": "02:00:00:00:00:01", "dest_mac": "02:00:00:00:00:02", "answer": ["203.0.113.9"],
            "message_type": "Response", "anomalies": [], "vlan": vlans(chain), "tunnel": tunnel,
        });
        assert!(self.layers.insert(name.clone(), layers).is_none(), "{name}");
    }

    /// Each exchange has its event, with its layers, and each layer is counted.
    fn assert_seen(&self, host: &str, events: &[Value], stats: &Value) {
        let seen: BTreeMap<&str, &Value> = events
            .iter()
            .map(|event| (event["query"].as_str().unwrap(), event))
            .collect();
        for (name, layers) in &self.layers {
            let event = seen
                .get(name.as_str())
                .unwrap_or_else(|| panic!("{name} was not seen by {host}"));
            for (field, value) in layers.as_object().unwrap() {
                assert_eq!(&event[field], value, "{field} of {name} by {host}");
            }
        }
        assert_eq!(events.len(), self.layers.len());
        let tunnels: BTreeMap<String, u64> =
            serde_json::from_value(stats["tunnels"].clone()).unwrap();
        for (tunnel, count) in &tunnels {
            let sent = self.counts.tunnels.get(tunnel).copied().unwrap_or(0);
            assert_eq!(*count, sent, "{tunnel} by {host}");
        }
        assert_eq!(stats["fragments"]["joined"], self.counts.joined);
        assert_eq!(stats["packets"]["too_deep"], 1);
        assert_eq!(stats["capture"]["kernel_dropped"], 0);
        for reason in ["tunnel", "malformed", "encrypted", "snaplen"] {
            assert_eq!(stats["packets"][reason], 0, "{reason} by {host}");
        }
    }
}

/// A name that says what is around it.
fn name(prefix: &str, v6: bool, chain: &Chain<'_>) -> String {
    let labels: Vec<String> = chain.iter().map(label).collect();
    format!("{prefix}.{}.{}.ngrok.io", version(v6), labels.join("."))
}

/// An encapsulation as a label of a name.
fn label((encapsulation, v6): &(&Encapsulation, bool)) -> String {
    let words: Vec<&str> = encapsulation
        .what
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    format!("{}-{}", words.join("-").to_lowercase(), version(*v6))
}

fn version(v6: bool) -> &'static str {
    if v6 { "v6" } else { "v4" }
}

/// All there is: alone, in fragments, in one another.
fn exchanges(list: &[Encapsulation]) -> Exchanges {
    let mut exchanges = Exchanges::default();
    for (at, encapsulation) in list.iter().enumerate() {
        // In another one, so that each comes once inside and once outside.
        let other = &list[(at * 7 + 3) % list.len()];
        for &outer_v6 in versions(encapsulation) {
            for v6 in [false, true] {
                let alone = [(encapsulation, outer_v6)];
                exchanges.add(name("whole", v6, &alone), v6, &alone, &WHOLE);
                for (prefix, at) in [("inside", [true, false]), ("outside", [false, true])] {
                    let split = Split {
                        at: &at,
                        size: PIECE,
                    };
                    exchanges.add(name(prefix, v6, &alone), v6, &alone, &split);
                }
                let nested = [(encapsulation, outer_v6), (other, !v6 && other.over_ip)];
                exchanges.add(name("nested", v6, &nested), v6, &nested, &WHOLE);
            }
        }
    }
    // Eight tunnels, as a provider might mirror a tenant's, and tags between them.
    let eight = [
        ("GTP-U", true),
        ("IP in IP", false),
        ("802.1Q", false),
        ("VXLAN", true),
        ("MPLS", false),
        ("VN-tag before 802.1Q", false),
        ("Geneve with options", false),
        ("GRE, transparent Ethernet", true),
        ("802.1Q in 802.1ad", false),
        ("ERSPAN III", false),
        ("802.1Q", false),
    ]
    .map(|(what, v6)| (named(list, what), v6));
    exchanges.add("eight.ngrok.io".to_owned(), false, &eight, &WHOLE);
    exchanges
}

fn named<'a>(list: &'a [Encapsulation], what: &str) -> &'a Encapsulation {
    list.iter()
        .find(|encapsulation| encapsulation.what == what)
        .unwrap_or_else(|| panic!("there is no {what}"))
}

/// On the interface that the frames come in on, where the kernel takes the outer VLAN tag off before anybody looks and keeps
/// it beside the frame, and on the one that they leave by.
#[test]
fn every_encapsulation_is_seen_with_the_defaults() {
    let Some(lab) = Lab::pair() else { return };
    let list = encapsulations();
    let mut exchanges = exchanges(&list);
    // One more than is taken off, and the last one of all.
    let nine = [(named(&list, "IP in IP"), false); 9];
    let way = Way::there(false);
    let (bytes, _) = frames(
        &pcap::query(1, "nine.ngrok.io"),
        way,
        &nine,
        &WHOLE,
        &mut exchanges.counts,
    )
    .unwrap();
    exchanges
        .records
        .extend(bytes.into_iter().map(|bytes| pcap::Record {
            time: (0, 0),
            bytes,
        }));
    *exchanges.counts.tunnels.get_mut("ipip").unwrap() -= 1;
    exchanges.add(LAST.to_owned(), false, &[], &WHOLE);
    assert!(exchanges.layers.len() > 700, "{}", exchanges.layers.len());
    let capture = lab.place("frames.pcap");
    std::fs::write(&capture, pcap::file(pcap::ETHERNET, &exchanges.records)).unwrap();

    let plain = lab.listen("c", &["-i", "eth0"]);
    // Several captures that share the packets see the same.
    let watchers = [("c", "1"), ("d", "1"), ("d", "3")].map(|(host, workers)| {
        let place = |what| lab.place(&format!("{host}.{workers}.{what}"));
        let (events, stats) = (place("jsonl"), place("json"));
        let mut arguments = vec!["-i", "eth0", "--events", &events, "--stats", &stats];
        if workers != "1" {
            arguments.extend(["--workers", workers]);
        }
        (lab.listen(host, &arguments), host, events, stats)
    });
    lab.run("c", &["python3", "-c", SEND, "eth0", &capture]);

    plain.wait_for_out(LAST);
    let rows = plain.end_by("INT").with_status(0).out;
    for name in exchanges.layers.keys() {
        assert!(rows.contains(name.as_str()), "{name} has no row");
    }
    for (watcher, host, events, stats) in watchers {
        watcher.wait_for_out(LAST);
        watcher.end_by("INT").with_status(0);
        let events = json_lines(&std::fs::read_to_string(&events).unwrap());
        let stats = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
        exchanges.assert_seen(host, &events, &stats);
    }
}
