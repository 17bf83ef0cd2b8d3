//! The tables: one for each stream. What is asked often is a column; the whole record is there as JSON, too.

use crate::sink::Stream;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// The day of a time, by which the table is divided.
    Day,
    /// A time, in nanoseconds since 1970.
    Time,
    /// Text.
    Text,
    /// Text that is the same in many records.
    Word,
    /// Several texts.
    Texts,
    /// A count.
    Count,
    /// Another number.
    Number,
    /// Something of JSON's, as its text.
    Json,
    /// The whole record.
    Record,
}

/// A column, and which of the record's fields it is: the first that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) holds: Holds,
    pub(super) fields: &'static [&'static str],
}

const fn column(name: &'static str, holds: Holds, fields: &'static [&'static str]) -> Column {
    Column {
        name,
        holds,
        fields,
    }
}

const LAST: &[&str] = &["lastTime", "encrypted_dns_lastTime"];
const FIRST: &[&str] = &["firstTime", "encrypted_dns_firstTime"];

const EVENTS: &[Column] = &[
    column("day", Holds::Day, &["_time"]),
    column("time", Holds::Time, &["_time"]),
    column("sensor", Holds::Word, &["host"]),
    column("src", Holds::Text, &["src"]),
    column("dest", Holds::Text, &["dest"]),
    column("query", Holds::Text, &["query"]),
    column("other_questions", Holds::Texts, &["other_questions"]),
    column("record_type", Holds::Word, &["record_type"]),
    column("reply_code", Holds::Word, &["reply_code"]),
    column("outcome", Holds::Word, &["outcome"]),
    column("answer", Holds::Texts, &["answer"]),
    column("event_id", Holds::Text, &["event_id"]),
    column("record", Holds::Record, &[]),
];
const HITS: &[Column] = &[
    column("day", Holds::Day, &["_time"]),
    column("time", Holds::Time, &["_time"]),
    column("sensor", Holds::Word, &["host"]),
    column("rule", Holds::Word, &["rule"]),
    column("src", Holds::Text, &["src"]),
    column("query", Holds::Text, &["query"]),
    column("answer", Holds::Texts, &["answer"]),
    column("event_id", Holds::Text, &["event_id"]),
    column("record", Holds::Record, &[]),
];
const ROWS: &[Column] = &[
    column("day", Holds::Day, FIRST),
    column("first", Holds::Time, FIRST),
    column("last", Holds::Time, LAST),
    column("sensor", Holds::Word, &["sensor"]),
    column("rule", Holds::Word, &["rule"]),
    column("window", Holds::Word, &["window"]),
    column("count", Holds::Count, &["count"]),
    column("event_id", Holds::Text, &["event_id"]),
    column("part", Holds::Json, &["part"]),
    column("record", Holds::Record, &[]),
];
const SOURCES: &[Column] = &[
    column("day", Holds::Day, &["firstTime", "encrypted_dns_firstTime"]),
    column("first", Holds::Time, FIRST),
    column("last", Holds::Time, LAST),
    column("sensor", Holds::Word, &["sensor"]),
    column("src", Holds::Text, &["src"]),
    column("hits", Holds::Count, &["hits"]),
    column("event_id", Holds::Text, &["event_id"]),
    column("record", Holds::Record, &[]),
];
const SENSORS: &[Column] = &[
    column("day", Holds::Day, FIRST),
    column("first", Holds::Time, FIRST),
    column("last", Holds::Time, LAST),
    column("sensor", Holds::Word, &["sensor"]),
    column("received", Holds::Count, &["received"]),
    column("kernel_dropped", Holds::Count, &["kernel_dropped"]),
    column("interface_dropped", Holds::Count, &["interface_dropped"]),
    column("event_id", Holds::Text, &["event_id"]),
    column("record", Holds::Record, &[]),
];
const RISK: &[Column] = &[
    column("day", Holds::Day, &["_time"]),
    column("time", Holds::Time, &["_time"]),
    column("sensor", Holds::Word, &["sensor"]),
    column("rule", Holds::Word, &["search_name"]),
    column("object", Holds::Text, &["risk_object"]),
    column("score", Holds::Number, &["risk_score"]),
    column("event_id", Holds::Text, &["event_id"]),
    column("record", Holds::Record, &[]),
];

/// The columns of a stream's table, whose name is the stream's.
pub(super) const fn columns(stream: Stream) -> &'static [Column] {
    match stream {
        Stream::Events => EVENTS,
        Stream::Hits => HITS,
        Stream::Rows => ROWS,
        Stream::Sources => SOURCES,
        Stream::Risk => RISK,
        Stream::Sensors => SENSORS,
    }
}

/// By what a table is sorted; records in which all of it is the same are one.
const fn order(stream: Stream) -> &'static str {
    match stream {
        Stream::Events => "query, src, event_id",
        Stream::Hits => "rule, query, src, event_id",
        Stream::Rows => "rule, window, event_id",
        Stream::Sources => "src, event_id",
        Stream::Risk => "rule, object, event_id",
        Stream::Sensors => "sensor, event_id",
    }
}

/// The statements that make the tables of a database. With the name of a cluster there are two of each: `NAME_local` has the
/// records, `NAME` spreads them over the cluster by their id, so that one that is sent again meets itself; they are for every
/// node. `modern` is for servers of version 21 and later.
#[must_use]
pub fn statements(database: &str, cluster: Option<&str>, modern: bool) -> Vec<String> {
    let mut list = vec![format!("CREATE DATABASE IF NOT EXISTS {database}")];
    for stream in Stream::ALL {
        let name = stream.name();
        let local = match cluster {
            Some(_) => format!("{name}_local"),
            None => name.to_owned(),
        };
        let lines: Vec<String> = columns(stream)
            .iter()
            .map(|column| format!("    {} {}", column.name, type_of(column.holds, modern)))
            .chain([alias(stream, modern)])
            .collect();
        list.push(format!(
            "CREATE TABLE IF NOT EXISTS {database}.{local} (\n{}\n) ENGINE = ReplacingMergeTree() PARTITION BY day ORDER BY ({})",
            lines.join(",\n"),
            order(stream)
        ));
        if let Some(cluster) = cluster {
            list.push(format!(
                "CREATE TABLE IF NOT EXISTS {database}.{name} AS {database}.{local} ENGINE = Distributed({cluster}, {database}, {local}, cityHash64(event_id))"
            ));
        }
    }
    list
}

const fn type_of(holds: Holds, modern: bool) -> &'static str {
    match (holds, modern) {
        (Holds::Day, _) => "Date",
        (Holds::Time, false) => "Int64",
        (Holds::Time, true) => "Int64 CODEC(Delta, ZSTD)",
        (Holds::Word, true) => "LowCardinality(String)",
        (Holds::Text | Holds::Word | Holds::Json | Holds::Record, false) | (Holds::Text, true) => {
            "String"
        }
        (Holds::Json | Holds::Record, true) => "String CODEC(ZSTD(3))",
        (Holds::Texts, _) => "Array(String)",
        (Holds::Count, _) => "UInt64",
        (Holds::Number, _) => "Float64",
    }
}

/// The record's time as people read it, computed where it is asked for.
fn alias(stream: Stream, modern: bool) -> String {
    let time = match stream {
        Stream::Rows | Stream::Sources | Stream::Sensors => "last",
        Stream::Events | Stream::Hits | Stream::Risk => "time",
    };
    if modern {
        format!("    at DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano({time}, 'UTC')")
    } else {
        format!("    at DateTime ALIAS toDateTime(intDiv({time}, 1000000000))")
    }
}
