//! Tests of what searches become, of what is refused and how, and of hostile files.

use proptest::prelude::*;

use crate::rule::{Mistake, Rule, Rules, native};

/// A detection with that search, in a literal block: its words keep their columns.
fn detection(search: &str) -> String {
    let lines: Vec<String> = search.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "name: Own Detection\ntype: TTP\nsearch: |-\n{}",
        lines.concat()
    )
}

fn read(search: &str) -> Result<Rule, Vec<String>> {
    let read = native::read_text("f.yml", &detection(search));
    read.map(|mut rules| rules.remove(0))
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

fn condition(asked: &str) -> String {
    let search =
        format!("| tstats count from datamodel=Network_Resolution where {asked} by DNS.src");
    let rule = read(&search).unwrap_or_else(|mistakes| panic!("{asked}: {mistakes:?}"));
    format!("{:?}", rule.condition)
}

fn native_condition(asked: &str) -> String {
    let rules = native::read_text("f.yaml", &format!("name: n\nwhere: {asked}\n")).unwrap();
    format!("{:?}", rules[0].condition)
}

#[test]
fn conditions_mean_what_the_search_language_says() {
    for (theirs, ours) in [
        ("DNS.query=\"*.NGROK.io\"", "{ query: '*.ngrok.io' }"),
        ("\"DNS.query\" = a.b", "{ query: a.b }"),
        ("DNS.query IN (\"a\", b,*.c)", "{ query: [a, b, '*.c'] }"),
        ("DNS.query in(a)", "{ query: a }"),
        // `f != v` needs the field, `NOT f = v` does not.
        ("DNS.ttl!=5", "{ ttl: { '!=': 5 } }"),
        ("NOT DNS.ttl=5", "{ not: { ttl: 5 } }"),
        ("NOT NOT DNS.ttl=5", "{ not: { not: { ttl: 5 } } }"),
        ("DNS.ttl=*", "{ ttl: { exists: true } }"),
        ("DNS.ttl IN (5, *)", "{ ttl: { exists: true } }"),
        // OR binds closer than AND.
        (
            "DNS.src=1 DNS.dest=2 OR DNS.query=c",
            "{ and: [{ src: 1 }, { or: [{ dest: 2 }, { query: c }] }] }",
        ),
        (
            "(DNS.src=1 AND DNS.dest=2) OR NOT DNS.query=c",
            "{ or: [{ and: [{ src: 1 }, { dest: 2 }] }, { not: { query: c } }] }",
        ),
        ("((((DNS.src=1))))", "{ src: 1 }"),
        ("nodename=DNS DNS.src=1", "{ src: 1 }"),
        (
            "DNS.dest_category != dns_server AND DNS.src_category != dns_server",
            "{ dest_category: { '!=': dns_server }, src_category: { '!=': dns_server } }",
        ),
        ("nodename=DNS", "{ query: { exists: true } }"),
        ("DNS.answer_count>=2", "{ answer_count: { '>=': 2 } }"),
        ("DNS.duration < 0.5", "{ duration: { '<': 0.5 } }"),
        ("DNS.query=\"a\\\"b\\\\c*\"", "{ query: 'a\"b\\c*' }"),
        // An event is a query and its response together.
        (
            "DNS.message_type=QUERY",
            "{ name: [DNS transaction, DNS query without response] }",
        ),
        (
            "DNS.message_type=\"RESPONSE\"",
            "{ message_type: response }",
        ),
        (
            "NOT DNS.message_type IN (Query, Response)",
            "{ not: { or: [{ name: [DNS transaction, DNS query without response] }, { message_type: response }] } }",
        ),
        (
            "DNS.message_type!=query",
            "{ name: { '!=': [DNS transaction, DNS query without response] } }",
        ),
        // The values of other sources that are certainly ours.
        (
            "DNS.reply_code IN (NoError, NXDOMAIN, \"Server Failure\", unknown)",
            "{ reply_code: [No Error, Non-Existent Domain, Server Failure, unknown] }",
        ),
        (
            "DNS.record_type IN (\"Pointer\", txt)",
            "{ record_type: [PTR, TXT] }",
        ),
        // Names do not end with a dot, but for the root's.
        ("DNS.query=evil.example.", "{ query: evil.example }"),
        ("DNS.query!=\"*.\"", "{ query: { '!=': '.' } }"),
    ] {
        assert_eq!(condition(theirs), native_condition(ours), "{theirs}");
    }
}

#[test]
fn rows_have_the_columns_of_the_search() {
    for (head, by, columns) in [
        (
            "count from datamodel=Network_Resolution by DNS.src",
            "[src]",
            "{ count: count }",
        ),
        (
            "summariesonly=t count, earliest(_time) as a latest(_time) AS b from datamodel=Network_Resolution.DNS by DNS.src, \"DNS.dest\" _time",
            "[src, dest, _time]",
            "{ count: count, a: min(_time), b: max(_time) }",
        ),
        // Dropping the prefix puts the field over its column.
        (
            "count values(DNS.src) as src values(DNS.dest) as DNS.dest from datamodel=Network_Resolution by DNS.src",
            "[src]",
            "{ count: count, dest: values(dest) }",
        ),
        (
            "count min(_time) as x from datamodel=Network_Resolution by DNS.src | rename x as y, count as \"How many\" | sort 0 - \"How many\"",
            "[src]",
            "{ count: count, y: min(_time) }",
        ),
        (
            "count min(_time) as a values(DNS.answer) as answer from datamodel=Network_Resolution by DNS.src DNS.query DNS.record_type | `drop_dm_object_name(\"DNS\")` | stats sum(count) as n min(a) as a values(query) as names values(answer) as answers by src record_type",
            "[src, record_type]",
            "{ n: count, a: min(_time), names: values(query), answers: values(answer) }",
        ),
    ] {
        let rule = read(&format!("| tstats {head}")).unwrap();
        let ours = format!("name: n\nwhere: {{ query: a }}\nby: {by}\naggregate: {columns}\n");
        let ours = native::read_text("f.yaml", &ours).unwrap().remove(0);
        assert_eq!(rule.by, ours.by, "{head}");
        assert_eq!(rule.columns, ours.columns, "{head}");
    }
}

/// The head that most searches below begin with.
const HEAD: &str = "| tstats count from datamodel=Network_Resolution where DNS.query=a by DNS.src";

#[test]
fn what_is_not_understood_is_named_with_its_place() {
    for (search, place, words) in [
        (
            "| from datamodel Network_Resolution",
            "4:7",
            "'from' was not understood; expected a search that begins with | tstats",
        ),
        (
            "(index=* OR index=_*) | stats count",
            "4:5",
            "'(' was not understood; expected a search that begins with | tstats",
        ),
        (
            "| tstats count from datamodel=Web by Web.src",
            "4:35",
            "'Web' was not understood; expected datamodel=Network_Resolution",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.query=a",
            "4:70",
            "the command ends too early; expected by",
        ),
        (
            "| tstats count from datamodel=Network_Resolution\n  where DNS.qeury=a by DNS.src",
            "5:13",
            "`DNS.qeury` is no field of an event here; expected `query`",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where query=a by DNS.src",
            "4:60",
            "'query' was not understood; expected `DNS.query`",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.process_name=x by DNS.src",
            "4:60",
            "`DNS.process_name` is no field",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where TERM(a) by DNS.src",
            "4:60",
            "'TERM' was not understood",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where \"ngrok\" by DNS.src",
            "4:60",
            "'ngrok' was not understood; expected a field compared by",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.query=a or DNS.query=b by DNS.src",
            "4:72",
            "'or' was not understood; expected AND, OR and NOT in capitals",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.query=`own(a)` by DNS.src",
            "4:70",
            "'own(a)' was not understood; expected a value",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where (DNS.query=a by DNS.src",
            "4:73",
            "'by' was not understood",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.query=a by _time span=1h",
            "4:81",
            "'span' was not understood; expected fields: the window",
        ),
        (
            "| tstats `own` count from datamodel=Network_Resolution by DNS.src",
            "4:14",
            "'own' was not understood",
        ),
        (
            "| tstats prestats=t count from datamodel=Network_Resolution by DNS.src",
            "4:14",
            "'prestats' was not understood",
        ),
        (
            "| tstats values(DNS.answer) from datamodel=Network_Resolution by DNS.src",
            "4:14",
            "'values(...)' has no name",
        ),
        (
            "| tstats first(DNS.answer) as a from datamodel=Network_Resolution by DNS.src",
            "4:14",
            "'first' was not understood",
        ),
        (
            "| tstats perc95(DNS.ttl) as a from datamodel=Network_Resolution by DNS.src",
            "4:14",
            "there is no function 'perc95'",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.query=\"a b\" by DNS.src",
            "4:70",
            "' ' is never in a name",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.answer_count>x by DNS.src",
            "4:77",
            "`answer_count` is compared with 'x'; expected a number",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.query>5 by DNS.src",
            "4:70",
            "`query` is no number",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.query=\"a by DNS.src",
            "4:70",
            "quotes or backquotes that nothing ends",
        ),
    ] {
        let mistakes = read(search).expect_err(search);
        let expected = format!("f.yml:{place}: ");
        assert!(
            mistakes[0].starts_with(&expected) && mistakes[0].contains(words),
            "{search}\n{mistakes:#?}"
        );
        assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    }
    for (command, words) in [
        (
            "eval x=len(query)",
            "'eval x=len(query)' was not understood; expected where, search",
        ),
        (
            "lookup a b as query",
            "there is no lookup 'a' here; expected a.csv",
        ),
        ("inputlookup a", "lookup says more of them"),
        ("eventstats max(count) as m", "not with other rows"),
        (
            "append [| tstats count from datamodel=Web | head 1]",
            "'append [| tstats count from datamodel' was not",
        ),
        ("join src [search a]", "'join src [search a]' was not"),
        ("rex field=query \"x\"", "'rex field=query x' was not"),
        ("apply model", "'apply model' was not"),
        ("head 5", "'head 5' was not"),
        ("dedup src", "'dedup src' was not"),
        ("`dynamic_dns_providers`", "'dynamic_dns_providers' was not"),
        ("`get_asset(src)`", "'get_asset(src)' was not"),
        ("`drop_dm_object_name(\"Web\")`", "was not understood"),
        (
            "sort 10 - count",
            "'10' was not understood; expected sort without a limit",
        ),
        (
            "where query=\"x\"",
            "'query' was not understood; expected a column",
        ),
        (
            "where count>avg",
            "'avg' was not understood; expected a number",
        ),
        (
            "where isnull(domain)",
            "'(' was not understood; expected a column compared with a number",
        ),
        ("where count>5 OR count<2", "'OR' was not understood"),
        ("search other=x", "'other' was not understood"),
        (
            "stats count by src",
            "'count' was not understood; expected sum(count)",
        ),
        (
            "stats avg(count) as a by src",
            "'avg' was not understood; expected sum of a count",
        ),
        (
            "stats sum(count) as a by query",
            "'query' was not understood; expected a field that the head groups by",
        ),
        (
            "stats sum(count) as a",
            "the command ends too early; expected by",
        ),
        ("rename DNS.* as x_*", "'DNS.*' was not understood"),
        ("", "the command ends too early"),
    ] {
        let mistakes = read(&format!("{HEAD}\n| {command}\n| table src")).expect_err(command);
        assert!(mistakes[0].contains(words), "{command}\n{mistakes:#?}");
        assert!(
            mistakes[0].starts_with("f.yml:5:") || command.is_empty(),
            "{mistakes:#?}"
        );
        assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    }
    // Rows of different answers put together would count a lookup for each of its answers.
    let mistakes = read(
        "| tstats count from datamodel=Network_Resolution by DNS.src DNS.answer | stats sum(count) as n by DNS.src",
    )
    .unwrap_err();
    assert!(mistakes[0].contains("different `answer`"), "{mistakes:#?}");
}

#[test]
fn conditions_on_columns_are_thresholds() {
    let head = "| tstats count dc(DNS.dest) as d from datamodel=Network_Resolution by DNS.src";
    for (commands, having) in [
        ("where count>50", "{ count: { '>': 50 } }"),
        (
            "search count>=50 d!=2.5",
            "{ count: { '>=': 50 }, d: { '!=': 2.5 } }",
        ),
        (
            "where count==1 | search d<3 AND d>1",
            "{ count: { '=': 1 }, d: { '<': 3, '>': 1 } }",
        ),
    ] {
        let rule = read(&format!("{head} | {commands}")).unwrap();
        let ours = format!(
            "name: n\nwhere: {{ query: a }}\nby: src\naggregate: {{ count: count, d: dc(dest) }}\nhaving: {having}\n"
        );
        let ours = native::read_text("f.yaml", &ours).unwrap().remove(0);
        assert_eq!(rule.having, ours.having, "{commands}");
        assert_eq!(rule.columns, ours.columns);
    }
    let rule = read(&format!("{head} | where d>1 | rename d as resolvers")).unwrap();
    assert_eq!(rule.columns[rule.having[0].column].name, "resolvers");
    let mistakes = read(&format!("{head}\n| where d>1 | stats max(d) as e by src")).unwrap_err();
    assert!(
        mistakes[0].contains("stats after a condition on `d`"),
        "{mistakes:#?}"
    );
    let mistakes = read(&format!("{head} | where count>1 | where count>2")).unwrap_err();
    assert!(mistakes[0].contains("a second time"), "{mistakes:#?}");
}

#[test]
fn every_command_that_is_not_understood_is_named() {
    let search = format!("{HEAD}\n| eval a=b\n| where c>1\n| join d e\n| `own`");
    let mistakes = read(&search).unwrap_err();
    let lines: Vec<&str> = mistakes
        .iter()
        .filter_map(|mistake| mistake.split(':').nth(1))
        .collect();
    assert_eq!(lines, ["5", "7", "8"], "{mistakes:#?}");
}

#[test]
fn what_is_taken_otherwise_is_noted() {
    for (search, words) in [
        (
            "| tstats count from datamodel=Network_Resolution where DNS.reply_code=NoErr by DNS.src",
            "`reply_code` is never 'NoErr' here; it is one of: No Error, Format Error",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.message_type=Q by DNS.src",
            "it is one of: Query, Response",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.record_type=Ponter by DNS.src",
            "it is a mnemonic such as A",
        ),
        (
            "| tstats count from datamodel=Network_Resolution where DNS.vendor_product=Sysmon by DNS.src",
            "it is one of: dnsterrier",
        ),
        (
            "| tstats count from datamodel=Network_Resolution by DNS.src host",
            "`host` is the sensor here",
        ),
        (
            "| tstats fillnull_value=none count from datamodel=Network_Resolution by DNS.src",
            "groups under `null`, not 'none'",
        ),
        (
            "| tstats count from datamodel=Network_Resolution by DNS.src | `other_filter`",
            "the filter is called `own_detection_filter` here",
        ),
    ] {
        let rule = read(search).unwrap();
        let notes: Vec<String> = rule.notes.iter().map(ToString::to_string).collect();
        assert!(
            notes.len() == 1 && notes[0].contains(words),
            "{search}\n{notes:#?}"
        );
    }
    assert!(
        read(&format!("{HEAD} | `own_detection_filter`"))
            .unwrap()
            .notes
            .is_empty()
    );
}

#[test]
fn risk_is_read_from_every_schema() {
    let search =
        "search: '| tstats count from datamodel=Network_Resolution by DNS.src DNS.query'\n";
    for (said, message, score) in [
        (
            "tags:\n  impact: 70\n  confidence: 80\n  message: $DNS.src$ asked for $query$, $5\n  observable:\n  - { name: DNS.src, type: IP Address, role: [Victim] }\n  - { name: query, type: URL String, role: [Attacker] }\n",
            "$src$ asked for $query$, $5",
            56,
        ),
        (
            "tags:\n  risk_score: 25\n  message: by $host$ or $src$\n  observable:\n  - { name: src, type: Hostname, role: [Victim] }\n",
            "by host or $src$",
            25,
        ),
        (
            "rba:\n  message: m $src$\n  risk_objects:\n  - { field: src, type: system, score: 49 }\n  - { field: dest, type: system, score: 49 }\n  threat_objects: []\n",
            "m $src$",
            49,
        ),
        (
            "finding:\n  title: t $src$\n  entity: { field: src, type: system, score: 60 }\n",
            "t $src$",
            60,
        ),
        (
            "intermediate_findings:\n  entities:\n  - { field: src, type: system, score: 20, message: of $src$ }\n",
            "of $src$",
            20,
        ),
    ] {
        let text = format!("name: n\n{search}{said}");
        let rules =
            native::read_text("f.yml", &text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let risk = rules[0].risk.as_ref().unwrap();
        assert_eq!(risk.message, message);
        assert_eq!(risk.objects.len(), 1);
        assert_eq!(risk.objects[0].score, score);
        assert_eq!(risk.objects[0].field.name(), "src");
        assert_eq!(risk.objects[0].object_type.name(), "system");
    }
}

#[test]
fn threat_objects_and_throttling_are_read_from_every_schema() {
    let search = "search: '| tstats count values(DNS.answer) as answer from datamodel=Network_Resolution by DNS.src DNS.query'\n";
    let objects = "risk_objects: [{ field: src, type: system, score: 49 }]";
    for said in [
        format!("rba:\n  message: m\n  {objects}\n  threat_objects: [{{ field: query, type: domain }}, {{ field: answer, type: ip_address }}]\n"),
        "intermediate_findings:\n  entities: [{ field: src, type: system, score: 1, message: m }]\nthreat_objects: [{ field: query, type: domain }, { field: answer, type: ip_address }]\n".to_owned(),
        "tags:\n  risk_score: 5\n  message: m\n  observable:\n  - { name: src, type: Hostname, role: [Victim] }\n  - { name: query, type: dnsquery, role: [Attacker] }\n  - { name: DNS.answer, type: IP Address, role: [Attacker] }\n".to_owned(),
    ] {
        let text = format!("name: n\n{search}{said}");
        let rules = native::read_text("f.yml", &text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let threats = &rules[0].risk.as_ref().unwrap().threat_objects;
        let threats: Vec<(&str, &str)> = threats
            .iter()
            .map(|threat| (threat.field.as_str(), threat.object_type))
            .collect();
        assert_eq!(threats, [("query", "domain"), ("answer", "ip_address")]);
        assert!(rules[0].notes.is_empty(), "{:?}", rules[0].notes);
    }
    let said = format!(
        "rba:\n  message: m\n  {objects}\n  threat_objects: [{{ field: dest, type: domain }}, {{ field: query, type: dnsquery }}]\ntags:\n  throttling: {{ fields: [DNS.src], period: 90m }}\n"
    );
    let rules = native::read_text("f.yml", &format!("name: n\n{search}{said}")).unwrap();
    let notes: Vec<&str> = rules[0]
        .notes
        .iter()
        .map(|note| note.message.as_str())
        .collect();
    assert_eq!(
        notes,
        [
            "the threat object `dest` is left out: no row has it",
            "the threat object `query` is left out: 'dnsquery' is no type of such an object",
        ]
    );
    let throttle = rules[0].throttle.as_ref().unwrap();
    assert_eq!(throttle.fields, [crate::event::Field::Src]);
    assert_eq!(throttle.period, std::time::Duration::from_secs(5_400));
}

#[test]
fn a_detection_without_a_schedule_runs_every_hour() {
    let own = "deployment:\n  scheduling: { cron_schedule: '*/5 * * * *', earliest_time: -20m@m, latest_time: -5m@m }\n";
    for (more, cron, earliest) in [("", "0 * * * *", "-70m@m"), (own, "*/5 * * * *", "-20m@m")] {
        let text = format!("{}\n{more}", detection(HEAD));
        let rules = native::read_text("f.yml", &text).unwrap();
        let schedule = rules[0].schedule.as_ref().unwrap();
        assert_eq!(schedule.cron, cron);
        assert_eq!(schedule.earliest, earliest);
    }
}

#[test]
fn depth_is_bounded_and_the_deepest_can_be_written() {
    let nested = |depth: usize| {
        let asked =
            "NOT (DNS.src=1 OR DNS.dest=2 ".repeat(depth) + "DNS.query=a" + &")".repeat(depth);
        format!("| tstats count from datamodel=Network_Resolution where {asked} by DNS.src")
    };
    let deepest = read(&nested(4)).unwrap();
    let written = crate::rule::write(&deepest).unwrap();
    assert!(native::read_text("f.yaml", &written).is_ok(), "{written}");
    for depth in [10, 1_000, 20_000] {
        let mistakes = read(&nested(depth)).unwrap_err();
        assert!(mistakes[0].contains("inside each other"), "{mistakes:#?}");
    }
    let nots = "NOT ".repeat(100_000);
    let search = format!(
        "| tstats count from datamodel=Network_Resolution where {nots} DNS.src=1 by DNS.src"
    );
    assert!(read(&search).unwrap_err()[0].contains("inside each other"));
}

/// Pieces that searches are made of, so that nonsense comes far.
fn pieces() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "| tstats count from datamodel=Network_Resolution where ",
        "DNS.query=\"a*\" ",
        "DNS.src ",
        "by ",
        "IN (",
        ") ",
        "( ",
        "NOT ",
        "OR ",
        "AND ",
        "| ",
        "`drop_dm_object_name(DNS)` ",
        "stats sum(count) as n ",
        "where count>5 ",
        "rename ",
        "as ",
        "sort ",
        "search ",
        "= ",
        "!= ",
        "\" ",
        "` ",
        "[ ",
        "] ",
        ", ",
        "count ",
        "values(DNS.answer) as b ",
        "é",
        "\\",
        "\n",
        "  ",
        "$",
        "'",
    ]);
    proptest::collection::vec(
        prop_oneof![4 => known.prop_map(str::to_owned), 1 => "\\PC{0,4}"],
        0..30,
    )
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_search_panics_and_what_is_taken_can_be_written(search in pieces(), head in any::<bool>()) {
        let search = if head { format!("{HEAD} {search}") } else { search };
        for text in [
            detection(&search),
            format!("name: n\nsearch: '{}'\n", search.replace('\'', "''")),
            format!("name: n\nsearch: {search}\n"),
        ] {
            if let Ok(rules) = native::read_text("f.yml", &text) {
                for rule in rules {
                    let written = crate::rule::write(&rule).unwrap();
                    let read = native::read_text("f.yaml", &written);
                    prop_assert!(read.is_ok(), "{:?}\n{}", read, written);
                }
            }
        }
    }

    #[test]
    fn no_file_panics(text in "(.|\n){0,80}", key in "(tags|rba|finding|intermediate_findings|references|deployment)") {
        let file = format!("{}\n{key}: {text}", detection(HEAD));
        if let Ok(rules) = native::read_text("f.yml", &file) {
            prop_assert!(!rules.is_empty());
        }
    }
}

/// A detection with that search, in a folder of its own with those files beside it.
fn beside(files: &[(&str, &str)], tail: &str) -> Result<Vec<Rule>, Vec<Mistake>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let path = folder.path().join("detections/network/own.yml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let search = format!(
        "| tstats count from datamodel=Network_Resolution by DNS.src DNS.query | `drop_dm_object_name(DNS)` {tail}"
    );
    std::fs::write(
        &path,
        format!(
            "name: Own\ndate: '2026-01-01'\nsearch: '{}'\n",
            search.replace('\'', "''")
        ),
    )
    .unwrap();
    native::read_path(&path)
}

