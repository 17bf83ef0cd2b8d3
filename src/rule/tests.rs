//! Tests of the rules as a whole: what is read, what matches, what is wanted.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::event::{Outcome, Role, Seen};
use crate::frame::Transport;
use crate::message::Record;
use crate::time::Timestamp;

pub(super) fn event(query: &str) -> Event {
    Event {
        time: Timestamp::from_parts(1_767_323_045, 0),
        sensor: Arc::from("sensor"),
        source: Arc::from("eth0"),
        zone: None,
        seen: Seen::Both,
        src: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 11)),
        src_port: 40_000,
        src_mac: None,
        dest: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 53)),
        dest_port: 53,
        dest_mac: None,
        src_asset: None,
        dest_asset: None,
        transport: Transport::Udp,
        transaction_id: 1,
        opcode: Cow::Borrowed("QUERY"),
        header_flags: 0x8180,
        query: query.to_owned(),
        query_spelled: query.to_owned(),
        other_questions: Vec::new(),
        record_type: Cow::Borrowed("A"),
        query_class: Cow::Borrowed("IN"),
        query_count: 1,
        answer_count: 0,
        authority_answer_count: 0,
        additional_answer_count: 0,
        reply_code: Some(0),
        answers: Vec::new(),
        duration: None,
        edns: None,
        edns_options: Vec::new(),
        outcome: Outcome::Resolved,
        anomalies: Vec::new(),
        src_role: Role::Client,
        vlan: Vec::new(),
        tunnel: Vec::new(),
        packet: 1,
        response_packet: Some(2),
        event_id: [0; 16],
        added: Vec::new(),
        wire: None,
    }
}

fn read(text: &str) -> Rules {
    Rules::new(native::read_text("test.yaml", text).unwrap()).unwrap()
}

fn matches(rules: &Rules, event: &Event) -> Vec<(String, String)> {
    let mut found = Vec::new();
    rules.matches(event, &mut |place, name| {
        found.push((rules.list()[place].name.clone(), name.to_owned()))
    });
    found
}

fn mistakes(text: &str) -> Vec<String> {
    native::read_text("bad.yaml", text)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_rule_as_designed_is_read_whole() {
    let rules = embedded().unwrap();
    let rule = &rules[0];
    assert_eq!(rule.name, "Ngrok Reverse Proxy on Network");
    assert_eq!(
        rule.id.as_deref(),
        Some("5790a766-53b8-40d3-a696-3547b978fcf0")
    );
    assert_eq!(
        (rule.rule_type.as_deref(), rule.version, rule.enabled),
        (Some("Anomaly"), Some(3), true)
    );
    assert_eq!(rule.by, [Field::Src, Field::Query, Field::Answer]);
    let columns: Vec<(&str, Function)> = rule
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.function))
        .collect();
    assert_eq!(
        columns,
        [
            ("count", Function::Count),
            ("firstTime", Function::MinTime),
            ("lastTime", Function::MaxTime)
        ]
    );
    let schedule = rule.schedule.as_ref().unwrap();
    assert_eq!(
        (&*schedule.cron, &*schedule.earliest, &*schedule.latest),
        ("0 * * * *", "-70m@m", "-10m@m")
    );
    let risk = rule.risk.as_ref().unwrap();
    assert_eq!(
        risk.message,
        "An endpoint, $src$, is beaconing out to the reverse proxy service of Ngrok."
    );
    assert_eq!(
        risk.objects,
        [RiskObject {
            field: Field::Src,
            object_type: RiskObjectType::System,
            score: 50
        }]
    );
    assert_eq!(rule.attack, ["T1572", "T1090", "T1102"]);
    assert_eq!(rule.pattern_count(), 4);
    assert_eq!(rule.origin.to_string(), "embedded (ngrok)");
    assert!(rule.text.contains("korgn.*.lennut.com") && !rule.text.contains("ngrok-agent.com"));
    for rule in &rules {
        assert!(
            rule.description.is_some() && rule.false_positives.is_some() && rule.risk.is_some(),
            "{}",
            rule.name
        );
        assert!(
            !rule.references.is_empty() && !rule.attack.is_empty() && rule.id.is_some(),
            "{}",
            rule.name
        );
    }
}

#[test]
fn one_lookup_of_ngrok_makes_one_hit() {
    let rules = Rules::new(embedded().unwrap()).unwrap();
    assert!(!rules.needs_everything(), "the rule on answers is off");
    let seed = "Ngrok Reverse Proxy on Network";
    let agent = "ngrok agent runs here";
    let visit = "Somebody visits an ngrok tunnel";
    let download = "ngrok agent downloaded or updated";
    for (name, rule) in [
        ("abc.ngrok.io", seed),
        ("a.b.eu.ngrok.io", seed),
        ("tunnel.us.ngrok.com", seed),
        ("tunnel.ngrok.com", seed),
        ("crl.ngrok.com", seed),
        ("ngrok.us.tunnel.com", seed),
        ("korgn.su.lennut.com", seed),
        ("connect.ngrok-agent.com", agent),
        ("connect.us-cal-1.ngrok-agent.com", agent),
        ("crl.ngrok-agent.com", agent),
        ("update.ngrok-agent.com", agent),
        ("abc.ngrok.app", visit),
        ("abc.ngrok.dev", visit),
        ("abc.ngrok.pizza", visit),
        ("abc.ngrok-free.app", visit),
        ("abc.ngrok-free.dev", visit),
        ("abc.ngrok-free.pizza", visit),
        ("bin.equinox.io", download),
        ("dl.equinox.io", download),
        ("update.equinox.io", download),
    ] {
        assert_eq!(
            matches(&rules, &event(name)),
            [(rule.to_owned(), name.to_owned())],
            "{name}"
        );
        assert!(wants(&rules, name.as_bytes()), "{name}");
    }
    for name in [
        "ngrok.io",
        "ngrok.com",
        "notngrok.io",
        "a.ngrok.io.evil.example",
        "ngrok-free.app.example",
        "equinox.io",
        ".",
        "unknown",
    ] {
        assert_eq!(matches(&rules, &event(name)), [], "{name}");
    }
    for name in [
        "example.com",
        "ngrok.io.evil.example",
        "notngrok.io",
        "com",
        ".",
    ] {
        assert!(!wants(&rules, name.as_bytes()), "{name}");
    }
}

