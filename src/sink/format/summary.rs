//! Rows, risk events and what is known of sources as documents of the Elastic Common Schema. `docs/formats.md` has what each
//! field comes from.

use std::net::IpAddr;

use serde_json::{Map, Value as Json, json};

use super::ecs::VERSION;
use crate::sink::Stream;

/// A document of a record in our own words, which stands whole under our name in it.
pub(super) fn document(stream: Stream, record: Map<String, Json>) -> Json {
    let text = |name: &str| record.get(name).and_then(Json::as_str);
    let (kind, dataset) = match stream {
        Stream::Sources => ("state", "dnsterrier.source"),
        Stream::Risk => ("alert", "dnsterrier.risk"),
        _ => ("alert", "dnsterrier.row"),
    };
    let last = text("lastTime").or(text("encrypted_dns_lastTime"));
    let first = text("firstTime").or(text("encrypted_dns_firstTime"));
    let mut document = json!({
        "@timestamp": text("_time").or(last),
        "ecs": {"version": VERSION},
        "event": {
            "kind": kind, "category": ["network"], "type": ["info"], "id": text("event_id"),
            "start": first, "end": last, "module": "dnsterrier", "dataset": dataset,
            "risk_score": record.get("risk_score"), "severity": text("severity").and_then(severity),
        },
        "message": text("risk_message"),
        "rule": {"name": text("rule").or(text("search_name"))},
        "source": end(text("src")),
        "destination": end(text("dest")),
        "dns": {"question": {"name": text("query")}},
        "related": related(&record),
        "threat": threat(&record),
        "observer": {
            "name": text("sensor"), "product": "dnsterrier", "type": "sensor", "version": env!("CARGO_PKG_VERSION"),
        },
    });
    prune(&mut document);
    if let Json::Object(document) = &mut document {
        document.insert("dnsterrier".to_owned(), record.into());
    }
    document
}

/// A severity as a number: those that Elastic's detections have for the words.
fn severity(word: &str) -> Option<u8> {
    match word {
        "low" => Some(21),
        "medium" => Some(47),
        "high" => Some(73),
        "critical" => Some(99),
        _ => None,
    }
}

/// One end, where it is one address.
fn end(address: Option<&str>) -> Json {
    match address.and_then(|text| text.parse::<IpAddr>().ok()) {
        Some(ip) => json!({"address": ip, "ip": ip}),
        None => Json::Null,
    }
}

/// Addresses, names and users that the record speaks of, each once.
fn related(record: &Map<String, Json>) -> Json {
    let (mut ips, mut hosts, mut users) = (Vec::new(), Vec::new(), Vec::new());
    let is_user = record
        .get("risk_object_type")
        .is_some_and(|it| it == "user");
    for name in [
        "src",
        "dest",
        "risk_object",
        "query",
        "names",
        "threat_object",
        "answer",
    ] {
        let values = match record.get(name) {
            Some(Json::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        for text in values.iter().filter_map(Json::as_str) {
            let list = match (text.parse::<IpAddr>(), name) {
                (Ok(_), _) => &mut ips,
                // Whatever a record of an answer holds, and what stands where there was none.
                (Err(_), "answer") => continue,
                (Err(_), "risk_object") if is_user => &mut users,
                (Err(_), _) => &mut hosts,
            };
            if !list.contains(&text) {
                list.push(text);
            }
        }
    }
    json!({"ip": ips, "hosts": hosts, "user": users})
}

/// The techniques of ATT&CK.
fn threat(record: &Map<String, Json>) -> Json {
    let Some(Json::Array(ids)) = record.get("annotations.mitre_attack") else {
        return Json::Null;
    };
    let (mut techniques, mut parts) = (Vec::new(), Vec::new());
    for id in ids.iter().filter_map(Json::as_str) {
        let technique = id.split('.').next().unwrap_or(id);
        if !techniques.contains(&technique) {
            techniques.push(technique);
        }
        if technique != id {
            parts.push(id);
        }
    }
    json!({"framework": "MITRE ATT&CK", "technique": {"id": techniques, "subtechnique": {"id": parts}}})
}

/// Takes out what has no value.
fn prune(value: &mut Json) {
    if let Json::Object(map) = value {
        map.values_mut().for_each(prune);
        map.retain(|_, value| match value {
            Json::Null => false,
            Json::Array(list) => !list.is_empty(),
            Json::Object(map) => !map.is_empty(),
            _ => true,
        });
    }
}
