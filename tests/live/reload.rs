//! Rules, filters and assets that are read anew while the program runs, on SIGHUP.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::{file, json_lines};
use crate::lab::Lab;
use crate::running::{Ended, wait_until};

const KEPT: &str = "name: kept\ndomain: kept.example\n";

fn rule(name: &str) -> String {
    format!("name: {name}\ndomain: {name}.example\n")
}

/// Files of one run.
struct Files {
    rules: String,
    hits: String,
    rows: String,
    stats: String,
}

impl Files {
    fn of(lab: &Lab, rules: &[&str]) -> Self {
        let files = Self {
            rules: lab.place("own.yaml"),
            hits: lab.place("hits.jsonl"),
            rows: lab.place("rows.jsonl"),
            stats: lab.place("stats.json"),
        };
        files.write(rules);
        files
    }

    fn write(&self, rules: &[&str]) {
        std::fs::write(&self.rules, rules.join("---\n")).unwrap();
    }

    fn arguments(&self) -> [&str; 12] {
        [
            "sniff",
            "-i",
            "eth0",
            "--no-embedded",
            "--rules",
            &self.rules,
            "--hits",
            &self.hits,
            "--rows",
            &self.rows,
            "--stats",
            &self.stats,
        ]
    }

    fn stats(&self) -> Value {
        let stats: Value =
            serde_json::from_str(&std::fs::read_to_string(&self.stats).unwrap()).unwrap();
        for identity in stats["identities"].as_array().unwrap() {
            assert_eq!(identity["holds"], true, "{identity}");
        }
        stats
    }

    /// The rules of the hits, with their names.
    fn hits(&self) -> Vec<(String, String)> {
        let hits = json_lines(&std::fs::read_to_string(&self.hits).unwrap());
        let text = |hit: &Value, key: &str| hit[key].as_str().unwrap().to_owned();
        hits.iter()
            .map(|hit| (text(hit, "rule"), text(hit, "query")))
            .collect()
    }

    /// Of each row the rule, the count, and whether it is partial.
    fn rows(&self) -> Vec<(String, u64, bool)> {
        let rows = json_lines(&std::fs::read_to_string(&self.rows).unwrap());
        rows.iter()
            .map(|row| {
                (
                    row["rule"].as_str().unwrap().to_owned(),
                    row["count"].as_u64().unwrap(),
                    row["partial"] == true,
                )
            })
            .collect()
    }
}

fn ask(lab: &Lab, names: &[&str]) {
    for name in names {
        lab.dig("c", &["@10.9.5.2", &format!("{name}.example")]);
    }
}