#[test]
fn a_rule_that_is_off_runs_when_it_is_named() {
    let mut list = embedded().unwrap();
    select(&mut list, &["a custom domain leads to NGROK".to_owned()]).unwrap();
    let rules = Rules::new(list).unwrap();
    assert_eq!(rules.running().count(), 1);
    assert!(rules.needs_everything() && wants(&rules, b"www.example.com"));
    let mut innocent = event("www.example.com");
    innocent.answers = ["x.ngrok-cname.com", "192.0.2.1"]
        .map(|data| Record {
            name: "www.example.com".into(),
            record_type: "CNAME".into(),
            class: 1,
            ttl: 60,
            data: data.into(),
        })
        .into();
    assert_eq!(
        matches(&rules, &innocent).len(),
        1,
        "any value of the answers may match"
    );
    assert_eq!(matches(&rules, &event("abc.ngrok.io")), []);

    let mut list = embedded().unwrap();
    select(
        &mut list,
        &["5790A766-53b8-40d3-a696-3547b978fcf0".to_owned()],
    )
    .unwrap();
    assert!(list[0].enabled && !list[1].enabled);
    assert!(
        select(&mut list, &["ngrok agent run here".to_owned()])
            .unwrap_err()
            .contains("did you mean `ngrok agent runs here`")
    );
}

#[test]
fn the_short_form_groups_by_src_and_query() {
    let rules = native::read_text(
        "own.yaml",
        "name: own\ndomain: [ngrok-agent.com]\nrisk: 80\n",
    )
    .unwrap();
    let rule = &rules[0];
    assert_eq!(rule.by, [Field::Src, Field::Query]);
    assert_eq!(rule.columns.len(), 4);
    assert_eq!(
        rule.columns[3],
        Column {
            name: "answer".to_owned(),
            function: Function::Values(Field::Answer)
        }
    );
    assert_eq!(rule.risk.as_ref().unwrap().objects[0].score, 80);
    assert_eq!(rule.origin.to_string(), "own.yaml:1");
    assert_eq!(
        &*rule.text,
        "name: own\ndomain: [ngrok-agent.com]\nrisk: 80\n"
    );
    let rules = Rules::new(rules).unwrap();
    assert_eq!(matches(&rules, &event("ngrok-agent.com")).len(), 1);
    assert_eq!(matches(&rules, &event("connect.ngrok-agent.com")).len(), 1);
    assert_eq!(matches(&rules, &event(r"x\.ngrok-agent.com")), []);
}

#[test]
fn the_later_shape_of_the_rule_needs_only_another_file() {
    let rules = native::read_text(
        "later.yaml",
        "name: later\nwhere: { query: ['*.ngrok.com'] }\n\
         by: [answer, answer_count, query, query_count, reply_code_id, src, vendor_product]\n\
         risk: { message: $src$, objects: [{ field: src, type: system, score: 20 }] }\n",
    )
    .unwrap();
    assert_eq!(rules[0].by.len(), 7);
    assert_eq!(rules[0].risk.as_ref().unwrap().objects[0].score, 20);
}

#[test]
fn all_fields_must_match_and_any_pattern_of_each() {
    let rules = read(
        "name: r\nwhere:\n  query: ['*.a.example', '*.b.example']\n  dest_port: 53\n  src: '10.9.*'\n  reply_code_id: ['3', '0']\n  transport: UDP\n",
    );
    assert!(!rules.needs_everything());
    assert_eq!(matches(&rules, &event("x.b.example")).len(), 1);
    let mut other = event("x.b.example");
    other.dest_port = 5353;
    assert_eq!(
        matches(&rules, &other),
        [],
        "numbers are compared as their text"
    );
    let mut other = event("x.b.example");
    other.src = IpAddr::V4(Ipv4Addr::new(10, 90, 0, 1));
    assert_eq!(
        matches(&rules, &other),
        [],
        "addresses are compared as their text"
    );
    let mut other = event("x.b.example");
    other.reply_code = Some(2);
    assert_eq!(matches(&rules, &other), []);
}

#[test]
fn the_record_type_null_is_a_pattern_like_any_other() {
    let rules = read("name: r\nwhere: { query: '*', record_type: [TXT, NULL] }\n");
    let mut lookup = event("a.example");
    assert_eq!(matches(&rules, &lookup), []);
    lookup.record_type = Cow::Borrowed("NULL");
    assert_eq!(matches(&rules, &lookup).len(), 1);
}

#[test]
fn an_absent_field_has_no_value_that_could_match() {
    let rules = read("name: r\nwhere: { client_subnet: '*' }\n");
    assert!(rules.needs_everything());
    assert_eq!(matches(&rules, &event("a.example")), []);
}

#[test]
fn a_hit_is_grouped_under_the_question_that_matched_first() {
    let rules = read(
        "name: r\nwhere: { query: ['*.ngrok.io'], transport: udp }\n---\nname: all\nwhere: { transport: udp }\n",
    );
    let mut several = event("a.example");
    several.other_questions = vec!["b.ngrok.io".to_owned(), "c.ngrok.io".to_owned()];
    let expected = [
        ("r".to_owned(), "b.ngrok.io".to_owned()),
        ("all".to_owned(), "a.example".to_owned()),
    ];
    assert_eq!(matches(&rules, &several), expected);
    several.query = "z.ngrok.io".to_owned();
    assert_eq!(matches(&rules, &several)[0].1, "z.ngrok.io");
}

#[test]
fn two_rules_do_not_share_a_name() {
    let rule = |file: &str| {
        native::read_text(file, "# c\nname: same\ndomain: a.example\n")
            .unwrap()
            .remove(0)
    };
    let found = Rules::new(vec![rule("one.yaml"), rule("two.yaml")]).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "two.yaml:2: the name 'same' is taken by the rule of one.yaml:2; expected a name of its own"
    );
    let found = mistakes("name: same\ndomain: a.example\n---\nname: same\ndomain: b.example\n");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("bad.yaml:4:1: the name 'same'"),
        "{found:?}"
    );
}