#[test]
fn lookups_are_taken_with_their_definitions() {
    let csv = "remote_domain,remote_utility,isutility\n*.remote.example,Tool,True\nother.example,Other,False\n";
    let definition = "name: tools\nfilename: tools.csv\ndefault_match: 'false'\nmatch_type: WILDCARD(remote_domain)\nmin_matches: 1\nmax_matches: 1\n";
    let files = [
        ("lookups/tools.csv", csv),
        ("lookups/tools.yml", definition),
    ];
    let rules = beside(
        &files,
        "| lookup local=true tools remote_domain AS query OUTPUT isutility, remote_utility AS tool | search isutility = True | `own_filter`",
    )
    .unwrap();
    assert!(rules[0].notes.is_empty(), "{:?}", rules[0].notes);
    let rules = Rules::new(rules).unwrap();
    // The default passes no test, so that a line must match, and the question tells.
    assert!(!rules.needs_everything());
    let hits = |query: &str| {
        let mut found = Vec::new();
        let event = crate::rule::tests::event(query);
        rules.hits(&event, &mut |_, event, _| {
            for added in &event.added {
                found.push((added.field.name(), added.values[0].to_string()));
            }
        });
        found
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(
        hits("a.remote.example"),
        [("isutility", text("True")), ("tool", text("Tool"))]
    );
    assert_eq!(hits("other.example"), []);
    assert_eq!(hits("unlisted.example"), []);
    let by: Vec<&str> = rules.list()[0]
        .by
        .iter()
        .map(|field| field.name())
        .collect();
    assert_eq!(by, ["src", "query", "isutility", "tool"]);
    assert_eq!(
        rules.list()[0].lookups[0].matches[0].matching,
        crate::rule::Matching::Wildcard
    );
}

#[test]
fn a_lookup_without_a_definition_is_a_csv_of_that_name() {
    let csv = [(
        "detections/network/own_list.csv",
        "domain,known\na.example,yes\n",
    )];
    let rules = beside(
        &csv,
        "| lookup own_list domain AS query OUTPUTNEW known | stats sum(count) as count by src",
    )
    .unwrap();
    assert_eq!(rules[0].notes.len(), 1, "{:?}", rules[0].notes);
    assert!(rules[0].notes[0].message.contains("the first is taken"));
    assert_eq!(rules[0].lookups[0].file, "own_list.csv");
    for (tail, words) in [
        (
            "| lookup other domain AS query OUTPUT known",
            "there is no lookup 'other' here; expected other.csv",
        ),
        (
            "| lookup own_list domain AS answer OUTPUT known",
            "'answer' was not understood; expected a field that the head groups by",
        ),
        (
            "| lookup own_list domain AS query",
            "expected OUTPUT and the columns",
        ),
        (
            "| lookup own_list domain AS query OUTPUT known AS src",
            "'src' was not understood; expected a name that the rows do not have yet",
        ),
        (
            "| lookup own_list domian AS query OUTPUT known",
            "has no column `domian`; did you mean `domain`?",
        ),
        (
            "| lookup ../own_list domain AS query OUTPUT known",
            "'../own_list' was not understood",
        ),
    ] {
        let found = beside(&csv, tail).unwrap_err();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(
            found.iter().any(|line| line.contains(words)),
            "{words} is not in {found:?}"
        );
    }
}
