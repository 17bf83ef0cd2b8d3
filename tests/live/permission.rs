//! Who may sniff, and who one is afterwards.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use nix::unistd::{Gid, Group, User};

use crate::common::stderr;
use crate::lab::Lab;

fn nobody() -> User {
    User::from_name("nobody").unwrap().unwrap()
}

#[test]
fn without_permission_it_says_what_grants_it() {
    let Some(lab) = Lab::pair() else { return };
    let nobody = nobody();
    let as_nobody = [
        "setpriv",
        &format!("--reuid={}", nobody.uid),
        &format!("--regid={}", nobody.gid),
        "--clear-groups",
        lab.program(),
    ];
    let output = lab.output("c", &[&as_nobody[..], &["sniff", "-i", "eth0"]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty());
    let said = stderr(&output);
    for words in [
        "'eth0'",
        "CAP_NET_RAW",
        "sudo setcap cap_net_raw",
        lab.program(),
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }

    let output = lab.output("c", &[&as_nobody[..], &["interfaces"]].concat());
    let listed = crate::common::stdout(&output);
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("eth0 ") && line.contains("CAP_NET_RAW")),
        "{listed}"
    );
}

#[test]
fn an_interface_that_is_not_there_is_told_from_those_that_are() {
    let Some(lab) = Lab::pair() else { return };
    let output = lab.dnsterrier("c", &["sniff", "-i", "eth7"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stderr(&output);
    for words in ["'eth7'", "eth0", "eth1", "lo", "any"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let listed = crate::common::stdout(&lab.dnsterrier("c", &["interfaces"]));
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("eth0 ") && line.contains("ready  (10.9.5.1")),
        "{listed}"
    );
}

/// What /proc says of a process: the words behind `name`.
fn status(id: u32, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

/// Runs as nobody, whoever says so; sees packets, and owns its files.
fn gives_up_root(group: Gid, command: impl FnOnce(&Lab, &[&str]) -> Command, options: &[&str]) {
    let Some(lab) = Lab::pair() else { return };
    let nobody = nobody();
    let (uid, gid) = (nobody.uid.to_string(), group.to_string());
    let out = lab.folder().join("out");
    std::fs::create_dir(&out).unwrap();
    std::os::unix::fs::chown(&out, Some(nobody.uid.as_raw()), Some(group.as_raw())).unwrap();
    let (hits, stats) = (lab.place("out/hits.jsonl"), lab.place("out/stats.json"));
    // Nobody listens there, so it waits in the spool, whose folder is root's.
    let spools = lab.place("spools");
    let dead = [
        "--spool",
        &spools,
        "--events",
        "hec+http://127.0.0.1:9",
        "--deliver-timeout",
        "1ms",
    ];
    let arguments = [
        &["sniff", "-i", "eth0", "--hits", &hits, "--stats", &stats],
        &dead[..],
        options,
    ]
    .concat();
    let mut command = command(&lab, &arguments);
    command.env("DNSTERRIER_HEC_TOKEN", "token");
    let live = crate::running::Running::start(command);
    let greeting = live.wait_for_err("listening on");
    assert!(greeting.contains("nobody"), "{greeting}");

    assert_eq!(status(live.id(), "Uid:"), vec![uid; 4]);
    assert_eq!(status(live.id(), "Gid:"), vec![gid.clone(); 4]);
    assert!(
        status(live.id(), "Groups:")
            .iter()
            .all(|group| *group == gid)
    );
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
        assert_eq!(status(live.id(), set), ["0000000000000000"], "{set}");
    }
    lab.dig("c", &["@10.9.5.2", "abc.ngrok.io"]);
    live.end_by("INT").with_status(0);
    for path in [&hits, &stats] {
        let found = std::fs::metadata(path).unwrap();
        assert_eq!(
            (found.uid(), found.gid()),
            (nobody.uid.as_raw(), group.as_raw()),
            "{path}"
        );
        assert!(found.len() > 0, "{path}");
    }
    let spool = std::fs::read_dir(&spools).unwrap().next().unwrap().unwrap();
    let segment = spool.path().join("00000000000000000000.segment");
    for path in [spool.path(), segment] {
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!(found.uid(), nobody.uid.as_raw(), "{path:?}");
        assert!(found.len() > 20, "{path:?}");
    }
}

#[test]
fn becomes_the_user_that_is_named() {
    gives_up_root(
        nobody().gid,
        |lab, arguments| lab.on("c", &[&[lab.program()], arguments].concat()),
        &["--user", "nobody"],
    );
}

/// With the group that they worked with, which need not be the first one of theirs.
#[test]
fn becomes_the_user_behind_sudo() {
    let daemon = Group::from_name("daemon").unwrap().unwrap().gid;
    for group in [nobody().gid, daemon] {
        gives_up_root(
            group,
            |lab, arguments| {
                let mut command = lab.on("c", &[&[lab.program()], arguments].concat());
                command
                    .env("SUDO_UID", nobody().uid.to_string())
                    .env("SUDO_GID", group.to_string())
                    .env("SUDO_USER", "nobody");
                command
            },
            &[],
        );
    }
}

#[test]
fn a_user_that_is_not_there_is_an_error() {
    let Some(lab) = Lab::pair() else { return };
    let output = lab.dnsterrier("c", &["sniff", "-i", "eth0", "--user", "no-such-user"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("'no-such-user'"), "{output:?}");
    // Rather not run than run as root when sudo's user is unknown.
    let output = lab
        .on("c", &[lab.program(), "sniff", "-i", "eth0"])
        .env("SUDO_UID", "4000000001")
        .env("SUDO_GID", "4000000001")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("4000000001"), "{output:?}");
    let output = lab
        .on("c", &[lab.program(), "sniff", "-i", "eth0"])
        .env("SUDO_UID", nobody().uid.to_string())
        .env("SUDO_GID", "staff")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("SUDO_GID=staff"), "{output:?}");
}