#[test]
fn twenty_mistakes_in_one_file_are_all_named_with_their_places() {
    let text = include_str!("../../tests/rules/mistakes.yaml");
    let found = mistakes(text);
    let expected = [
        ("1:1", "has no key `nmae`; did you mean `name`?"),
        ("1:1", "the rule has no name"),
        ("2:5", "not a UUID"),
        ("3:7", "did you mean `Anomaly`?"),
        ("4:10", "expected a whole number from 1"),
        ("5:10", "expected true or false"),
        ("6:17", "is a number; expected text"),
        ("7:14", "not a URL"),
        ("9:3", "did you mean `query`"),
        ("10:11", "empty list"),
        ("11:11", "punycode"),
        ("11:29", "never in a name"),
        ("12:11", "did you mean `source`"),
        ("12:18", "`src` a second time in by"),
        ("14:10", "did you mean `count`?"),
        ("15:14", "min does not take ''"),
        ("16:3", "the row has a `src` already"),
        ("17:10", "did you mean `query`"),
        ("18:3", "`names` a second time"),
        ("19:19", "the cron expression '61 * * * *' cannot be read"),
        ("19:59", "not a relative time"),
        ("21:12", "the row has no `dest`"),
        ("22:22", "`dest` is not among by"),
        ("22:34", "did you mean `system`?"),
        ("22:49", "expected a whole number from 0 to 100"),
        ("22:66", "expected a whole number from 0 to 100"),
        ("23:10", "not an ATT&CK technique"),
        ("24:1", "`attack` a second time"),
    ];
    for (place, words) in expected {
        assert!(
            found.iter().any(
                |line| line.starts_with(&format!("bad.yaml:{place}: ")) && line.contains(words)
            ),
            "{place} {words} is not in\n{}",
            found.join("\n")
        );
    }
    assert_eq!(found.len(), expected.len(), "{}", found.join("\n"));
}

#[test]
fn threat_objects_stacking_and_throttle() {
    let text = "name: r\ndomain: a.example\n\
        risk:\n  message: m\n  objects: [{ field: src, type: system, score: 20 }]\n  stacked: true\n  \
        threat_objects: [{ field: query, type: domain }, { field: answer, type: ip_address }]\n\
        throttle: { fields: [src, query], period: 90m }\n";
    let rules = native::read_text("own.yaml", text).unwrap();
    let risk = rules[0].risk.as_ref().unwrap();
    assert!(risk.stacked);
    let threats: Vec<_> = risk
        .threat_objects
        .iter()
        .map(|threat| (threat.field.as_str(), threat.object_type))
        .collect();
    assert_eq!(threats, [("query", "domain"), ("answer", "ip_address")]);
    assert_eq!(
        rules[0].throttle,
        Some(Throttle {
            fields: vec![Field::Src, Field::Query],
            period: std::time::Duration::from_secs(5_400),
        })
    );
    let plain = native::read_text("own.yaml", "name: r\ndomain: a.example\nrisk: 5\n").unwrap();
    assert!(!plain[0].risk.as_ref().unwrap().stacked && plain[0].throttle.is_none());
}

/// The mistakes in a file of filters, as they are told.
fn mistakes_of_filters(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filters.yaml");
    std::fs::write(&path, text).unwrap();
    let known = native::read_text("own.yaml", "name: Known rule\ndomain: a.example\n").unwrap();
    let found = match native::read_filters(&path) {
        Ok(filters) => Filters::new(filters, &known, &[]).map(drop).unwrap_err(),
        Err(mistakes) => mistakes,
    };
    let folder = format!("{}/", folder.path().display());
    found
        .iter()
        .map(|mistake| mistake.to_string().replace(&folder, ""))
        .collect()
}

#[test]
fn mistakes_in_filters_are_named() {
    let rest = "where: { src: '10.*' }\nowner: a\nreason: b\nexpires: 2027-01-31\n";
    for (text, words) in [
        (
            format!("rule: Knwon rule\n{rest}"),
            "1:7: there is no rule 'Knwon rule'; did you mean `Known rule`?",
        ),
        (
            format!("filter: known_rule\n{rest}"),
            "1:9: there is no rule 'known_rule'; did you mean `known_rule_filter`?",
        ),
        (
            format!("rule: zzzzzzzz\n{rest}"),
            "expected the name of a rule (dnsterrier rules list)",
        ),
        (
            format!("rule: Known rule\nfilter: known_rule_filter\n{rest}"),
            "2:1: both `rule` and `filter`",
        ),
        (rest.to_owned(), "1:1: the filter says of no rule"),
        (
            "rule: Known rule\n".to_owned(),
            "1:1: the filter has no owner; expected `owner` too",
        ),
        (
            rest.replace("src", "srx"),
            "1:10: `srx` in where is no field of an event; did you mean `src`?",
        ),
        (
            rest.replace("2027-01-31", "2027-02-30"),
            "4:10: expires is '2027-02-30'; expected a date such as 2027-01-31",
        ),
        (
            rest.replace("2027-01-31", "1767323045"),
            "expires is '1767323045'",
        ),
        (rest.replace("2027-01-31", "[]"), "expires is a list"),
        (
            rest.replace("reason: b", "reason: |-\n  b\n  c"),
            "reason cannot be shown in one line",
        ),
        (
            rest.replace("owner", "onwer"),
            "a filter has no key `onwer`; did you mean `owner`?",
        ),
        ("# nothing\n".to_owned(), "no filter in this file"),
    ] {
        let found = mistakes_of_filters(&text);
        assert!(
            found
                .iter()
                .any(|line| line.starts_with("filters.yaml") && line.contains(words)),
            "{text}: {words} is not in {found:#?}"
        );
    }
    assert_eq!(mistakes_of_filters("rule: Known rule\n").len(), 4);
}

