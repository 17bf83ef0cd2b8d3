//! ArcSight's Common Event Format, version 0, of our own records.
//! `docs/formats.md` has which field becomes which key; what CEF has none for is not there.

use std::net::IpAddr;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::sink::Stream;
use crate::time::Timestamp;

/// A record as the text that a syslog message has.
pub(super) fn text(stream: Stream, record: &RawValue) -> String {
    let record: Map<String, Value> = serde_json::from_str(record.get()).unwrap_or_default();
    let values = |name: &str| of(&record, name);
    let (class, name) = match stream {
        Stream::Events => ("dns".to_owned(), "DNS lookup".to_owned()),
        Stream::Sources => ("source".to_owned(), "DNS source".to_owned()),
        Stream::Sensors => ("sensor".to_owned(), "Sensor".to_owned()),
        Stream::Rows | Stream::Hits => (values("rule"), values("rule")),
        Stream::Risk => (values("search_name"), values("search_name")),
    };
    let severity = match stream {
        Stream::Events | Stream::Sensors => 0,
        Stream::Sources => 1,
        Stream::Rows | Stream::Hits => 5,
        Stream::Risk => {
            let score = record.get("risk_score").and_then(Value::as_u64);
            // 100 is the highest score.
            (score.unwrap_or_default().saturating_add(5) / 10).min(10)
        }
    };
    let mut text = format!(
        "CEF:0|dnsterrier|dnsterrier|{}|{}|{}|{severity}|",
        env!("CARGO_PKG_VERSION"),
        header(&class),
        header(&name)
    );
    let mut is_first = true;
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            let space = if is_first { "" } else { " " };
            is_first = false;
            text.push_str(&format!("{space}{key}={}", extension(value)));
        }
    };
    let time = |name: &str| millis(&values(name));
    let last = first_of([values("lastTime"), values("encrypted_dns_lastTime")]);
    put("rt", &millis(&first_of([values("_time"), last])));
    put("start", &time("firstTime"));
    put("end", &time("lastTime"));
    put("cat", stream.name());
    put("externalId", &values("event_id"));
    let sensor = first_of([values("host"), values("sensor")]);
    put("dvchost", &sensor);
    put("deviceExternalId", &sensor);
    for (field, key, label_key, label) in [
        ("src", "src", "c6a2", "Source IPv6 Address"),
        ("dest", "dst", "c6a3", "Destination IPv6 Address"),
    ] {
        match values(field).parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => put(key, &ip.to_string()),
            Ok(IpAddr::V6(ip)) => {
                put(label_key, &ip.to_string());
                put(&format!("{label_key}Label"), label);
            }
            Err(_) => {}
        }
    }
    put("spt", &values("src_port"));
    put("dpt", &values("dest_port"));
    put("smac", &values("src_mac"));
    put("dmac", &values("dest_mac"));
    put("proto", &values("transport").to_ascii_uppercase());
    put("app", "DNS");
    put("outcome", &values("outcome"));
    put("cnt", &first_of([values("count"), values("hits")]));
    put("msg", &values("risk_message"));
    for (key, fields) in [
        ("cs1", ["query", "names"]),
        ("cs2", ["record_type", "encrypted_dns_resolvers"]),
        ("cs3", ["answer", "threat_object"]),
        ("cs4", ["reply_code", "annotations.mitre_attack"]),
        ("cs5", ["rule", "rules"]),
        ("cs6", ["anomalies", "risk_object"]),
        ("cn1", ["risk_score", "encrypted_dns_connections"]),
    ] {
        let found = fields.into_iter().find(|field| !values(field).is_empty());
        if let Some(field) = found {
            put(key, &values(field));
            put(&format!("{key}Label"), field);
        }
    }
    text
}

/// The value of a field; those of a list with commas between them.
fn of(record: &Map<String, Value>, name: &str) -> String {
    let one = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    };
    match record.get(name) {
        None => String::new(),
        Some(Value::Array(list)) => list.iter().map(one).collect::<Vec<_>>().join(", "),
        Some(value) => one(value),
    }
}

fn first_of(texts: [String; 2]) -> String {
    texts
        .into_iter()
        .find(|it| !it.is_empty())
        .unwrap_or_default()
}

/// A time in milliseconds since 1970.
fn millis(time: &str) -> String {
    Timestamp::parse(time).map_or_else(|_| String::new(), |time| time.as_millis().to_string())
}

/// A field of the header: no line can end in it.
fn header(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('|', "\\|");
    text.replace(['\r', '\n'], " ")
}

/// A value behind the header.
fn extension(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('=', "\\=");
    text.replace('\r', "\\r").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of *ArcSight Common Event Format (CEF) Implementation Standard*, version 25, "Character Encoding".
    #[test]
    fn characters_that_mean_something_are_escaped() {
        assert_eq!(
            header("detected a | in message"),
            r"detected a \| in message"
        );
        assert_eq!(
            header(r"detected a \ in packet"),
            r"detected a \\ in packet"
        );
        assert_eq!(header("detected a = in message"), "detected a = in message");
        assert_eq!(extension("blocked a ="), r"blocked a \=");
        assert_eq!(extension("blocked a |"), "blocked a |");
        assert_eq!(extension(r"blocked a \"), r"blocked a \\");
        assert_eq!(
            extension("Detected a threat.\nNo action needed."),
            r"Detected a threat.\nNo action needed."
        );
        assert_eq!(header("a\nb"), "a b");
    }

    #[test]
    fn a_score_becomes_a_severity() {
        for (score, severity) in [
            (0, 0),
            (4, 0),
            (5, 1),
            (24, 2),
            (95, 10),
            (100, 10),
            (1_000, 10),
        ] {
            let record = format!(r#"{{"search_name":"R","risk_score":{score}}}"#);
            let text = text(Stream::Risk, &RawValue::from_string(record).unwrap());
            assert!(
                text.contains(&format!("|R|R|{severity}|cat=risk ")),
                "{text}"
            );
        }
    }
}
