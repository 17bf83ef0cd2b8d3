//! Files that give way to new ones while the program listens: nothing is lost, nothing is there twice.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::json_lines;
use crate::lab::Lab;
use crate::running::wait_until;

/// The text of a file as the programs of its format give it, which would complain of half a member.
fn text(path: &Path) -> String {
    let program = match path.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => "gzip",
        Some("zst") => "zstd",
        _ => "cat",
    };
    let mut command = Command::new(program);
    if program != "cat" {
        command.arg("-dc");
    }
    let output = command.arg(path).output().unwrap();
    assert!(output.status.success(), "{}: {output:?}", path.display());
    String::from_utf8(output.stdout).unwrap()
}

/// The names that were asked for in some files, sorted.
fn queries<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Vec<String> {
    let mut names: Vec<String> = paths
        .into_iter()
        .flat_map(|path| json_lines(&text(path)))
        .map(|event: Value| event["query"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// As logrotate does it: another name, then SIGHUP.
#[test]
fn files_that_are_moved_away_are_opened_again_on_sighup() {
    let Some(lab) = Lab::pair() else { return };
    let places = ["e.jsonl", "e.jsonl.gz", "e.jsonl.zst", "e.csv.gz"].map(|name| lab.place(name));
    let rules = lab.place("own.yaml");
    std::fs::write(&rules, "name: own\ndomain: own.example\n").unwrap();
    let mut arguments = vec!["sniff", "-i", "eth0", "--rows", "none", "--rules", &rules];
    for place in &places {
        arguments.extend(["--events", place]);
    }
    let running = lab.listen("c", &arguments);
    let ask = |names: &[&str]| {
        for name in names {
            lab.dig("c", &["@10.9.5.2", &format!("{name}.example.com")]);
        }
    };
    let has = |place: &str, name: &str| {
        // It grows while it is read: whole members are all that must be there.
        std::fs::exists(place).unwrap() && text(Path::new(place)).contains(name)
    };
    ask(&["a", "b"]);
    let old = places.clone().map(|place| format!("{place}.1"));
    wait_until("the first events", || {
        places.iter().all(|it| has(it, "b.example.com"))
    });
    for (place, old) in places.iter().zip(&old) {
        // gzip and zstd go by the ending.
        std::fs::rename(place, old).unwrap();
    }
    ask(&["c"]);
    wait_until("the event after the move", || {
        std::fs::read_to_string(&old[0])
            .unwrap()
            .contains("c.example.com")
    });
    // Whatever comes of the rules.
    std::fs::write(&rules, "name: own\nno such: key\n").unwrap();
    running.signal("HUP");
    running.wait_for_err("nothing was reloaded");
    wait_until("the new files", || {
        places.iter().all(|it| std::fs::exists(it).unwrap())
    });
    ask(&["d", "e"]);
    running.end_by("TERM").with_status(0);
    for (place, old) in places.iter().zip(&old) {
        let moved = old.strip_suffix(".1").unwrap().replace("/e.", "/old.");
        std::fs::rename(old, &moved).unwrap();
        let (place, moved) = (Path::new(place), Path::new(&moved));
        if place.to_str().unwrap().contains(".csv") {
            let lines = |path| text(path).lines().map(str::to_owned).collect::<Vec<_>>();
            let (first, second) = (lines(moved), lines(place));
            assert_eq!((first.len(), second.len()), (4, 3));
            assert_eq!(first[0], second[0], "each has its header");
            continue;
        }
        assert_eq!(queries([moved]).len(), 3, "{}", moved.display());
        assert_eq!(
            queries([place, moved]),
            ["a", "b", "c", "d", "e"].map(|name| format!("{name}.example.com"))
        );
    }
}

#[test]
fn files_are_rotated_by_size() {
    let Some(lab) = Lab::pair() else { return };
    let folder = lab.folder().join("out");
    std::fs::create_dir(&folder).unwrap();
    let place = folder.join("e.jsonl");
    let arguments = [
        "sniff",
        "-i",
        "eth0",
        "--rows",
        "none",
        "--events",
        place.to_str().unwrap(),
        "--rotate-size",
        "16K",
    ];
    let running = lab.listen("c", &arguments);
    let asked: Vec<String> = (0..100)
        .map(|number| format!("n{number:03}.example.com"))
        .collect();
    let files = || -> Vec<std::path::PathBuf> {
        std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    };
    // A burst may be one batch, which stays together.
    for (number, part) in asked.chunks(25).enumerate() {
        lab.dig_all("c", part.iter().map(|name| format!("@10.9.5.2 {name}")));
        wait_until("another file", || files().len() > number + 1);
    }
    running.end_by("TERM").with_status(0);
    let files = files();
    assert_eq!(queries(files.iter().map(AsRef::as_ref)), asked);
    for file in &files {
        let size = std::fs::metadata(file).unwrap().len();
        let name = file.file_name().unwrap().to_str().unwrap();
        if *file == place {
            continue;
        }
        // `e.2026-11-28T18-00-00Z.jsonl`, or with a number.
        assert!(
            name.starts_with("e.20") && name.ends_with(".jsonl"),
            "{name}"
        );
        assert!(size >= 16 * 1024, "{name}: {size}");
    }
}