#[test]
fn filters_take_hits_away_until_they_expire() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filters.yaml");
    let end = "owner: a\nreason: b\nexpires: 2026-01-02\n";
    std::fs::write(
        &path,
        format!(
            "rule: known RULE\nwhere: {{ query: '*.a.example', src: '10.9.0.11' }}\n{end}---\n\
             filter: known_rule_filter\nwhere: {{ query: b.a.example }}\n{end}---\n\
             rule: Another\nwhere: {{ query: '*' }}\n{end}"
        ),
    )
    .unwrap();
    let rules = native::read_text(
        "own.yaml",
        "name: Known rule\ndomain: a.example\n---\nname: Free rule\ndomain: a.example\n",
    )
    .unwrap();
    let others = native::read_text("o.yaml", "name: Another\ndomain: a.example\n").unwrap();
    let read = native::read_filters(&path).unwrap();
    let mut filters = Filters::new(read, &rules, &others).unwrap();
    let day = |text: &str| Timestamp::parse(text).unwrap();
    let mut removes = |rule: usize, query: &str, src: u8, time: &str| {
        let mut event = event(query);
        event.src = IpAddr::V4(Ipv4Addr::new(10, 9, 0, src));
        event.time = day(time);
        filters.remove(rule, &event, query)
    };
    assert!(removes(0, "x.a.example", 11, "2026-01-01T23:59:59.999999Z"));
    assert!(!removes(0, "x.a.example", 11, "2026-01-02T00:00:00Z"));
    assert!(!removes(0, "x.a.example", 12, "2026-01-01"));
    assert!(removes(0, "b.a.example", 12, "2026-01-01"));
    assert!(!removes(1, "b.a.example", 12, "2026-01-01"), "another rule");
    let counted: Vec<(u64, u64, bool)> = filters
        .counted()
        .iter()
        .map(|it| (it.removed, it.passed, it.expired))
        .collect();
    assert_eq!(counted, [(1, 1, true), (1, 0, false), (0, 0, false)]);
}

