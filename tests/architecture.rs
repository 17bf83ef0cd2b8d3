//! The arrows of ARCHITECTURE.md: a module imports only modules that stand before it in the flow, a library is imported by the
//! one module whose business it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The modules in the order of the flow; `time`, `stats` and `wide` may be imported by all.
const FLOW: [&str; 22] = [
    "time",
    "stats",
    "wide",
    "packet",
    "dnstap",
    "capture",
    "encrypted",
    "shape",
    "frame",
    "stream",
    "message",
    "transaction",
    "event",
    "rule",
    "aggregate",
    "risk",
    "sink",
    "evidence",
    "delivery",
    "metrics",
    "pipeline",
    "END",
];

/// Modules around the flow, and what each may import beside it.
const AROUND: [(&str, &[&str]); 10] = [
    ("cli", &[]),
    ("error", &["capture", "delivery", "rule", "sink"]),
    ("privilege", &["error"]),
    ("totals", &["pipeline", "stats", "time"]),
    ("navigator", &["pipeline"]),
    (
        "config",
        &[
            "time",
            "capture",
            "encrypted",
            "frame",
            "transaction",
            "event",
            "rule",
            "aggregate",
            "risk",
            "sink",
            "delivery",
            "metrics",
            "pipeline",
            "cli",
            "error",
            "privilege",
        ],
    ),
    (
        "rules_command",
        &["capture", "cli", "config", "error", "pipeline", "rule"],
    ),
    (
        "spool_command",
        &["cli", "config", "delivery", "error", "sink", "stats"],
    ),
    (
        "fleet_command",
        &[
            "time",
            "aggregate",
            "cli",
            "config",
            "delivery",
            "error",
            "rule",
            "sink",
        ],
    ),
    ("lib", &[]),
];

/// Which module each library belongs to.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("pcap", &["capture"]),
    ("flate2", &["capture", "delivery", "sink"]),
    ("ureq", &["delivery"]),
    ("crc32fast", &["delivery"]),
    ("rustls", &["delivery"]),
    ("rustls_platform_verifier", &["delivery"]),
    ("rdkafka", &["delivery"]),
    ("parquet", &["sink"]),
    ("url", &["sink"]),
    ("zstd", &["capture", "sink"]),
    ("liblzma", &["capture"]),
    ("lz4_flex", &["capture"]),
    ("bzip2", &["capture"]),
    ("prost", &["dnstap"]),
    ("etherparse", &["frame"]),
    ("foldhash", &["transaction"]),
    ("hickory_proto", &["message"]),
    ("itoa", &["event"]),
    ("prometheus_client", &["metrics"]),
    ("crossbeam_channel", &["pipeline"]),
    ("clap", &["cli", "main"]),
    ("ctrlc", &["main"]),
    ("signal_hook", &["main"]),
    ("croner", &["aggregate", "rule"]),
    ("aho_corasick", &["rule"]),
    ("psl", &["event"]),
    ("regex", &["rule"]),
    ("saphyr_parser", &["rule"]),
    ("csv", &["event", "rule", "sink"]),
    ("ethnum", &["aggregate"]),
    ("datasketches", &["aggregate"]),
    ("data_encoding", &["aggregate", "delivery", "rule"]),
    ("rsigma_parser", &["rule"]),
];

fn sources(folder: &Path, list: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, list);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            list.push(path);
        }
    }
}

/// The text without its tests and comments: what they import is not the program's structure.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut modules = BTreeMap::<String, String>::new();
    for file in files {
        if file.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        let inside = file.strip_prefix(&root).unwrap();
        let module = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        modules
            .entry(module.to_owned())
            .or_default()
            .push_str(&code(&std::fs::read_to_string(&file).unwrap()));
    }
    modules
}

/// The modules named after `crate::` in a module's code, also within braces.
fn imports(code: &str) -> Vec<String> {
    let mut list = Vec::new();
    for (place, _) in code.match_indices("crate::") {
        let rest = &code[place + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !name.is_empty() && name.chars().next().is_some_and(char::is_lowercase) {
                list.push(name);
            }
        }
    }
    list
}

#[test]
fn a_module_imports_only_what_stands_before_it() {
    let place = |name: &str| FLOW.iter().position(|module| *module == name);
    let mut arrows = 0;
    for (module, code) in modules() {
        for import in imports(&code) {
            if import == module {
                continue;
            }
            arrows += 1;
            if let Some(own) = place(&module) {
                let other = place(&import);
                assert!(
                    other.is_some_and(|other| other < own),
                    "{module} imports {import}, which does not stand before it"
                );
            } else if let Some((_, allowed)) = AROUND.iter().find(|(name, _)| *name == module) {
                assert!(
                    allowed.contains(&import.as_str()),
                    "{module} imports {import}"
                );
            } else {
                assert_eq!(module, "main", "{module} stands nowhere in this test");
            }
        }
    }
    assert!(arrows > 20, "the test sees no imports");
}

#[test]
fn a_library_belongs_to_one_module() {
    let modules = modules();
    for (library, owners) in LIBRARIES {
        let mut used = false;
        for (module, code) in &modules {
            let imported = code.contains(&format!("{library}::"))
                && code.lines().any(|line| {
                    line.match_indices(library).any(|(at, _)| {
                        let before = line[..at].chars().next_back();
                        line[at..].starts_with(&format!("{library}::"))
                            && !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
                    })
                })
                || code.contains(&format!("use {library}"));
            if imported {
                used = true;
                assert!(
                    owners.contains(&module.as_str()),
                    "{module} uses {library}, which belongs to {owners:?}"
                );
            }
        }
        assert!(used, "{library} is used nowhere");
    }
}

#[test]
fn lib_lists_the_flow_in_its_order() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let listed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let flow: Vec<&str> = listed
        .iter()
        .copied()
        .filter(|module| FLOW.contains(module))
        .collect();
    assert_eq!(flow, FLOW[..FLOW.len() - 1]);
}

#[test]
fn there_is_no_drawer_for_odds_and_ends() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(
            !["mod.rs", "util.rs", "utils.rs", "types.rs", "helpers.rs"].contains(&name),
            "{}",
            file.display()
        );
    }
}

/// The one place, and only where the feature says so.
#[test]
fn unsafe_code_is_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let holds = |file: &Path, word: &str| {
        let text = std::fs::read_to_string(file).unwrap();
        let lines = text.lines().map(|line| line.split("//").next().unwrap());
        lines
            .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'))
            .any(|it| it == word)
    };
    let with: Vec<_> = files
        .iter()
        .filter(|file| holds(file, "unsafe") || holds(file, "unsafe_code"))
        .map(|file| file.strip_prefix(&root).unwrap().to_str().unwrap())
        .collect();
    assert_eq!(with.len(), 2, "{with:?}");
    assert!(
        with.contains(&"wide/avx2.rs") && with.contains(&"lib.rs"),
        "{with:?}"
    );
    let lib = std::fs::read_to_string(root.join("lib.rs")).unwrap();
    assert!(lib.contains("#![cfg_attr(not(feature = \"wide\"), forbid(unsafe_code))]"));
    assert!(!holds(&root.join("lib.rs"), "unsafe"));
    let wide = std::fs::read_to_string(root.join("wide.rs")).unwrap();
    assert!(wide.contains("#[cfg(all(feature = \"wide\", target_arch = \"x86_64\"))]\nmod avx2;"));
}
