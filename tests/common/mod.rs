//! What the integration tests share: the program, the captures, and what came out.

#![allow(dead_code, reason = "each test binary uses its part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_dnsterrier");

/// A file of the repository.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The committed captures, in name order.
pub(crate) fn captures() -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> = std::fs::read_dir(file("captures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            matches!(
                path.extension().and_then(|e| e.to_str()),
                Some("pcap" | "pcapng" | "dnstap")
            )
        })
        .collect();
    list.sort();
    assert!(list.len() >= 10, "where are the captures?");
    list
}

/// Runs the program and waits for it.
pub(crate) fn dnsterrier<I, S>(arguments: I) -> Output
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The same with bytes on its standard input.
pub(crate) fn dnsterrier_reading(bytes: &[u8], arguments: &[&str]) -> Output {
    use std::io::Write;
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Standard output, after the run went well.
pub(crate) fn stdout(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}\n{}",
        output.status,
        stderr(output)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Source and role of each record.
pub(crate) fn roles(records: &[serde_json::Value]) -> Vec<(&str, &str)> {
    records
        .iter()
        .map(|record| {
            (
                record["src"].as_str().unwrap(),
                record["src_role"].as_str().unwrap(),
            )
        })
        .collect()
}

/// JSON Lines as values.
pub(crate) fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}