#[test]
fn every_other_mistake_has_its_words_too() {
    for (text, words) in [
        ("name: r\n", "1:1: the rule says of no event"),
        ("name: r\nwhere: {}\n", "2:8: where is empty"),
        ("name: r\nwhere:\n", "2:6: where is nothing"),
        ("name: r\nwhere: { query: }\n", "is nothing; expected text"),
        ("name: r\nwhere: { query: '' }\n", "2:17: an empty pattern"),
        (
            "name: r\nwhere: { answer: '' }\n",
            "2:18: a pattern of 0 bytes",
        ),
        (
            "name: r\nwhere: { query: { a: b } }\n",
            "2:19: what is asked of `query` has no key `a`",
        ),
        (
            "name: r\nwhere: { query: {} }\n",
            "2:17: nothing is asked of `query`; expected `=`",
        ),
        (
            "name: r\nwhere: { query: { '>': 5 } }\n",
            "2:24: `query` is no number; expected a pattern",
        ),
        (
            "name: r\nwhere: { ttl: { '>': many } }\n",
            "2:22: `ttl` is compared with 'many'; expected a number",
        ),
        (
            "name: r\nwhere: { ttl: { between: [9, 1] } }\n",
            "2:26: the ends of between are the wrong way round",
        ),
        (
            "name: r\nwhere: { ttl: { between: [9] } }\n",
            "2:26: between has 1 ends",
        ),
        ("name: r\nwhere: { _time: { '<': yesterday } }\n", "2:24: "),
        (
            "name: r\nwhere: { query: { cidr: 10.0.0.0/8 } }\n",
            "2:25: `query` holds no addresses; expected cidr on `answer`",
        ),
        (
            "name: r\nwhere: { src: { cidr: 10.0.0.0/33 } }\n",
            "2:23: '10.0.0.0/33' is no network",
        ),
        (
            "name: r\nwhere: { query: { regex: '(a' } }\n",
            "2:26: '(a' is no regular expression: unclosed group",
        ),
        (
            "name: r\nwhere: { query: { regex: '(?=a)b' } }\n",
            "look-around",
        ),
        (
            "name: r\nwhere: { query: { regex: '((a{1,100}){1,100}){1,100}' } }\n",
            "it grows too large",
        ),
        (
            "name: r\nwhere: { src: { same_as: dst } }\n",
            "2:26: `dst` in same_as is no field of an event; did you mean",
        ),
        (
            "name: r\nwhere: { ttl: { exists: false, '>': 5 } }\n",
            "2:15: `ttl` cannot be absent and pass a test",
        ),
        (
            "name: r\nwhere: { NOT: { ttl: 5 } }\n",
            "2:10: `NOT` in where; did you mean `not`",
        ),
        (
            "name: r\nwhere: { or: { ttl: 5 } }\n",
            "2:14: or is a mapping; expected a list of mappings",
        ),
        (
            "name: r\nwhere: { or: [{ qery: x }] }\n",
            "2:17: `qery` in or is no field of an event; did you mean `query`",
        ),
        (
            "name: r\nwhere: { query_lenght: 5 }\n",
            "did you mean `query_length`",
        ),
        (
            "name: r\nwhere: { query: *.ngrok.io }\n",
            "2:17: an unquoted *",
        ),
        ("name: r\nwhere: [query]\n", "where is a list"),
        (
            "name: r\nwhere: { query: a.example }\ndomain: a.example\n",
            "3:1: both",
        ),
        (
            "name: r\ndomain: ['*.a.example']\n",
            "2:10: '*.a.example' is a pattern",
        ),
        (
            "name: r\ndomain: a.example\nrisk: 101\n",
            "3:7: risk is '101'; expected a whole number from 0 to 100",
        ),
        (
            "name: r\ndomain: a.example\nrisk: {}\n",
            "risk is not complete",
        ),
        (
            "name: r\ndomain: a.example\nby: [query]\nrisk: 1\n",
            "a score alone is that of src",
        ),
        (
            "name: r\ndomain: a.example\nby: []\n",
            "by is an empty list",
        ),
        (
            "name: r\ndomain: a.example\naggregate: { 1st: count }\n",
            "cannot name a column",
        ),
        (
            "name: r\ndomain: a.example\naggregate: { x: values(answer }\n",
            "no closing parenthesis",
        ),
        (
            "name: r\ndomain: a.example\nschedule: { cron: '0 * * * *' }\n",
            "expected `earliest` or `latest` too",
        ),
        (
            "name: r\ndomain: a.example\nschedule: { cron: '0 * * * *', earliest: -1h, latest: -2h }\n",
            "is not before latest",
        ),
        (
            "name: r\ndomain: a.example\nrisk: { message: m, objects: [{ field: src, type: system, impact: 5 }] }\n",
            "either `score`, or",
        ),
        (
            "name: r\ndomain: a.example\nrisk: { message: m, objects: [{ field: src, type: system, score: 5 }], stacked: yes }\n",
            "stacked is 'yes'; expected true or false",
        ),
        (
            "name: r\ndomain: a.example\nrisk: { message: m, objects: [{ field: src, type: system, score: 5 }], threat_objects: [{ field: qeury, type: domian }] }\n",
            "the row has no `qeury` for a threat object; did you mean `query`?",
        ),
        (
            "name: r\ndomain: a.example\nrisk: { message: m, objects: [{ field: src, type: system, score: 5 }], threat_objects: [{ field: query, type: domian }] }\n",
            "type is 'domian'; did you mean `domain`",
        ),
        (
            "name: r\ndomain: a.example\nrisk: { message: m, objects: [{ field: src, type: system, score: 5 }], threat_objects: [{ field: query }] }\n",
            "the threat object has no type",
        ),
        (
            "name: r\ndomain: a.example\nthrottle: { fields: [src], period: 1h }\n",
            "3:1: throttle without risk",
        ),
        (
            "name: r\ndomain: a.example\nrisk: 5\nthrottle: { fields: [dest], period: 1h }\n",
            "4:22: `dest` is not among by, so no row has one; expected `src` or `query`",
        ),
        (
            "name: r\ndomain: a.example\nrisk: 5\nthrottle: { fields: [src], period: 1 hour }\n",
            "4:36: '1 hour' is not a period",
        ),
        (
            "name: r\ndomain: a.example\nrisk: 5\nthrottle: { fields: [src], period: 0s }\n",
            "'0s' is not a period",
        ),
        (
            "name: r\ndomain: a.example\nrisk: 5\nthrottle: { fields: src }\n",
            "expected `period` too",
        ),
        (
            "name: r\ndomain: a.example\naggregate: { x: sum(query) }\n",
            "3:17: sum takes numbers, and `query` is none; expected `additional_answer_count`, `answer_count`",
        ),
        (
            "name: r\ndomain: a.example\naggregate: { x: stdev(_time) }\n",
            "stdev takes numbers, and `_time` is none",
        ),
        (
            "name: r\ndomain: a.example\naggregate: { x: count(query) }\n",
            "count does not take 'query'; expected `count`, `min(FIELD)`",
        ),
        (
            "name: r\ndomain: a.example\naggregate: { x: mean(ttl) }\n",
            "there is no function 'mean'; ",
        ),
        (
            "name: r\ndomain: a.example\naggregate: { n: dc(query), n_sketch: count }\n",
            "3:14: beside `n` a row may have a `n_sketch`, which it has already; expected another name",
        ),
        (
            "name: r\ndomain: a.example\naggregate: { answer: avg(ttl) }\nby: [answer_count]\n",
            "beside `answer` a row may have a `answer_count`, which it has already",
        ),
        (
            "name: r\ndomain: a.example\nhaving: { cuont: { '>': 5 } }\n",
            "3:11: `cuont` in having is no column of the rule; did you mean `count`?",
        ),
        (
            "name: r\ndomain: a.example\nhaving: { firstTime: { '>': 5 } }\n",
            "3:11: the column `firstTime` is no number; expected `count` or `answer`",
        ),
        (
            "name: r\ndomain: a.example\naggregate: { a: min(query) }\nhaving: { a: { '>': 5 } }\n",
            "4:11: the column `a` is no number; expected a column such as `count: count`",
        ),
        (
            "name: r\ndomain: a.example\nhaving: { count: 50 }\n",
            "3:18: the threshold of `count` is a number; expected an operator and a number, as in { \">\": 50 }",
        ),
        (
            "name: r\ndomain: a.example\nhaving: { count: {} }\n",
            "the threshold of `count` is a mapping; expected an operator",
        ),
        (
            "name: r\ndomain: a.example\nhaving: { count: { '=>': 50 } }\n",
            "3:20: the threshold of `count` has no key `=>`; ",
        ),
        (
            "name: r\ndomain: a.example\nhaving: { count: { '>': many } }\n",
            "3:25: the threshold of `count` is 'many'; expected a number such as 50 or 0.5",
        ),
        (
            "name: r\ndomain: a.example\nhaving: { count: { '>': '50' } }\n",
            "the threshold of `count` is '50'; expected a number",
        ),
        (
            "name: r\ndomain: a.example\nhaving: { answer: { '>': 101 } }\n",
            "3:26: values lists 100 at most; expected a number up to that, or a column dc(answer)",
        ),
        (
            "name: r\ndomain: a.example\nhaving: {}\n",
            "having is empty",
        ),
        (
            "name: r\ndomain: a.example\nhaving: 5\n",
            "having is a number",
        ),
        (
            "name: 12\ndomain: a.example\n",
            "1:7: name is a number; expected text (in quotes: \"12\")",
        ),
        (
            "name: \"a\\nb\"\ndomain: a.example\n",
            "cannot be shown in a table",
        ),
        ("- name: r\n", "a rule is a list"),
        ("", "no rule in this file"),
        ("# nothing\n---\n", "no rule in this file"),
        ("name: r\nwhere:\n\tquery: a.example\n", "bad.yaml:3:"),
        ("name: r\n\tdomain: a.example\n", "expected spaces"),
        ("name: r\ndomain: !!str a.example\n", "the tag"),
        (
            "name: r\nzzzzzzzzzzzz: 1\ndomain: a.example\n",
            "expected `name`, `id`",
        ),
        (
            "name: r\ndomain: a.example\nx\u{1b}[31m: 1\n",
            "bad.yaml:3:",
        ),
    ] {
        let found = mistakes(text);
        assert!(
            found.iter().any(|line| line.contains(words)),
            "{text:?}: {words} is not in\n{}",
            found.join("\n")
        );
        assert!(
            !found.iter().any(|line| line.contains('\u{1b}')),
            "{found:?}"
        );
    }
}

#[test]
fn columns_and_thresholds_are_read() {
    let rules = native::read_text(
        "own.yaml",
        "name: own\ndomain: a.example\nhaving: { n: { '>': 2.5, '!=': 7 }, most: { '<=': -1 } }\n\
         aggregate: { first: min(_time), last: max( _time ), n: dc(query), least: min(query), most: max(ttl), all: sum(query_length), mean: avg(duration), spread: stdev(reply_code_id) }\n",
    )
    .unwrap();
    let functions: Vec<Function> = rules[0]
        .columns
        .iter()
        .map(|column| column.function)
        .collect();
    assert_eq!(
        functions,
        [
            Function::MinTime,
            Function::MaxTime,
            Function::Dc(Field::Query),
            Function::Min(Field::Query),
            Function::Max(Field::Ttl),
            Function::Sum(Field::QueryLength),
            Function::Avg(Field::Duration),
            Function::Stdev(Field::ReplyCodeId),
        ]
    );
    let threshold = |column, negated, relation, number| Threshold {
        column,
        negated,
        relation,
        number,
    };
    assert_eq!(
        rules[0].having,
        [
            threshold(2, false, Relation::Greater, 2_500_000_000),
            threshold(2, true, Relation::Equal, 7_000_000_000),
            threshold(4, false, Relation::AtMost, -1_000_000_000),
        ]
    );
}

