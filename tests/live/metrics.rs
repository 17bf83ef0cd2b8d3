//! What is counted, while it is counted: for Prometheus over HTTP, and as a file on SIGUSR1.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;

use crate::lab::Lab;
use crate::running::wait_until;

const ADDRESS: &str = "127.0.0.1:9153";

fn page(lab: &Lab, path: &str) -> String {
    let url = format!("http://{ADDRESS}{path}");
    lab.run("c", &["curl", "-sS", "--fail", "--max-time", "20", &url])
}

/// The samples of a scrape, by name and labels.
fn samples(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn a_scrape_says_what_the_statistics_say() {
    let Some(lab) = Lab::pair() else { return };
    let stats = lab.place("stats.json");
    let arguments = [
        "sniff",
        "-i",
        "eth0",
        // Beside the lookups nothing comes that could be counted between the last scrape and the end.
        "-f",
        "port 53",
        "--metrics",
        ADDRESS,
        "--stats",
        &stats,
    ];
    let running = lab.listen("c", &arguments);
    running.wait_for_err("metrics are at http://127.0.0.1:9153/metrics");
    assert_eq!(page(&lab, "/healthz"), "ok: 0 packets received\n");
    for name in ["one.ngrok.io", "two.ngrok.io", "www.example.com"] {
        lab.dig("c", &["@10.9.5.2", name]);
    }
    let answered = "dnsterrier_transactions_total{outcome=\"answered\"}";
    wait_until("three answers in a scrape", || {
        samples(&page(&lab, "/metrics"))[answered] == 3
    });
    // The line is silent, and what it says is fresh all the same.
    let text = page(&lab, "/metrics");
    assert_eq!(page(&lab, "/healthz"), "ok: 6 packets received\n");
    let mut promtool = lab
        .on("c", &["promtool", "check", "metrics"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(promtool.stdin.as_mut().unwrap(), text.as_bytes()).unwrap();
    assert!(promtool.wait_with_output().unwrap().status.success());

    // Another run does not get the same address.
    let second = lab.dnsterrier("c", &arguments);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(
        said.contains("cannot serve metrics on 127.0.0.1:9153")
            && said.contains("another program serves there"),
        "{said}"
    );

    // A running program's statistics, for whoever looks which rules have hits.
    running.signal("USR1");
    wait_until("the statistics", || std::fs::exists(&stats).unwrap());
    let so_far: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    assert_eq!(so_far["capture"]["received"], 6);
    assert_eq!(so_far["identities"], Value::Array(Vec::new()));
    let list = lab.run("c", &[lab.program(), "rules", "list", "--stats", &stats]);
    let line = list
        .lines()
        .find(|line| line.contains("Ngrok Reverse Proxy on Network"))
        .unwrap();
    assert!(line.contains("2 hits"), "{line}");

    running.end_by("TERM").with_status(0);
    let scraped = samples(&text);
    let at_end: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let mut equal = 0;
    for (section, counters) in at_end.as_object().unwrap() {
        // Rows come at the end alone here, and what was in the tables then is in none.
        if ["rows", "risk", "tables", "hidden_clients"].contains(&section.as_str()) {
            continue;
        }
        for (counter, value) in counters.as_object().into_iter().flatten() {
            let Some(value) = value.as_u64() else {
                continue;
            };
            let names = [
                format!("dnsterrier_{section}_{counter}_total"),
                format!("dnsterrier_{section}_total{{outcome=\"{counter}\"}}"),
                format!("dnsterrier_{section}_total{{kind=\"{counter}\"}}"),
            ];
            let found: Vec<u64> = names
                .iter()
                .filter_map(|name| scraped.get(name).copied())
                .collect();
            assert_eq!(found, [value], "{section}.{counter}");
            equal += 1;
        }
    }
    assert!(equal > 80, "{equal}");
    for rule in at_end["rules"].as_array().unwrap() {
        let name = format!(
            "dnsterrier_rule_hits_total{{rule=\"{}\"}}",
            rule["rule"].as_str().unwrap()
        );
        assert_eq!(scraped[&name], rule["hits"].as_u64().unwrap(), "{name}");
    }
    assert_eq!(scraped["dnsterrier_tables_entries{table=\"groups\"}"], 2);
}
