//! As much of HTTP/1.1 as servers of these tests need.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

/// The path of the next request, and its headers, their names in small letters; nothing where no more comes.
pub(crate) fn head(reader: &mut impl BufRead) -> Option<(String, BTreeMap<String, String>)> {
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            return Some((path, headers));
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
}

/// Answers, with one more header where it is not empty.
pub(crate) fn answer(writer: &mut impl Write, status: u16, header: &str, body: &str) -> Option<()> {
    let header = if header.is_empty() {
        String::new()
    } else {
        format!("{header}\r\n")
    };
    write!(
        writer,
        "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n{header}\r\n{body}",
        body.len()
    )
    .and_then(|()| writer.flush())
    .ok()
}