#[test]
fn a_mistake_in_syntax_hides_neither_what_is_before_it_nor_the_next_rule() {
    let found = mistakes(
        "name: r\nvesion: 1\nwhere: { query: [a.example\nby: [src]\n---\nname: s\ndomian: a.example\n",
    );
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("bad.yaml:2:1: ") && line.contains("`version`")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|line| line.contains("not YAML")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("bad.yaml:7:1: ") && line.contains("`domain`")),
        "{found:?}"
    );
}

#[test]
fn hostile_files_end_soon() {
    for text in [
        "[".repeat(1 << 20),
        "{a: ".repeat(1 << 18),
        "- ".repeat(1 << 19),
        "a: &a [x]\nb: [*a, *a, *a]\n".repeat(1 << 14),
        format!("name: {}", "\"".repeat(1 << 19)),
        "? ".repeat(1 << 19),
        "a\n".repeat(1 << 19),
        "a: 1\n".repeat(1 << 17),
        "---\n".repeat(1 << 18),
        "#".repeat(1 << 20),
        "name: |\n".to_owned() + &" x\n".repeat(1 << 18),
    ] {
        let found = native::read_text("bad.yaml", &text).unwrap_err();
        assert!(found.len() <= 1_001);
    }
    let found = native::read_text("bad.yaml", &"#".repeat((1 << 20) + 1)).unwrap_err();
    assert!(found[0].message.contains("larger than"));
    let found = native::read_bytes("bad.yaml", b"name: r\nx: \xc3\xa9\xff\n").unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "bad.yaml:2:5: not UTF-8; expected a YAML file in UTF-8"
    );
}

#[test]
fn a_folder_is_read_in_the_order_of_its_paths_and_one_folder_deep() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    assert!(
        native::read_path(folder.path()).unwrap_err()[0]
            .message
            .contains("no rule in this folder")
    );
    write("b.yml", "name: b\ndomain: b.example\n");
    write("a.yaml", "name: a\ndomain: a.example\n");
    write("c/c.yaml", "name: c\ndomain: c.example\n");
    write("c/d/d.yaml", "not: read\n");
    write(".hidden.yaml", "not: read\n");
    write("notes.txt", "not: read\n");
    let names: Vec<String> = native::read_path(folder.path())
        .unwrap()
        .into_iter()
        .map(|rule| rule.name)
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    write("a.yaml", "name: a\n");
    write("b.yml", "domain: b.example\n");
    let found = native::read_path(folder.path()).unwrap_err();
    assert_eq!(found.len(), 2);
    assert!(
        found[0].to_string().contains("a.yaml:1:1: ")
            && found[1].to_string().contains("b.yml:1:1: "),
        "{found:?}"
    );
    assert!(
        native::read_path(&folder.path().join("none.yaml")).unwrap_err()[0]
            .message
            .contains("cannot be read")
    );
}

#[test]
fn a_million_names_are_looked_up_by_their_ends() {
    let names: Vec<String> = (0..100_000)
        .map(|number| format!("d{number}.list{}.example", number % 7))
        .collect();
    let rules = Rules::new(vec![Rule::hunt(&names, Vec::new()).unwrap()]).unwrap();
    assert!(names.iter().all(|name| wants(&rules, name.as_bytes())));
    assert!(wants(&rules, b"www.d99999.list4.example"));
    assert!(
        !wants(&rules, b"d3.list4.example")
            && !wants(&rules, b"www.example.com")
            && !wants(&rules, b"example")
    );
    assert_eq!(matches(&rules, &event("www.d99999.list4.example")).len(), 1);
}

#[test]
fn too_many_patterns_of_one_end_are_wanted_unseen_and_matched_exactly() {
    let names: Vec<String> = (0..200)
        .map(|number| format!("a{number}*b.example"))
        .collect();
    let rules = Rules::new(vec![Rule::hunt(&names, Vec::new()).unwrap()]).unwrap();
    assert!(wants(&rules, b"x.example"));
    assert!(!wants(&rules, b"x.test"));
    assert_eq!(matches(&rules, &event("x.example")), []);
    assert_eq!(matches(&rules, &event("a0-b.example")).len(), 1);
    // Without an end they are found by their longest literal.
    let names: Vec<String> = (0..200)
        .map(|number| format!("*long{number:03}*x*"))
        .collect();
    let rules = Rules::new(vec![Rule::hunt(&names, Vec::new()).unwrap()]).unwrap();
    assert!(
        !wants(&rules, b"x.test")
            && !wants(&rules, b"long.test")
            && !wants(&rules, b"long007.test")
    );
    assert!(wants(&rules, b"long007.xtest"));
    let names: Vec<String> = (0..200).map(|number| format!("long*{number}*")).collect();
    let rules = Rules::new(vec![Rule::hunt(&names, Vec::new()).unwrap()]).unwrap();
    assert!(wants(&rules, b"long.test"), "too many share a literal");
    assert_eq!(matches(&rules, &event("long.test")), []);
    assert_eq!(matches(&rules, &event("long-7.test")).len(), 1);
    let deep = format!("{}x", "a.".repeat(100));
    let rules = Rules::new(vec![
        Rule::hunt(std::slice::from_ref(&deep), Vec::new()).unwrap(),
    ])
    .unwrap();
    assert!(
        wants(&rules, deep.as_bytes())
            && wants(&rules, format!("b.{deep}").as_bytes())
            && !wants(&rules, b"a.x")
    );
}

