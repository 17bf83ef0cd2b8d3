//! Sigma rules as a whole: what is read, what is refused and where, and whether our engine agrees with `rsigma-eval`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rsigma_eval::{Engine, JsonEvent};
use rsigma_parser::parse_sigma_yaml;

use crate::event::{Event, Field, Outcome, Seen};
use crate::message::{Edns, Record};
use crate::rule::tests::event;
use crate::rule::{Asked, Origin, Rule, Rules, native};
use crate::time::Timestamp;

fn answered(query: &str, answers: &[&str]) -> Event {
    let record = |data: &&str| Record {
        name: query.into(),
        record_type: "A".into(),
        class: 1,
        ttl: 60,
        data: (*data).into(),
    };
    Event {
        answers: answers.iter().map(record).collect(),
        answer_count: u16::try_from(answers.len()).unwrap(),
        ..event(query)
    }
}

fn read(text: &str) -> Vec<Rule> {
    native::read_text("s.yml", text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

fn rules(text: &str) -> Rules {
    Rules::new(read(text)).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

fn names(rules: &Rules, event: &Event) -> Vec<String> {
    let mut found = Vec::new();
    rules.matches(event, &mut |place, _| {
        found.push(rules.list()[place].name.clone())
    });
    found
}

/// Whether a rule of this selection matches.
fn holds(selection: &str, event: &Event) -> bool {
    let text = format!(
        "title: t\nlogsource: {{ category: dns }}\ndetection:\n  s:\n    {selection}\n  condition: s\n"
    );
    !names(&rules(&text), event).is_empty()
}

fn mistakes(text: &str) -> Vec<String> {
    native::read_text("s.yml", text)
        .map(|rules| Rules::new(rules).map(|_| ()))
        .unwrap_or_else(Err)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

const WHOLE: &str = "title: Lookup of a tunnel
id: 5790a766-53b8-40d3-a696-3547b978fcf1
status: experimental
description: Somebody looks one up.
references:
  - https://example.com/tunnels
author: somebody
date: 2026-01-02
tags:
  - attack.command-and-control
  - attack.t1572
  - attack.t1071.004
logsource:
  product: windows
  category: dns_query
detection:
  selection:
    QueryName|endswith:
      - '.ngrok.io'
      - '.ngrok.com'
  condition: selection
falsepositives:
  - Developers
  - Admins
level: high
";

#[test]
fn what_a_rule_says_of_itself_is_kept() {
    let rules = read(WHOLE);
    let [rule] = rules.as_slice() else {
        panic!("{rules:?}")
    };
    assert_eq!(rule.name, "Lookup of a tunnel");
    assert_eq!(
        rule.id.as_deref(),
        Some("5790a766-53b8-40d3-a696-3547b978fcf1")
    );
    assert_eq!(rule.description.as_deref(), Some("Somebody looks one up."));
    assert_eq!(rule.references, ["https://example.com/tunnels"]);
    assert_eq!(rule.false_positives.as_deref(), Some("Developers; Admins"));
    assert_eq!(rule.attack, ["T1572", "T1071.004"]);
    assert!(rule.enabled && rule.text.contains("author: somebody"));
    assert_eq!(rule.by, [Field::Src, Field::Query]);
    assert_eq!(rule.risk.as_ref().unwrap().objects[0].score, 80);
    assert_eq!(
        rule.origin,
        Origin::File {
            path: "s.yml".into(),
            line: 1
        }
    );
    assert_eq!(rule.notes, []);
    // The literals are found by the index, and nothing but the question is needed.
    assert!(rule.condition.is_decided_by_query());
    for (level, score) in [
        ("informational", 20),
        ("low", 40),
        ("medium", 60),
        ("high", 80),
        ("critical", 100),
    ] {
        let rules = read(&WHOLE.replace("level: high", &format!("level: {level}")));
        assert_eq!(rules[0].risk.as_ref().unwrap().objects[0].score, score);
    }
    assert_eq!(read(&WHOLE.replace("level: high\n", ""))[0].risk, None);
}

#[test]
fn a_rule_that_is_past_is_off_and_says_so() {
    for status in ["deprecated", "unsupported"] {
        let rules = read(&WHOLE.replace("experimental", status));
        assert!(!rules[0].enabled);
        assert_eq!(
            rules[0].notes[0].to_string(),
            format!(
                "s.yml:3:9: the rule is {status}: it is loaded, and runs only where --rule names it"
            )
        );
    }
}

#[test]
fn every_log_source_of_lookups_is_taken_and_no_other() {
    let with = |source: &str| {
        WHOLE.replace(
            "\n  product: windows\n  category: dns_query\n",
            &format!(" {{ {source} }}\n"),
        )
    };
    for good in [
        "category: dns",
        "category: dns_query",
        "category: dns_query, product: windows",
        "category: dns, product: zeek",
        "product: zeek, service: dns",
        "product: windows, service: dns-client",
        "product: windows, service: dns-server",
        "product: windows, service: dns-server-analytic",
    ] {
        assert_eq!(read(&with(good)).len(), 1, "{good}");
    }
    for bad in [
        "category: process_creation, product: windows",
        "product: windows, service: security",
        "product: zeek, service: http",
        "category: proxy",
        "product: windows",
    ] {
        let found = mistakes(&with(bad));
        assert!(
            found.len() == 1 && found[0].contains("which does not tell of DNS lookups"),
            "{bad}: {found:?}"
        );
    }
}

#[test]
fn mistakes_name_their_place_and_remedy() {
    let rule = |detection: &str| {
        format!("title: t\nlogsource: {{ category: dns }}\ndetection:\n{detection}")
    };
    for (detection, expected) in [
        (
            "  s:\n    qeury: a\n  condition: s\n",
            "s.yml:5:5: `qeury` is nothing that an event has; did you mean `query`?",
        ),
        (
            "  s:\n    query|contain: a\n  condition: s\n",
            "s.yml:5:5: `contain` is no modifier; did you mean `contains`?",
        ),
        (
            "  s:\n    query: a\n  condition: sel\n",
            "s.yml:6:14: the condition names `sel`, and there is no such selection",
        ),
        (
            "  s:\n    query: a\n  condition: 1 of x_*\n",
            "s.yml:6:14: the condition asks of `x_*`, and no selection has such a name",
        ),
        (
            "  s:\n    query: a\n  condition: s and\n",
            "s.yml:6:14: the condition 's and' is wrong at its character",
        ),
        (
            "  s:\n    query: a\n  condition: s | count() by src > 10\n",
            "s.yml:6:14: the condition 's | count() by src > 10' counts after a `|`",
        ),
        (
            "  s:\n    query: a\n",
            "s.yml:4:3: detection has no condition",
        ),
        (
            "  s:\n    - evil\n    - bad\n  condition: s\n",
            "s.yml:4:3: keywords are looked for in a whole line of a log",
        ),
        (
            "  s:\n    query|re: '(?=a)'\n  condition: s\n",
            "s.yml:5:15: '(?=a)' is no regular expression",
        ),
        (
            "  s:\n    src|cidr:\n      - 10.0.0.0/8\n      - 10.0.0.0/33\n  condition: s\n",
            "s.yml:7:9: '10.0.0.0/33' is no network",
        ),
        (
            "  s:\n    query|cidr: 10.0.0.0/8\n  condition: s\n",
            "s.yml:5:17: `query` holds no addresses",
        ),
        (
            "  s:\n    query|contains|re: a\n  condition: s\n",
            "s.yml:5:5: `query`: `contains` and `re` contradict each other",
        ),
        (
            "  s:\n    query|all: a\n  condition: s\n",
            "s.yml:5:5: `query` has `all` and no list of values",
        ),
        (
            "  s:\n    query|gt: 5\n  condition: s\n",
            "s.yml:5:15: `query` is no number",
        ),
        (
            "  s:\n    ttl|gt: many\n  condition: s\n",
            "s.yml:5:13: `ttl` is compared with 'many'",
        ),
        (
            "  s:\n    query|expand: '%names%'\n  condition: s\n",
            "s.yml:5:5: `query`: `expand` takes values from outside the rule",
        ),
        (
            "  s:\n    Image: x\n    query: a\n  condition: s\n",
            "s.yml:5:5: the rule selects by `Image`, and no packet shows it",
        ),
        (
            "  s:\n    QueryStatus: 5\n  condition: s\n",
            "s.yml:5:18: `QueryStatus` is never '5' here",
        ),
        (
            "  s:\n    rcode_name|contains: NX\n  condition: s\n",
            "s.yml:5:5: `rcode_name` is another field here",
        ),
        (
            "  s:\n    EventID: 770\n  condition: s\n",
            "s.yml:5:14: `EventID` is never '770' here",
        ),
        (
            "  s:\n    query: a\n    query: b\n  condition: s\n",
            "s.yml:6:5: `query` a second time",
        ),
        (
            "  s:\n    EventID: 22\n  condition: s\n",
            "s.yml:4:3: the rule asks nothing of a lookup",
        ),
        (
            "  s:\n    query: *x\n  condition: s\n",
            "s.yml:5:12: an unquoted * begins an alias in YAML",
        ),
        (
            "  s:\n    query|minute: 5\n  condition: s\n",
            "s.yml:5:19: `query` is no moment",
        ),
        (
            "  s:\n    query|base64: 'a*'\n  condition: s\n",
            "s.yml:5:19: 'a*' has wildcards and is to be encoded",
        ),
        (
            "  s:\n    query|i: a\n  condition: s\n",
            "s.yml:5:5: `query`: `i`, `m` and `s` belong to a regular expression",
        ),
        (
            "  s:\n    query|fieldref: qeury\n  condition: s\n",
            "s.yml:5:21: `qeury` is no field to compare with; did you mean `query`?",
        ),
        (
            "  s:\n    query|not: a\n  condition: s\n",
            "s.yml:5:5: `not` is no modifier; expected `not` in the condition",
        ),
    ] {
        let found = mistakes(&rule(detection));
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{detection}: {found:#?}"
        );
    }
    // Twenty mistakes in one file are twenty.
    let many: String = (0..20).map(|number| format!("---\ntitle: t{number}\nlogsource: {{ category: dns }}\ndetection:\n  s:\n    qeury: a\n  condition: s\n")).collect();
    assert_eq!(mistakes(&many).len(), 20);
    assert_eq!(
        mistakes("title: t\nlogsource: { category: dns }\n")[0],
        "s.yml:1:1: neither a rule nor a filter nor a correlation; expected `detection`, `filter` or `correlation`"
    );
    assert!(
        mistakes("title: t\ndetection:\n  s: { query: a }\n  condition: s\n")[0]
            .contains("no log source")
    );
    // What is neither keeps our own reader's mistakes.
    assert!(mistakes("title: t\n")[0].contains("no key `title`"));
}

#[test]
fn what_only_filters_by_what_no_packet_shows_is_taken_with_a_warning() {
    let text = "title: t
logsource: { category: dns_query, product: windows }
detection:
  selection:
    QueryName|endswith: .evil.example
  filter_browser:
    Image|endswith: '\\browser.exe'
    QueryName: good.evil.example
  filter_good:
    QueryName: fine.evil.example
  condition: selection and not 1 of filter_*
";
    let rules = rules(text);
    assert_eq!(rules.warnings().len(), 1);
    assert!(
        rules.warnings()[0]
            .to_string()
            .starts_with("s.yml:7:5: no packet shows `Image`"),
        "{:?}",
        rules.warnings()
    );
    assert_eq!(names(&rules, &event("a.evil.example")).len(), 1);
    assert_eq!(names(&rules, &event("good.evil.example")).len(), 1);
    assert!(names(&rules, &event("fine.evil.example")).is_empty());
    // Not under two: that selects.
    assert!(
        mistakes(
            &text
                .replace("and not 1 of", "and not (not 1 of")
                .replace("filter_*\n", "filter_*)\n")
        )[0]
        .contains("the rule selects by `Image`")
    );
}

#[test]
fn names_of_other_sensors_mean_fields_of_the_event() {
    let mut seen = answered("a.example", &["192.0.2.7", "cdn.example.net"]);
    seen.record_type = "TXT".into();
    for yes in [
        "QueryName: A.EXAMPLE",
        "QNAME: a.example.",
        "QNAME|endswith: '.example.'",
        "answers: 192.0.2.7",
        "QueryResults|contains: '::ffff:192.0.2.7;'",
        "QueryResults|startswith: '::ffff:192.0.'",
        "r_data|endswith: .example.net",
        "qtype_name: txt",
        "qtype: 16",
        "QueryType: '16'",
        "QueryStatus: 0",
        "rcode_name: NOERROR",
        "rcode: 0",
        "id.orig_h: 10.9.0.11",
        "id.resp_p: 53",
        "src_ip|cidr: 10.9.0.0/16",
        "proto: udp",
        "RD: 'true'",
        "AA: false",
        "rejected: false",
        "qclass_name: C_INTERNET",
        "TTLs|lt: 61",
        "answers|exists: true",
        "query: '?.example'",
    ] {
        assert!(
            holds(&format!("{yes}\n    query|contains: example"), &seen),
            "{yes}"
        );
    }
    for no in [
        "rcode_name: NXDOMAIN",
        "QueryStatus: 9003",
        "answers: null",
        "AA: true",
        "TCP: 1",
        "rejected: T",
    ] {
        assert!(
            !holds(&format!("{no}\n    query|contains: example"), &seen),
            "{no}"
        );
    }
    let silent = Event {
        seen: Seen::QueryOnly,
        reply_code: None,
        outcome: Outcome::Unanswered,
        ..event("a.example")
    };
    for yes in [
        "answers: null",
        "answers|exists: false",
        "QueryStatus: 1460",
        "rcode|neq: 0",
    ] {
        assert!(
            holds(&format!("{yes}\n    query|contains: example"), &silent),
            "{yes}"
        );
    }
}

#[test]
fn wildcards_and_escapes_are_sigmas() {
    for (value, yes, no) in [
        ("'*.ngrok.io'", "a.b.ngrok.io", "ngrok.io"),
        ("'a?c.example'", "abc.example", "ac.example"),
        (r"'a\*c.example'", "a*c.example", "abc.example"),
        (r"'a\?c.example'", "a?c.example", "abc.example"),
        (r"'a\\*.example'", r"a\.x.example", "abx.example"),
        (r"'a\.b.example'", r"a\.b.example", "a.b.example"),
    ] {
        assert!(
            holds(&format!("query: {value}"), &event(yes)),
            "{value} {yes}"
        );
        assert!(
            !holds(&format!("query: {value}"), &event(no)),
            "{value} {no}"
        );
    }
}

#[test]
fn lists_of_maps_are_alternatives_and_all_is_all() {
    let text = "title: t
logsource: { category: dns }
detection:
  s_one:
    - query|startswith: a
      dest_port: 53
    - query|startswith: b
  s_two:
    query|contains|all: [x, y]
  s_three:
    query|endswith: z
  condition: CONDITION
";
    let holds = |condition: &str, query: &str| {
        !names(&rules(&text.replace("CONDITION", condition)), &event(query)).is_empty()
    };
    assert!(holds("s_one", "a") && holds("s_one", "b") && !holds("s_one", "c"));
    assert!(holds("s_two", "yx") && !holds("s_two", "xx"));
    assert!(holds("all of s_*", "bxyz") && !holds("all of s_*", "bxy"));
    assert!(holds("all of them", "bxyz"));
    assert!(holds("1 of them", "z") && !holds("1 of them", "q"));
    assert!(holds("2 of them", "xyz") && !holds("2 of them", "xy"));
    // `not` binds tighter than `and`, `and` tighter than `or`.
    assert!(
        holds("s_three or s_one and s_two", "z") && !holds("(s_three or s_one) and s_two", "z")
    );
    assert!(holds("not s_one and s_three", "z") && !holds("not (s_one or s_three)", "z"));
}

#[test]
fn filters_narrow_the_rules_that_they_name() {
    let rule = "title: Tunnels\nid: 5790a766-53b8-40d3-a696-3547b978fcf1\nname: tunnels\nlogsource: { category: dns }\ndetection:\n  s:\n    query|endswith: .ngrok.io\n  condition: s\n";
    let filter = |rules: &str, source: &str| {
        format!(
            "title: Our own\nlogsource: {{ {source} }}\nfilter:\n  rules: {rules}\n  ours:\n    query: ours.ngrok.io\n  condition: not ours\n"
        )
    };
    let (ours, theirs) = (event("ours.ngrok.io"), event("theirs.ngrok.io"));
    for named in [
        "[tunnels]",
        "[Tunnels]",
        "[5790a766-53b8-40d3-a696-3547b978fcf1]",
        "any",
    ] {
        // In either order: what stands later narrows too.
        for text in [
            format!("{rule}---\n{}", filter(named, "category: dns")),
            format!("{}---\n{rule}", filter(named, "category: dns")),
        ] {
            let rules = rules(&text);
            assert_eq!(rules.list().len(), 1);
            assert!(
                names(&rules, &ours).is_empty() && names(&rules, &theirs) == ["Tunnels"],
                "{named}"
            );
        }
    }
    let other = rules(&format!(
        "{rule}---\n{}",
        filter("any", "category: dns_query")
    ));
    assert_eq!(names(&other, &ours), ["Tunnels"]);
    assert_eq!(
        mistakes(&format!(
            "{rule}---\n{}",
            filter("[tunels]", "category: dns")
        )),
        ["s.yml:10: there is no rule 'tunels'; did you mean `tunnels` or `Tunnels`?"]
    );
    // A rule that is chosen keeps its filters.
    let mut chosen = read(&format!(
        "{rule}---\n{}",
        filter("[tunnels]", "category: dns")
    ));
    crate::rule::select(&mut chosen, &["Tunnels".to_owned()]).unwrap();
    assert!(names(&Rules::new(chosen).unwrap(), &ours).is_empty());
}

#[test]
fn documents_of_a_collection_go_on_from_those_before() {
    let text = "action: global
title: Common
logsource: { category: dns }
---
title: One
detection:
  s: { query: one.example }
  condition: s
---
title: Two
detection:
  s: { query: two.example }
  condition: s
---
action: repeat
title: Three
detection:
  s: { query: three.example }
";
    let rules = rules(text);
    let titles: Vec<&str> = rules.list().iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(titles, ["One", "Two", "Three"]);
    assert_eq!(names(&rules, &event("three.example")), ["Three"]);
}

/// Whatever stands in a file, reading it ends, and says where its mistakes are.
#[test]
fn broken_files_are_read_to_their_end() {
    let mut dice = Dice(3);
    let whole = format!(
        "{WHOLE}---\n{}---\n{}",
        include_str!("../../../tests/sigma/correlations.yml"),
        include_str!("../../../tests/sigma/filter.yml")
    );
    let pieces = [
        "",
        "\n",
        "  ",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "|",
        "'",
        "\"",
        "*",
        "?",
        "\\",
        "not ",
        "(",
        ")",
        "1 of ",
        "all",
        "null",
        "-1",
        "99999999999999999999",
        "1e400",
        "M",
        "|all",
        "|re",
        "|[any]",
        "sigma-version: 3\n",
        "action: repeat\n",
        "&a ",
        "\u{0}",
        "é",
        "\t",
    ];
    for _ in 0..1_500 {
        let mut text = whole.clone();
        for _ in 0..=dice.roll(4) {
            let from = dice.roll(text.len());
            let until = from + dice.roll(8).min(text.len() - from);
            if text.is_char_boundary(from) && text.is_char_boundary(until) {
                text.replace_range(from..until, pieces[dice.roll(pieces.len())]);
            }
        }
        match native::read_text("s.yml", &text) {
            Ok(rules) => drop(Rules::new(rules)),
            Err(mistakes) => assert!(!mistakes.is_empty()),
        }
    }
    let deep = format!(
        "title: t\nlogsource: {{ category: dns }}\ndetection:\n  s: {{ query: a }}\n  condition: {}s{}\n",
        "(".repeat(5_000),
        ")".repeat(5_000)
    );
    assert!(mistakes(&deep)[0].starts_with("s.yml:5:14: the condition"));
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }
}

const NAMES: &[&str] = &[
    "ngrok.io",
    "a.ngrok.io",
    "connect.us.ngrok-agent.com",
    "tunnel.us.ngrok.com",
    "evil.example",
    "x1.y2.evil.example",
    "aaa.stage.123456.example",
    "zm9v.data.example",
    "zm9vymfy.example",
    "my-host.corp.example",
    "my/host.corp.example",
    r"odd\.label.example",
    r"odd\092.example",
    "10.1.168.192.in-addr.arpa",
    "_ldap._tcp.corp.example",
    "a*b.example",
    "a?b.example",
    "53",
    "com",
    ".",
    "cdn.example.net",
    "192.0.2.1",
];

const ANSWERS: &[&str] = &[
    "192.0.2.1",
    "10.0.0.7",
    "127.0.0.1",
    "0.0.0.0",
    "2001:db8::1",
    "cdn.example.net",
    "a.ngrok.io",
    "\"v=spf1 -all\"",
    "\"IEX (New-Object\"",
    "\"SQBFAFgA\"",
    "\"SUVYICh\"",
    "\"AEkARQBY\"",
    "\"//5JAEUAWAA=\"",
    "mail.Example.ORG",
    "10 mail.example.org",
    "53",
];

fn any_event(dice: &mut Dice, number: usize) -> Event {
    let query = dice.pick(NAMES);
    let answers: Vec<&str> = (0..dice.pick(&[0, 0, 1, 1, 1, 2, 3]))
        .map(|_| dice.pick(ANSWERS))
        .collect();
    let mut event = answered(query, &answers);
    for record in &mut event.answers {
        record.ttl = dice.pick(&[0, 5, 60, 300, 86_400]);
    }
    let seconds = i64::try_from(dice.roll(3 * 366 * 86_400)).unwrap();
    event.time = Timestamp::from_parts(
        1_700_000_000 + seconds,
        i64::try_from(dice.roll(1_000_000)).unwrap() * 1_000,
    );
    event.query_spelled = match dice.roll(3) {
        0 => query.to_uppercase(),
        _ => query.to_owned(),
    };
    event.record_type = dice.pick(&["A", "AAAA", "TXT", "NULL", "PTR", "MX"]).into();
    event.src = dice.pick(&[
        IpAddr::V4(Ipv4Addr::new(10, 9, 0, 11)),
        IpAddr::V4(Ipv4Addr::new(192, 168, 7, 7)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)),
    ]);
    event.src_port = dice.pick(&[53, 1_024, 40_000, 65_535]);
    event.dest_port = dice.pick(&[53, 853, 5_353]);
    event.transaction_id = u16::try_from(number % 65_536).unwrap();
    event.header_flags = dice.pick(&[0x0100, 0x8180, 0x8580, 0x8380]);
    event.reply_code = dice.pick(&[None, Some(0), Some(2), Some(3)]);
    event.duration = dice.pick(&[None, Some(1_500_000), Some(2_000_000_000)]);
    event.zone = dice.pick(&[None, Some(Arc::from("lab")), Some(Arc::from("Office"))]);
    event.edns = dice.pick(&[
        None,
        Some(Edns {
            version: 0,
            udp_size: 1_232,
            dnssec_ok: true,
            client_subnet: None,
        }),
        Some(Edns {
            version: 0,
            udp_size: 4_096,
            dnssec_ok: false,
            client_subnet: None,
        }),
    ]);
    event
}

const TEXT_FIELDS: &[&str] = &[
    "query",
    "query",
    "query",
    "answer",
    "answer",
    "query_spelled",
    "answer",
    "record_type",
    "cim_entity_zone",
    "src",
    "transport",
    "flags",
    "reply_code_id",
    "dest_port",
    "duration",
];
const NUMBER_FIELDS: &[&str] = &[
    "ttl",
    "dest_port",
    "src_port",
    "duration",
    "answer_count",
    "edns_udp_size",
    "reply_code_id",
    "transaction_id",
];

/// Values whose parts many events have.
const TEXTS: &[&str] = &[
    "ngrok",
    "a.ngrok.io",
    ".ngrok.io",
    "*.ngrok.*",
    "a",
    "com",
    "ex?mple",
    "192.0.2.1",
    "1",
    "TXT",
    "txt",
    "MX",
    "lab",
    "office",
    "Office",
    "10.9.0.11",
    "udp",
    "rd",
    "aa",
    "53",
    "3",
    "IEX",
    "Example.ORG",
    "*",
    "?",
    "",
    r"a\*b",
    r"a\?b",
    r"\.label",
    r"odd\\*",
    r"odd\\092",
    "my-host",
    "0.0015",
    "u*n",
    "2",
    "unknown",
    "*e*",
];

const EXPRESSIONS: &[&str] = &[
    "^a",
    "ngrok",
    "[0-9]{3}",
    "example$",
    "^x[0-9]\\.y",
    "(?i)EXAMPLE",
    "NGROK",
    "^$",
    "a.*b",
    "^(10|192)\\.",
    "^[A-Z]+$",
    "\\d+\\.\\d+",
    "mail|cdn",
];

/// One line of a selection: a field with modifiers, and values.
fn any_item(dice: &mut Dice, used: &mut BTreeMap<String, usize>) -> (String, String) {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let (field, modifiers, values): (&str, Vec<&str>, Vec<String>) = match dice.roll(15) {
        0..=4 => {
            let mut modifiers = Vec::new();
            if let Some(one) =
                dice.pick(&[None, Some("contains"), Some("startswith"), Some("endswith")])
            {
                modifiers.push(one);
            }
            if dice.roll(4) == 0 {
                modifiers.push("cased");
            }
            let several = 1 + dice.roll(3);
            let field = dice.pick(TEXT_FIELDS);
            // Half of them what some event has, where it may be. One end and wildcards is where the other engine errs.
            let one_end = modifiers.contains(&"startswith") || modifiers.contains(&"endswith");
            let values: Vec<String> = (0..several)
                .map(|_| match (dice.roll(2), field) {
                    (0, "query") => dice.pick(NAMES),
                    (0, "answer") => dice.pick(ANSWERS),
                    _ => dice.pick(TEXTS),
                })
                .map(|text| {
                    if one_end && text.contains(['*', '?']) {
                        "1"
                    } else {
                        text
                    }
                })
                .map(quoted)
                .collect();
            if several > 1 && dice.roll(3) == 0 {
                modifiers.push("all");
            }
            if dice.roll(6) == 0 {
                modifiers.push("neq");
            }
            (field, modifiers, values)
        }
        5 => {
            let mut modifiers = vec!["re"];
            modifiers.extend(dice.pick(&[None, Some("i"), Some("m"), Some("s")]));
            (
                dice.pick(TEXT_FIELDS),
                modifiers,
                vec![quoted(dice.pick(EXPRESSIONS))],
            )
        }
        6 => (
            dice.pick(&["src", "dest", "answer"]),
            vec!["cidr"],
            vec![
                dice.pick(&["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0"])
                    .to_owned(),
            ],
        ),
        7 => (
            dice.pick(&["ttl", "duration", "cim_entity_zone", "edns_do", "query"]),
            vec!["exists"],
            vec![dice.pick(&["true", "false"]).to_owned()],
        ),
        8 | 9 => (
            dice.pick(NUMBER_FIELDS),
            vec![dice.pick(&["lt", "lte", "gt", "gte"])],
            vec![
                dice.pick(&["0", "1", "53", "60", "0.0015", "1000", "4096"])
                    .to_owned(),
            ],
        ),
        10 => (
            dice.pick(NUMBER_FIELDS),
            dice.pick(&[vec![], vec!["neq"]]),
            (0..=dice.roll(2))
                .map(|_| {
                    dice.pick(&["0", "3", "53", "60", "300", "1232", "2"])
                        .to_owned()
                })
                .collect(),
        ),
        11 => {
            let (part, below, from) = dice.pick(&[
                ("minute", 60, 0),
                ("hour", 24, 0),
                ("day", 31, 1),
                ("week", 53, 1),
                ("month", 12, 1),
                ("year", 3, 2023),
            ]);
            (
                "_time",
                vec![part],
                vec![(from + dice.roll(below)).to_string()],
            )
        }
        12 => (
            dice.pick(&["cim_entity_zone", "ttl", "duration"]),
            vec![],
            vec!["null".to_owned()],
        ),
        _ => {
            let modifiers = dice.pick(&[
                vec!["fieldref"],
                vec!["fieldref", "contains"],
                vec!["fieldref", "startswith"],
                vec!["fieldref", "endswith"],
                vec!["fieldref", "cased"],
                vec!["base64", "contains"],
                vec!["base64", "cased", "startswith"],
                vec!["wide", "base64", "contains"],
                vec!["utf16be", "base64", "contains"],
                vec!["utf16", "base64", "contains"],
                vec!["utf16le", "base64", "contains"],
                vec!["windash", "contains"],
                vec!["windash"],
            ]);
            let value = match modifiers[0] {
                "fieldref" => {
                    dice.pick(&["query", "query_spelled", "record_type", "cim_entity_zone"])
                }
                "windash" => dice.pick(&["my-host", "y-h", "x"]),
                "base64" => dice.pick(&["foo", "foobar", "IEX"]),
                _ => "IEX",
            };
            let field = match modifiers[0] {
                "fieldref" => dice.pick(&["query", "query_spelled", "cim_entity_zone"]),
                "base64" | "windash" => dice.pick(&["query", "answer"]),
                _ => "answer",
            };
            (field, modifiers, vec![quoted(value)])
        }
    };
    for modifier in &modifiers {
        *used.entry((*modifier).to_owned()).or_default() += 1;
    }
    let key = std::iter::once(field)
        .chain(modifiers)
        .collect::<Vec<_>>()
        .join("|");
    (key, format!("[{}]", values.join(", ")))
}

/// A rule of one to three selections, joined in some way.
fn any_rule(dice: &mut Dice, number: usize, used: &mut BTreeMap<String, usize>) -> String {
    let mut text = format!("title: r{number}\nlogsource:\n  category: dns\ndetection:\n");
    let selections = 1 + dice.roll(3);
    for selection in 0..selections {
        text.push_str(&format!("  s_{selection}:\n"));
        let in_list = dice.roll(5) == 0;
        let mut keys = Vec::new();
        for _ in 0..=dice.roll(2) {
            let (key, values) = any_item(dice, used);
            if keys.contains(&key) {
                continue;
            }
            text.push_str(&format!(
                "    {}{key}: {values}\n",
                if in_list { "- " } else { "" }
            ));
            keys.push(key);
        }
    }
    let conditions: &[&str] = match selections {
        1 => &["s_0", "not s_0", "1 of them"],
        2 => &[
            "s_0 and s_1",
            "s_0 or s_1",
            "s_0 and not s_1",
            "not (s_0 or s_1)",
            "all of s_*",
            "1 of s_*",
            "not s_0 or s_1",
        ],
        _ => &[
            "s_0 and s_1 or s_2",
            "s_0 or s_1 and not s_2",
            "2 of them",
            "all of them",
            "s_0 and not 1 of s_*",
            "not all of them",
            "(s_0 or s_1) and s_2",
        ],
    };
    text.push_str(&format!("  condition: {}\n", dice.pick(conditions)));
    text
}

/// Which of the rules has that name.
fn number_of(name: &str) -> usize {
    name.trim_start_matches('r').parse().unwrap()
}

/// Those of the rules that our own form has words for, in its words.
fn written(ours: &Rules) -> Rules {
    let texts: Vec<String> = ours
        .list()
        .iter()
        .filter_map(|rule| crate::rule::write(rule).ok())
        .filter(|text| native::read_text("written.yaml", text).is_ok())
        .collect();
    assert!(
        texts.len() > 150,
        "{} of {}",
        texts.len(),
        ours.list().len()
    );
    Rules::new(native::read_text("written.yaml", &texts.join("---\n")).unwrap()).unwrap()
}

/// Ten thousand events, every modifier: a second engine says the same of each.
#[test]
fn our_engine_agrees_with_another() {
    let mut dice = Dice(20_260_102);
    let mut used = BTreeMap::new();
    let texts: Vec<String> = (0..250)
        .map(|number| any_rule(&mut dice, number, &mut used))
        .collect();
    let text = texts.join("---\n");
    let ours = rules(&text);
    let collection = parse_sigma_yaml(&text).unwrap();
    assert!(collection.errors.is_empty(), "{:?}", collection.errors);
    let mut theirs = Engine::new();
    theirs.add_collection(&collection).unwrap();
    let written = written(&ours);
    let mut matched = BTreeMap::<String, usize>::new();
    for number in 0..10_000 {
        let event = any_event(&mut dice, number);
        let mut own = names(&ours, &event);
        let json = serde_json::to_value(&event).unwrap();
        let mut other: Vec<String> = theirs
            .evaluate(&JsonEvent::borrow(&json))
            .into_iter()
            .map(|result| result.header.rule_title)
            .collect();
        own.sort();
        other.sort();
        let mut of_ours = names(&written, &event);
        of_ours.sort();
        let comparable: Vec<&String> = own
            .iter()
            .filter(|name| written.list().iter().any(|rule| rule.name == **name))
            .collect();
        assert_eq!(of_ours.iter().collect::<Vec<_>>(), comparable, "{json:#}");
        if own != other {
            let differing: Vec<&String> = own
                .iter()
                .filter(|name| !other.contains(name))
                .chain(other.iter().filter(|name| !own.contains(name)))
                .collect();
            let rule = &texts[number_of(differing[0])];
            panic!(
                "{differing:?}\n{rule}\nours: {}\n{json:#}",
                own.contains(differing[0])
            );
        }
        if !own.is_empty() {
            let record_type = match &*event.record_type {
                "A" => 1,
                "AAAA" => 28,
                "TXT" => 16,
                "NULL" => 10,
                "PTR" => 12,
                _ => 15,
            };
            assert!(
                ours.wants(&Asked {
                    name: event.query.as_bytes(),
                    record_type
                }),
                "{}",
                event.query
            );
        }
        for name in own {
            *matched.entry(name).or_default() += 1;
        }
    }
    // Most rules match something, and most do not match everything: else nothing is shown.
    let telling: Vec<&String> = matched
        .iter()
        .filter(|(_, times)| **times < 10_000)
        .filter_map(|(name, _)| texts.get(number_of(name)))
        .collect();
    let count = telling.len();
    assert!(count > 100, "{count} of 250 rules tell events apart");
    let unseen: Vec<&str> = [
        "contains",
        "startswith",
        "endswith",
        "all",
        "re",
        "i",
        "m",
        "s",
        "cased",
        "cidr",
        "exists",
        "lt",
        "lte",
        "gt",
        "gte",
        "neq",
        "base64",
        "wide",
        "utf16le",
        "utf16be",
        "utf16",
        "windash",
        "fieldref",
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "year",
    ]
    .into_iter()
    .filter(|modifier| {
        let ends = ["|", ":"].map(|end| format!("|{modifier}{end}"));
        !telling
            .iter()
            .any(|text| ends.iter().any(|word| text.contains(word)))
    })
    .collect();
    assert!(
        unseen.is_empty(),
        "no rule tells events apart by {unseen:?}; others are in {used:?}"
    );
}

/// Where the two engines differ, and why: docs/rules.md says so, and this would see it if they no longer did.
#[test]
fn differences_from_the_other_engine_are_those_that_are_documented() {
    let differ = |selection: &str, event: &Event| {
        let text = format!(
            "title: t\nlogsource: {{ category: dns }}\ndetection:\n  s:\n    {selection}\n  condition: s\n"
        );
        let mut theirs = Engine::new();
        theirs
            .add_collection(&parse_sigma_yaml(&text).unwrap())
            .unwrap();
        let json = serde_json::to_value(event).unwrap();
        (
            !names(&rules(&text), event).is_empty(),
            !theirs.evaluate(&JsonEvent::borrow(&json)).is_empty(),
        )
    };
    // Without the last character, which also holds bits of what follows.
    assert_eq!(
        differ(
            "answer|base64offset|contains: foobar",
            &answered("a", &["\"xmb29iYXIx\""])
        ),
        (true, true)
    );
    assert_eq!(
        differ(
            "answer|base64offset|contains: fooba",
            &answered("a", &["\"Zm9vYmE0\""])
        ),
        (true, true)
    );
    assert_eq!(
        differ(
            "answer|base64offset|contains: foob",
            &answered("a", &["\"Zm9vYjQ0\""])
        ),
        (true, false)
    );
    // UTF-16 stands in an event as its bytes are escaped there.
    assert_eq!(
        differ(
            "answer|wide|contains: ab",
            &answered("a", &[r#""a\000b\000""#])
        ),
        (true, false)
    );
    // What is absent is written as `unknown`.
    assert_eq!(
        differ("answer|exists: true\n    query: a", &event("a")),
        (false, true)
    );
    // Any value of the other field.
    assert_eq!(
        differ("query|fieldref: answer", &answered("a", &["b", "a"])),
        (true, false)
    );
    // Of several values nothing is one.
    let zoneless = differ("cim_entity_zone: [lab, null]\n    query: a", &event("a"));
    assert_eq!(zoneless, (true, false));
    // What begins with a pattern begins with it, wherever it ends.
    let anywhere = event("xexample");
    assert_eq!(
        differ("query|startswith: 'ex?mple'", &anywhere),
        (false, true)
    );
    // Networks lie in networks.
    let mut subnet = event("a");
    subnet.edns = Some(Edns {
        version: 0,
        udp_size: 1_232,
        dnssec_ok: false,
        client_subnet: Some("10.1.0.0/16".into()),
    });
    assert_eq!(
        differ("client_subnet|cidr: 10.0.0.0/8", &subnet),
        (true, false)
    );
}
