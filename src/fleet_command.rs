//! `dnsterrier clickhouse` and `dnsterrier fleet`: the tables of many sensors, and what is in them.

use serde::Deserialize;

use crate::aggregate::merge::Merger;
use crate::aggregate::merged_sources::MergedSources;
use crate::cli::{ClickHouseCommand, FleetCommand, FleetRows};
use crate::config;
use crate::delivery::DeliveryError;
use crate::delivery::clickhouse::{Failure, Server, schema};
use crate::error::Error;
use crate::rule;
use crate::sink::remote::Kind;
use crate::sink::{self, EventFormat, Format, Options, Record, Remote, Stream, Writer};
use crate::time::Timestamp;

/// How many sensors are listed.
const MOST_SENSORS: usize = 100_000;

/// Prints the tables, or makes them.
///
/// # Errors
/// The URL is not right, or the server did not do it.
pub fn clickhouse(
    command: ClickHouseCommand,
    print: &mut dyn FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let ClickHouseCommand::Schema {
        apply,
        cluster,
        database,
        plain,
    } = command;
    if let Some(name) = cluster.iter().chain([&database]).find(|it| !is_name(it)) {
        return Err(Error::Usage(format!(
            "'{name}' is no name for a database or cluster here: letters, digits and _"
        )));
    }
    let Some(url) = apply else {
        let list = schema::statements(&database, cluster.as_deref(), !plain);
        return print(&format!("{};\n", list.join(";\n\n")));
    };
    let server = server(&url)?;
    let failed = |failure: Failure| failed(&url, failure);
    let modern = !plain && server.is_modern().map_err(failed)?;
    for statement in schema::statements(&server.database, cluster.as_deref(), modern) {
        server.execute(&statement).map_err(failed)?;
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_')
}

/// The server that a URL of the command line names.
fn server(url: &str) -> Result<Server, Error> {
    let remote = Remote::parse(url)?;
    if remote.kind != Kind::ClickHouse {
        return Err(Error::Usage(format!(
            "'{url}' is no ClickHouse: expected clickhouse+http://HOST[:8123]/DATABASE"
        )));
    }
    Ok(Server::new(&remote, true)?)
}

fn failed(url: &str, failure: Failure) -> Error {
    DeliveryError::Server {
        place: url.to_owned(),
        reason: failure.why,
    }
    .into()
}

/// Carries a command of `fleet` out; what is to be said beside it goes to `tell`.
///
/// # Errors
/// The URL, a rule or a time is not right, or the server did not answer.
pub fn fleet(
    command: FleetCommand,
    print: &mut dyn FnMut(&str) -> Result<(), Error>,
    tell: fn(&str),
) -> Result<(), Error> {
    match command {
        FleetCommand::Sources {
            url,
            format,
            local_time,
        } => sources(&url, &format, local_time, tell),
        FleetCommand::Sensors { url, format } => {
            let list = sensors(&url, tell)?;
            if format == "jsonl" {
                list.iter()
                    .try_for_each(|(_, record)| print(&format!("{record}\n")))
            } else {
                print(&sensors_table(&list))
            }
        }
        FleetCommand::Rows(arguments) => rows(&arguments, tell),
    }
}

/// Writes to standard output what `emit` gives, in a format of the command line, as a replay would.
fn write<R: Record>(
    stream: Stream,
    format: &str,
    local_time: bool,
    columns: &[String],
    emit: impl FnOnce(&mut dyn FnMut(R)),
) -> Result<(), Error> {
    let format: Format = format.parse()?;
    let options = Options {
        live: false,
        format,
        event_format: EventFormat::Cim,
        columns,
        shared_stdout: false,
        table: config::table_options(local_time),
    };
    let mut writer = Writer::to_stdout(stream, &options);
    let mut written = Ok(());
    emit(&mut |record| {
        if written.is_ok() {
            written = writer.write(&record);
        }
    });
    written?;
    Ok(writer.finish()?)
}

fn sources(url: &str, format: &str, local_time: bool, tell: fn(&str)) -> Result<(), Error> {
    let server = server(url)?;
    // One for each id, however often it was sent.
    let query = "SELECT event_id, any(record) AS a_record FROM sources GROUP BY event_id FORMAT JSONEachRow";
    let (merged, partial) = ask(url, tell, &|settings| {
        let mut merged = MergedSources::default();
        let asked = server.query(query, settings, &mut |line| {
            let Line { a_record } = serde_json::from_str(line).map_err(not_asked_for)?;
            merged.add(&a_record)
        });
        asked.map(|()| merged)
    })?;
    let columns = sink::columns(Stream::Sources, &[]);
    write(Stream::Sources, format, local_time, &columns, |emit| {
        merged.finish(partial, emit);
    })
}

/// A record as the server gives it.
#[derive(Deserialize)]
struct Line {
    a_record: String,
}

/// A part as the server gives it.
#[derive(Deserialize)]
struct Found {
    rule: String,
    a_sensor: String,
    a_part: String,
}

fn rows(arguments: &FleetRows, tell: fn(&str)) -> Result<(), Error> {
    let mut rules = config::load_rules(&arguments.rule_paths, !arguments.no_embedded)?;
    if !arguments.rules.is_empty() {
        rule::select(&mut rules, &arguments.rules).map_err(Error::Usage)?;
        rules.retain(|rule| rule.enabled);
    }
    let server = server(&arguments.url)?;
    let mut conditions = vec!["part != ''".to_owned()];
    if !arguments.rules.is_empty() {
        let names: Vec<String> = rules.iter().map(|rule| quoted(&rule.name)).collect();
        conditions.push(format!("rule IN ({})", names.join(", ")));
    }
    let time = |text: &String| Timestamp::parse(text).map_err(Error::Usage);
    if let Some(since) = &arguments.since {
        conditions.push(format!("last >= {}", time(since)?.as_nanos()));
    }
    if let Some(until) = &arguments.until {
        conditions.push(format!("first < {}", time(until)?.as_nanos()));
    }
    // One for each id, however often it was sent.
    let query = format!(
        "SELECT rule, any(sensor) AS a_sensor, any(part) AS a_part FROM rows WHERE {} GROUP BY rule, event_id FORMAT JSONEachRow",
        conditions.join(" AND ")
    );
    let (merger, partial) = ask(&arguments.url, tell, &|settings| {
        let mut merger = Merger::new(&rules);
        let asked = server.query(&query, settings, &mut |line| {
            let found: Found = serde_json::from_str(line).map_err(not_asked_for)?;
            merger.add(&found.rule, &found.a_sensor, &found.a_part)
        });
        asked.map(|()| merger)
    })?;
    for (rule, why, count) in merger.left_out() {
        tell(&format!(
            "dnsterrier: warning: {count} rows of the rule '{rule}' are left out: {why}\n"
        ));
    }
    let columns = sink::columns(Stream::Rows, &rules);
    let (format, local_time) = (&arguments.format, arguments.local_time);
    write(Stream::Rows, format, local_time, &columns, |emit| {
        merger.finish(partial, emit);
    })
}

fn not_asked_for(error: serde_json::Error) -> String {
    format!("its answer is not what was asked for: {error}")
}

/// Settings of a query: names and values.
type Settings<'a> = &'a [(&'a str, &'a str)];

/// Asks all nodes, and where one does not answer the others: says so, and gives whether that was so.
fn ask<T>(
    url: &str,
    tell: fn(&str),
    query: &dyn Fn(Settings<'_>) -> Result<T, Failure>,
) -> Result<(T, bool), Error> {
    match query(&[]) {
        Ok(found) => Ok((found, false)),
        Err(failure) if failure.is_node_down() => {
            tell(&format!(
                "dnsterrier: warning: a node of {url} does not answer, and what it has is missing: all that follows is partial ({})\n",
                failure.why
            ));
            let found = query(&[("skip_unavailable_shards", "1")]);
            Ok((found.map_err(|failure| failed(url, failure))?, true))
        }
        Err(failure) => Err(failed(url, failure)),
    }
}

/// What a sensor said of itself.
#[derive(Deserialize)]
struct Said {
    sensor: String,
    version: String,
    #[serde(rename = "lastTime")]
    last: Option<String>,
    received: u64,
    kernel_dropped: u64,
    interface_dropped: u64,
    events: u64,
    hits: u64,
    rows: u64,
}

/// The last that each sensor said of itself, also as it said it.
fn sensors(url: &str, tell: fn(&str)) -> Result<Vec<(Said, String)>, Error> {
    let server = server(url)?;
    let query = "SELECT sensor, argMax(record, (last, received)) AS a_record FROM sensors GROUP BY sensor ORDER BY sensor \
                 FORMAT JSONEachRow";
    let (list, _) = ask(url, tell, &|settings| {
        let mut list = Vec::new();
        server.query(query, settings, &mut |line| {
            if list.len() >= MOST_SENSORS {
                return Err(format!("there are more than {MOST_SENSORS} sensors"));
            }
            let Line { a_record } = serde_json::from_str(line).map_err(not_asked_for)?;
            let said = serde_json::from_str(&a_record).map_err(not_asked_for)?;
            list.push((said, a_record));
            Ok(())
        })?;
        Ok(list)
    })?;
    Ok(list)
}

fn sensors_table(list: &[(Said, String)]) -> String {
    let header = [
        "SENSOR", "LAST", "RECEIVED", "DROPPED", "LOOKUPS", "HITS", "ROWS", "VERSION",
    ];
    let mut lines = vec![header.map(str::to_owned)];
    for (said, _) in list {
        let last = said.last.as_deref().unwrap_or("-");
        let dropped = said.kernel_dropped.saturating_add(said.interface_dropped);
        lines.push([
            said.sensor.escape_debug().to_string(),
            Timestamp::parse(last).map_or_else(|_| "-".to_owned(), Timestamp::to_second),
            said.received.to_string(),
            dropped.to_string(),
            said.events.to_string(),
            said.hits.to_string(),
            said.rows.to_string(),
            said.version.escape_debug().to_string(),
        ]);
    }
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A text as SQL has it.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{text}'")
}