#[test]
fn the_page_on_rules_names_every_field_and_its_examples_are_rules() {
    let page = include_str!("../../docs/rules.md");
    for field in Field::ALL.iter().chain(Field::DERIVED) {
        assert!(
            page.contains(&format!("`{}`", field.name())),
            "{}",
            field.name()
        );
    }
    let examples: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let (filters, rules): (Vec<&str>, Vec<&str>) = examples
        .into_iter()
        .partition(|example| example.starts_with("rule:"));
    assert_eq!((rules.len(), filters.len()), (6, 1));
    let folder = tempfile::tempdir().unwrap();
    let beside = |name: &str| folder.path().join(name);
    std::fs::write(beside("tools.csv"), "domain,tool\nanydesk.com,AnyDesk\n").unwrap();
    std::fs::write(
        beside("networks.csv"),
        "network,department\n10.0.0.0/8,board\n",
    )
    .unwrap();
    for example in rules {
        std::fs::write(beside("own.yaml"), example).unwrap();
        native::read_path(&beside("own.yaml")).unwrap();
    }
    for example in filters {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.yaml");
        std::fs::write(&path, example).unwrap();
        let read = native::read_filters(&path).unwrap();
        Filters::new(read, &embedded().unwrap(), &[]).unwrap();
    }
}

/// The oracle of what a rule on names matches: each pattern of each rule, one after the other, as plainly as possible.
fn naive(pattern: &str, name: &str) -> bool {
    fn glob(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|start| glob(rest, &name[start..])),
            Some((byte, rest)) => name.first() == Some(byte) && glob(rest, &name[1..]),
        }
    }
    if pattern.contains('*') {
        return glob(pattern.as_bytes(), name.as_bytes());
    }
    // Labels, a backslash taking the next character with it.
    let labels = |name: &str| {
        let (mut labels, mut characters) = (vec![String::new()], name.chars());
        while let Some(character) = characters.next() {
            match character {
                '.' => labels.push(String::new()),
                '\\' => labels
                    .last_mut()
                    .unwrap()
                    .extend(std::iter::once('\\').chain(characters.next())),
                _ => labels.last_mut().unwrap().push(character),
            }
        }
        labels
    };
    labels(name).ends_with(&labels(pattern))
}

/// Conditions of every shape, on a name and on one other field.
fn conditions() -> impl Strategy<Value = Condition> {
    let compare = (any::<bool>(), r"(\*|a|b|\.|udp){1,4}").prop_map(|(on_query, text)| {
        let mut patterns = pattern::Patterns::new();
        patterns.add(pattern::Shape::Glob, &text).unwrap();
        let field = if on_query {
            Field::Query
        } else {
            Field::Transport
        };
        Condition::covered(field, patterns)
    });
    let longer = (0..5_usize).prop_map(|length| {
        Condition::Compare(Comparison {
            field: Field::QueryLength,
            every: false,
            tests: vec![Test {
                negated: false,
                against: Against::Number(Relation::AtLeast, length as i128 * 1_000_000_000),
            }],
        })
    });
    let leaf =
        prop_oneof![3 => compare, 1 => longer, 1 => Just(Condition::Exists(Field::Duration))];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let parts = prop::collection::vec(inner, 0..3);
        (0..3, parts).prop_map(|(joint, mut parts)| match joint {
            0 => Condition::All(parts),
            1 => Condition::Any(parts),
            _ => match parts.pop() {
                Some(part) => Condition::Not(Box::new(part)),
                None => Condition::Any(parts),
            },
        })
    })
}

/// The oracle: the condition as its words say, for one name.
fn says(condition: &Condition, name: &str, transport: &str) -> bool {
    match condition {
        Condition::All(parts) => parts.iter().all(|part| says(part, name, transport)),
        Condition::Any(parts) => parts.iter().any(|part| says(part, name, transport)),
        Condition::Not(part) => !says(part, name, transport),
        Condition::Exists(_) | Condition::Listed(_) => false,
        Condition::Compare(Comparison { field, tests, .. }) => match &tests[0].against {
            Against::Patterns(patterns) => patterns.cover(if *field == Field::Query {
                name
            } else {
                transport
            }),
            Against::Number(_, length) => name.len() as i128 * 1_000_000_000 >= *length,
            other => unreachable!("{other:?}"),
        },
    }
}

