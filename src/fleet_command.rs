//! `dnsterrier clickhouse` and `dnsterrier fleet`: the tables of many sensors, and what is in them.

use serde::Deserialize;

use crate::aggregate::merge::Merger;
use crate::cli::{ClickHouseCommand, FleetCommand, FleetRows};
use crate::config;
use crate::delivery::DeliveryError;
use crate::delivery::clickhouse::{Failure, Server, schema};
use crate::error::Error;
use crate::rule;
use crate::sink::remote::Kind;
use crate::sink::{self, Options, Place, Remote, Stream, Writer};
use crate::time::Timestamp;

/// Numbers of errors by which a server says that another one did not answer: no name, a connection that broke or timed out, all
/// attempts failed.
const NODE_DOWN: [u32; 6] = [32, 198, 203, 209, 210, 279];

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
pub fn fleet(command: FleetCommand, tell: fn(&str)) -> Result<(), Error> {
    match command {
        FleetCommand::Rows(arguments) => rows(&arguments, tell),
    }
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
    let ask = |settings: &[(&str, &str)]| {
        let mut merger = Merger::new(&rules);
        let asked = server.query(&query, settings, &mut |line| {
            let found: Found = serde_json::from_str(line)
                .map_err(|error| format!("its answer is not what was asked for: {error}"))?;
            merger.add(&found.rule, &found.a_sensor, &found.a_part)
        });
        asked.map(|()| merger)
    };
    let (merger, partial) = match ask(&[]) {
        Ok(merger) => (merger, false),
        Err(failure) if failure.code.is_some_and(|code| NODE_DOWN.contains(&code)) => {
            tell(&format!(
                "dnsterrier: warning: a node of {} does not answer, and what it has is missing: all rows are partial ({})\n",
                arguments.url, failure.why
            ));
            let merger = ask(&[("skip_unavailable_shards", "1")]);
            (
                merger.map_err(|failure| failed(&arguments.url, failure))?,
                true,
            )
        }
        Err(failure) => return Err(failed(&arguments.url, failure)),
    };
    for (rule, why, count) in merger.left_out() {
        tell(&format!(
            "dnsterrier: warning: {count} rows of the rule '{rule}' are left out: {why}\n"
        ));
    }
    let columns = sink::columns(Stream::Rows, &rules);
    let options = Options {
        live: false,
        format: arguments.format.parse()?,
        columns: &columns,
        shared_stdout: false,
        table: config::table_options(arguments.local_time),
    };
    let mut writer = Writer::open(Stream::Rows, &[Place::Stdout], &options)?;
    let mut written = Ok(());
    merger.finish(partial, &mut |row| {
        if written.is_ok() {
            written = writer.write(&row);
        }
    });
    written?;
    Ok(writer.finish()?)
}

/// A text as SQL has it.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{text}'")
}