#[test]
fn the_rules_of_a_file_that_was_replaced_hold_from_then_on() {
    let Some(lab) = Lab::pair() else { return };
    let files = Files::of(&lab, &[&rule("gone"), KEPT, &rule("changed")]);
    let live = lab.listen(
        "c",
        &[&files.arguments()[..], &["--window", "none"]].concat(),
    );
    ask(&lab, &["kept", "gone", "new", "changed"]);
    wait_until("the hits", || files.hits().len() == 3);
    let changed = rule("changed") + "description: otherwise\n";
    files.write(&[&changed, &rule("new"), KEPT]);
    live.signal("HUP");
    let said = live.wait_for_err("reloaded:");
    assert!(
        said.contains("dnsterrier: reloaded: 1 new, 1 changed, 1 gone; rules that run now: 3\n"),
        "{said}"
    );
    // What was open of rules that are not as they were is written at once.
    let expected = [("gone", 1, true), ("changed", 1, true)];
    let as_expected = |rows: &[(String, u64, bool)], expected: &[(&str, u64, bool)]| {
        let rows: Vec<_> = rows
            .iter()
            .map(|(rule, count, it)| (rule.as_str(), *count, *it))
            .collect();
        assert_eq!(rows, expected);
    };
    as_expected(&files.rows(), &expected);
    ask(&lab, &["kept", "gone", "new", "changed"]);
    live.end_by("INT").with_status(0);

    let hits = files.hits();
    let of = |rule: &str| hits.iter().filter(|(name, _)| name == rule).count();
    assert_eq!(
        ["gone", "kept", "changed", "new"].map(of),
        [1, 2, 2, 1],
        "{hits:?}"
    );
    let at_the_end = [("changed", 1, true), ("new", 1, false), ("kept", 2, false)];
    as_expected(&files.rows(), &[&expected[..], &at_the_end].concat());
    let stats = files.stats();
    assert_eq!(stats["reloads"]["taken"], 1);
    assert_eq!(stats["rows"]["hits"], 6);
    let of_rules = stats["rules"].as_array().unwrap().iter();
    let of_rules: std::collections::BTreeMap<_, _> = of_rules
        .map(|rule| {
            (
                rule["rule"].as_str().unwrap(),
                rule["hits"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [("changed", 2), ("gone", 1), ("kept", 2), ("new", 1)];
    assert_eq!(of_rules, expected.into());
    assert_eq!(stats["rows"]["counted"], 6);
}

#[test]
fn a_file_of_mistakes_changes_nothing_and_all_of_them_are_said() {
    let Some(lab) = Lab::pair() else { return };
    let files = Files::of(&lab, &[KEPT]);
    let live = lab.listen("c", &files.arguments());
    ask(&lab, &["kept"]);
    std::fs::copy(file("tests/rules/mistakes.yaml"), &files.rules).unwrap();
    live.signal("HUP");
    let said = live.wait_for_err(
        "nothing was reloaded: the rules, filters, lookups and assets stay as they were\n",
    );
    let check = lab.dnsterrier("c", &["rules", "check", &files.rules]);
    let checked =
        String::from_utf8(check.stderr).unwrap() + &String::from_utf8(check.stdout).unwrap();
    let mistakes: Vec<&str> = checked
        .lines()
        .filter(|line| line.contains("own.yaml:"))
        .collect();
    assert!(mistakes.len() >= 20, "{checked}");
    for mistake in mistakes {
        let mistake = mistake.trim_start_matches("dnsterrier: ");
        assert!(said.contains(mistake), "{mistake} is not in {said}");
    }
    ask(&lab, &["kept"]);
    // Mended, it is taken.
    files.write(&[KEPT, &rule("new")]);
    live.signal("HUP");
    live.wait_for_err("reloaded: 1 new; rules that run now: 2\n");
    ask(&lab, &["new"]);
    live.end_by("INT").with_status(0);
    let rules: Vec<String> = files.hits().into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["kept", "kept", "new"]);
    assert_eq!(
        files.rows()[..],
        [("kept".to_owned(), 2, false), ("new".to_owned(), 1, false)]
    );
    let stats = files.stats();
    assert_eq!(
        stats["reloads"],
        serde_json::json!({ "taken": 1, "refused": 1 })
    );
}

/// Also where it is read anew again and again in the middle of everything.
#[test]
fn nothing_is_lost_and_nothing_counts_twice() {
    const ASKED: usize = 1_500;
    let Some(lab) = Lab::pair() else { return };
    let files = Files::of(&lab, &[KEPT]);
    let live = lab.listen("c", &files.arguments());
    let done = std::sync::atomic::AtomicBool::new(false);
    use std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            lab.dig_all(
                "c",
                (0..ASKED).map(|_| "@10.9.5.2 a.kept.example".to_owned()),
            );
            done.store(true, Relaxed);
        });
        let mut reloads = 0;
        while !done.load(Relaxed) || reloads < 3 {
            let other = rule(if reloads % 2 == 0 { "one" } else { "two" });
            // In either place.
            match reloads % 3 {
                0 => files.write(&[&other, KEPT]),
                _ => files.write(&[KEPT, &other]),
            }
            live.signal("HUP");
            reloads += 1;
            wait_until("the reload", || live.said("reloaded:") == reloads);
        }
    });
    live.end_by("INT").with_status(0);
    assert_eq!(files.rows()[..], [("kept".to_owned(), ASKED as u64, false)]);
    assert_eq!(files.hits().len(), ASKED);
    let stats = files.stats();
    assert_eq!(stats["transactions"]["answered"], ASKED);
    assert_eq!(stats["rows"]["counted"], ASKED);
}