proptest! {
    #[test]
    fn whatever_the_condition_what_matches_is_wanted(
        conditions in prop::collection::vec(conditions(), 1..5),
        names in prop::collection::vec(r"(a|b|\.){1,4}", 1..4),
    ) {
        let rule = |(number, condition): (usize, &Condition)| Rule {
            name: number.to_string(),
            condition: condition.clone(),
            ..Rule::default()
        };
        let rules = Rules::new(conditions.iter().enumerate().map(rule).collect()).unwrap();
        let mut several = event(&names[0]);
        several.other_questions = names[1..].to_vec();
        let expected: Vec<(usize, &str)> = conditions
            .iter()
            .enumerate()
            .filter_map(|(place, condition)| {
                let name = names.iter().find(|name| says(condition, name, "udp"))?;
                Some((place, name.as_str()))
            })
            .collect();
        let mut found = Vec::new();
        rules.matches(&several, &mut |place, name| found.push((place, name)));
        prop_assert_eq!(&found, &expected);
        for (_, name) in found {
            prop_assert!(wants(&rules, name.as_bytes()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_matches_is_wanted_and_both_are_what_the_naive_model_says(
        lists in prop::collection::vec(prop::collection::vec(r"(\*|a|b|\.|\\\.|ab\.){1,6}", 1..5), 1..4),
        names in prop::collection::vec(r"((a|b|ab|\\\.|\\\\){1,3}\.){0,3}(a|b|ab)", 1..4),
    ) {
        let mut kept = Vec::new();
        let mut rules = Vec::new();
        for (number, list) in lists.iter().enumerate() {
            let good: Vec<String> = list.iter().filter(|name| Rule::hunt(std::slice::from_ref(name), Vec::new()).is_ok()).cloned().collect();
            if let Ok(mut rule) = Rule::hunt(&good, Vec::new()) {
                rule.name = number.to_string();
                rules.push(rule);
                // A final dot of a domain is taken off.
                kept.push(good.iter().map(|name| match name.strip_suffix('.') {
                    Some(bare) if !name.contains('*') && !bare.ends_with('\\') => bare.to_owned(),
                    _ => name.clone(),
                }).collect::<Vec<_>>());
            }
        }
        let rules = Rules::new(rules).unwrap();
        for name in &names {
            let mut found = Vec::new();
            let event = event(name);
            rules.matches(&event, &mut |place, _| found.push(place));
            let expected: Vec<usize> =
                (0..kept.len()).filter(|place| kept[*place].iter().any(|pattern| naive(pattern, name))).collect();
            prop_assert_eq!(&found, &expected, "{} in {:?}", name, kept);
            prop_assert_eq!(wants(&rules, name.as_bytes()), !expected.is_empty(), "so few patterns are all compared");
        }
    }
}

/// Whether each of these conditions, as `where` of a rule, holds for the event.
fn holds(event: &Event, conditions: &[(&str, bool)]) {
    for (text, expected) in conditions {
        let rules = read(&format!("name: r\nwhere: {text}\n"));
        assert_eq!(!matches(&rules, event).is_empty(), *expected, "{text}");
    }
}

#[test]
fn not_equal_needs_the_field_and_not_of_equal_does_not() {
    let mut event = event("a.example.com");
    let answer = |data: &str| Record {
        name: "a.example.com".into(),
        record_type: "A".into(),
        class: 1,
        ttl: 60,
        data: data.into(),
    };
    holds(
        &event,
        &[
            ("{ cim_entity_zone: { '!=': lab } }", false),
            ("{ not: { cim_entity_zone: lab } }", true),
            ("{ not: { cim_entity_zone: { '!=': lab } } }", true),
            ("{ cim_entity_zone: { exists: false } }", true),
            ("{ cim_entity_zone: { exists: true } }", false),
            ("{ transport: { '!=': tcp } }", true),
            ("{ transport: { '!=': [tcp, UDP] } }", false),
        ],
    );
    event.zone = Some("lab".into());
    holds(
        &event,
        &[
            ("{ cim_entity_zone: { '!=': lab } }", false),
            ("{ not: { cim_entity_zone: lab } }", false),
            ("{ cim_entity_zone: { '!=': 'office*' } }", true),
            ("{ cim_entity_zone: { exists: true, '!=': office } }", true),
        ],
    );
    event.answers = vec![answer("10.1.2.3"), answer("192.0.2.1")];
    holds(
        &event,
        &[
            ("{ answer: { '!=': 10.1.2.3 } }", true),
            ("{ answer: { '!=': 10.1.2.3, every: true } }", false),
            ("{ answer: { '=': ['10.*', '192.*'], every: true } }", true),
            ("{ answer: { cidr: 10.0.0.0/8 } }", true),
            ("{ answer: { cidr: 10.0.0.0/8, every: true } }", false),
            // One value must pass all of it.
            ("{ answer: { cidr: 10.0.0.0/8, '!=': '10.1.*' } }", false),
            (
                "{ answer: { cidr: [10.0.0.0/8, 192.0.2.1], every: true } }",
                true,
            ),
            ("{ not: { answer: { cidr: 10.0.0.0/8 } } }", false),
            ("{ answer_length: { '<': 9, every: true } }", false),
            ("{ answer_length: { '<=': 9, every: true } }", true),
            ("{ edns_options: { '!=': x, every: true } }", false),
        ],
    );
}

#[test]
fn numbers_ranges_networks_and_expressions_are_compared_as_what_they_are() {
    let mut event = event("x1.y2.example.co.uk");
    event.duration = Some(1_500_000);
    holds(
        &event,
        &[
            ("{ duration: { '>': 0.001 } }", true),
            ("{ duration: { '>': 0.0015 } }", false),
            ("{ duration: { '>=': 0.0015, '<': 0.0016 } }", true),
            ("{ duration: { between: [0.001, 0.0015] } }", true),
            ("{ reply_code_id: { '<': 1 } }", true),
            ("{ dest_port: { between: [54, 100] } }", false),
            (
                "{ _time: { '>': '2026-01-02T03:04:04Z', '<': '2026-01-02T03:04:06Z' } }",
                true,
            ),
            ("{ src: { cidr: 10.9.0.0/16 } }", true),
            ("{ src: { cidr: [192.0.2.0/24, 2001:db8::/32] } }", false),
            ("{ src: { cidr: 10.9.0.11 } }", true),
            ("{ query: { regex: '^X[0-9]\\.y' } }", true),
            ("{ query: { regex: '(?-i)X' } }", false),
            ("{ query: { regex: [nothing, 'uk$'] } }", true),
            ("{ query_length: 19, label_count: 5, tld: UK }", true),
            (
                "{ registered_domain: example.co.uk, subdomain: x1.y2, parent_domain: y2.example.co.uk }",
                true,
            ),
            ("{ query_entropy: { between: [3.6163, 3.6164] } }", true),
            ("{ query_spelled: { same_as: query } }", true),
            ("{ src: { same_as: dest } }", false),
            (
                "{ or: [{ transport: tcp }, { query_length: { '>': 18 } }] }",
                true,
            ),
            (
                "{ and: [{ transport: udp }, { or: [{ tld: com }, { tld: uk }] }], not: { tld: com } }",
                true,
            ),
        ],
    );
}

#[test]
fn what_a_question_tells_is_told_before_anything_is_decoded() {
    let rules = read("name: r\nwhere: { record_type: [TXT, NULL], query_length: { '>': 30 } }\n");
    assert!(!rules.needs_everything());
    let asked = |name: &'static str, record_type| Asked {
        name: name.as_bytes(),
        record_type,
    };
    let long = "aaaaaaaaaaaaaaaaaaaaaaaaaa.example";
    assert!(rules.wants(&asked(long, 16)));
    assert!(!rules.wants(&asked(long, 1)));
    assert!(!rules.wants(&asked("a.example", 16)));
    assert!(
        rules.wants(&asked("unknown", 0)),
        "no question tells nothing"
    );
    // What a response alone tells cannot be told from a question.
    for needs in [
        "{ outcome: nxdomain }",
        "{ not: { query: '*.example' } , outcome: x }",
        "{ or: [{ tld: com }, { outcome: x }] }",
    ] {
        let rules = read(&format!("name: r\nwhere: {needs}\n"));
        let decided = rules.list()[0].condition.is_decided_by_question();
        assert_eq!(rules.needs_everything(), !decided, "{needs}");
    }
    assert!(read("name: r\nwhere: { outcome: nxdomain }\n").needs_everything());
    assert!(!read("name: r\nwhere: { outcome: x, tld: com }\n").needs_everything());
}

/// Whether a question of that name, for an address, is wanted.
fn wants(rules: &Rules, name: &[u8]) -> bool {
    rules.wants(&Asked {
        name,
        record_type: 1,
    })
}