#[test]
fn filters_and_assets_are_read_anew_too() {
    let Some(lab) = Lab::pair() else { return };
    let files = Files::of(&lab, &[KEPT]);
    let (filters, assets) = (lab.place("filters.yaml"), lab.place("assets.csv"));
    let filter = |name: &str| {
        let text = format!(
            "rule: kept\nwhere: {{ query: {name}.kept.example }}\nowner: team\nreason: known\nexpires: 2099-01-01\n"
        );
        std::fs::write(&filters, text).unwrap();
    };
    filter("a");
    std::fs::write(&assets, "ip,category\n10.9.5.1,before\n").unwrap();
    let more = ["--filters", &filters, "--assets", &assets];
    let live = lab.listen("c", &[&files.arguments()[..], &more].concat());
    ask(&lab, &["a.kept", "b.kept"]);
    wait_until("the hit", || files.hits().len() == 1);
    filter("b");
    std::fs::write(&assets, "ip,category\n10.9.5.1,after\n").unwrap();
    live.signal("HUP");
    live.wait_for_err("reloaded: no rule changed");
    ask(&lab, &["a.kept", "b.kept"]);
    live.end_by("INT").with_status(0);
    let hits = json_lines(&std::fs::read_to_string(&files.hits).unwrap());
    let hits: Vec<_> = hits
        .iter()
        .map(|hit| {
            (
                hit["query"].as_str().unwrap(),
                hit["src_category"][0].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        hits,
        [("b.kept.example", "before"), ("a.kept.example", "after")]
    );
    let stats = files.stats();
    assert_eq!(stats["filters"]["removed"], 2);
    // The same one, for the same reason: what it removed is told together.
    let filters = stats["filters"]["filters"].as_array().unwrap();
    assert_eq!(filters.len(), 1);
    assert_eq!(filters[0]["removed"], 2);
}

#[test]
fn what_needs_further_columns_of_a_csv_file_is_refused() {
    let Some(lab) = Lab::pair() else { return };
    let files = Files::of(&lab, &[KEPT]);
    let csv = lab.place("rows.csv");
    let live = lab.listen("c", &[&files.arguments()[..], &["--rows", &csv]].concat());
    let more = format!("{KEPT}by: [src]\naggregate: {{ how_many: count }}\n");
    files.write(&[&more]);
    live.signal("HUP");
    let said = live.wait_for_err("nothing was reloaded");
    assert!(
        said.contains("further ones: how_many; write JSON Lines"),
        "{said}"
    );
    // Fewer do no harm.
    files.write(&[&format!("{KEPT}by: [src]\n")]);
    live.signal("HUP");
    live.wait_for_err("reloaded: 1 changed");
    ask(&lab, &["kept"]);
    live.end_by("INT").with_status(0);
    let rows = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(rows.lines().count(), 2, "{rows}");
}

/// The terminal goes away as when its window is closed: nobody is left who would read on.
#[test]
fn a_run_ends_with_its_terminal() {
    let Some(lab) = Lab::pair() else { return };
    let files = Files::of(&lab, &[KEPT]);
    let command = [&[lab.program()], &files.arguments()[..]]
        .concat()
        .join(" ");
    let terminal = crate::running::Running::start(lab.on(
        "c",
        &[
            "script",
            "--quiet",
            "--return",
            "--command",
            &format!("exec {command}"),
            "/dev/null",
        ],
    ));
    terminal.wait_for_out("listening on");
    ask(&lab, &["kept"]);
    wait_until("the hit", || files.hits().len() == 1);
    let Ended { .. } = terminal.end_by("KILL");
    wait_until("the end", || std::fs::exists(&files.stats).unwrap());
    assert_eq!(files.rows()[..], [("kept".to_owned(), 1, false)]);
    assert_eq!(files.stats()["reloads"]["taken"], 0);
}

/// What was started so that it survives its terminal does, and reads anew what it would otherwise end by.
#[test]
fn a_run_under_nohup_goes_on_without_its_terminal() {
    let Some(lab) = Lab::pair() else { return };
    let files = Files::of(&lab, &[KEPT]);
    let (err, id) = (lab.place("err"), lab.place("id"));
    let command = [&[lab.program()], &files.arguments()[..]]
        .concat()
        .join(" ");
    let command = format!("echo $$ >{id}; exec nohup {command} >/dev/null 2>{err}");
    let terminal = crate::running::Running::start(lab.on(
        "c",
        &[
            "script",
            "--quiet",
            "--return",
            "--command",
            &command,
            "/dev/null",
        ],
    ));
    let said = |words: &str| std::fs::read_to_string(&err).is_ok_and(|text| text.contains(words));
    wait_until("the run", || said("listening on"));
    terminal.end_by("KILL");
    wait_until("the reload", || said("reloaded: no rule changed"));
    ask(&lab, &["kept"]);
    wait_until("the hit", || files.hits().len() == 1);
    let id: i32 = std::fs::read_to_string(&id)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
    wait_until("the end", || std::fs::exists(&files.stats).unwrap());
    assert_eq!(files.rows()[..], [("kept".to_owned(), 1, false)]);
    assert_eq!(files.stats()["reloads"]["taken"], 1);
}
