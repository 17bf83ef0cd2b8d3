//! One message (RFC 5424, section 6).
//!
//! ```text
//! <134>1 2026-01-02T03:04:05.000006Z tap1 dnsterrier - events [dnsterrier@32473 id="..." stream="events"] {"_time":...}
//! ```
//! JSON is written in ASCII, with `\u` for all else. So there is no byte order mark, which section 6.4 asks for in front of
//! UTF-8 and which readers of JSON stumble over; CEF has it where it is not ASCII.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cef;
use crate::sink::Stream;
use crate::sink::envelope::Letter;

/// The name of our element: with IANA's number for examples (RFC 5612), for we have none of our own.
const ELEMENT: &str = "dnsterrier@32473";
/// UTF-8's byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// No name of a host is longer (section 6).
const LONGEST_HOST: usize = 255;
/// How many digits a fraction of a second has at most (section 6.2.3).
const DIGITS: usize = 6;

/// Whether a time can stand in the header: RFC 3339 in UTC, and nothing else.
fn is_in_utc(time: &str) -> bool {
    let is_of_it = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'T');
    time.strip_suffix('Z')
        .is_some_and(|time| time.len() >= 19 && time.bytes().all(is_of_it))
}

/// How messages are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) facility: u8,
    pub(super) is_cef: bool,
    /// How many bytes one has at most.
    pub(super) size: usize,
}

/// What a risk event says of itself; of one in OCSF's words, too.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    severity: Option<&'a str>,
}

impl Form {
    /// The message of a record, and whether it had to be cut.
    pub(super) fn message(self, stream: Stream, letter: &Letter<'_>) -> (Vec<u8>, bool) {
        let text = if self.is_cef {
            cef(stream, letter.record)
        } else {
            in_ascii(letter.record.get())
        };
        let whole = self.head(stream, letter, false);
        if whole.len() + text.len() <= self.size {
            return ([whole, text].concat(), false);
        }
        let mut message = self.head(stream, letter, true);
        let room = self.size.saturating_sub(message.len());
        // No character is cut in the middle.
        let end = (0..=room.min(text.len()))
            .rev()
            .find(|end| text.get(*end).is_none_or(|byte| byte & 0xc0 != 0x80));
        message.extend_from_slice(text.get(..end.unwrap_or_default()).unwrap_or_default());
        (message, true)
    }

    /// Header and structured data, and the space behind them.
    fn head(self, stream: Stream, letter: &Letter<'_>, is_cut: bool) -> Vec<u8> {
        let label = &letter.label;
        let priority = u16::from(self.facility) * 8 + u16::from(severity(stream, letter));
        let time = label
            .time
            .as_deref()
            .filter(|time| is_in_utc(time))
            .map_or_else(|| "-".to_owned(), to_micros);
        let host = label.host.as_deref().map_or_else(|| "-".to_owned(), host);
        let mut head = format!(
            "<{priority}>1 {time} {host} dnsterrier - {stream} [{ELEMENT} id=\"{}\" stream=\"{stream}\"",
            value(&label.id)
        );
        if let Some(words) = letter.words {
            head.push_str(&format!(" as=\"{}\"", value(words)));
        }
        if is_cut {
            head.push_str(" cut=\"true\"");
        }
        head.push_str("] ");
        head.into_bytes()
    }
}

/// How severe it is (section 6.2.1): a lookup is informational, what a source is known for notable, what a rule matched a
/// warning, and a risk event as severe as it says.
fn severity(stream: Stream, letter: &Letter<'_>) -> u8 {
    match stream {
        Stream::Events | Stream::Sensors => 6,
        Stream::Sources => 5,
        Stream::Rows | Stream::Hits => 4,
        Stream::Risk => {
            let said: Option<Said<'_>> = serde_json::from_str(letter.record.get()).ok();
            let word = said
                .and_then(|said| said.severity)
                .map(str::to_ascii_lowercase);
            match word.as_deref() {
                Some("critical") => 2,
                Some("high") => 3,
                Some("medium") => 4,
                Some("low") => 5,
                _ => 6,
            }
        }
    }
}

/// A time with as many digits as may be there.
fn to_micros(time: &str) -> String {
    match time.trim_end_matches('Z').split_once('.') {
        Some((whole, digits)) => {
            format!("{whole}.{}Z", digits.get(..DIGITS).unwrap_or(digits))
        }
        None => time.to_owned(),
    }
}

/// A name as a host's: printable ASCII without spaces.
fn host(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|it| if it.is_ascii_graphic() { it } else { '_' })
        .take(LONGEST_HOST)
        .collect();
    if name.is_empty() {
        return "-".to_owned();
    }
    name
}

/// A value of structured data (section 6.3.3).
fn value(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '"' | '\\' | ']') {
            value.push('\\');
        }
        value.push(character);
    }
    value
}

/// JSON in ASCII. What is not, stands inside of strings.
fn in_ascii(json: &str) -> Vec<u8> {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text.into_bytes()
}

fn cef(stream: Stream, record: &RawValue) -> Vec<u8> {
    let text = cef::text(stream, record);
    if text.is_ascii() {
        return text.into_bytes();
    }
    [MARK, text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::envelope::open;

    const FORM: Form = Form {
        facility: 16,
        is_cef: false,
        size: 65_536,
    };

    fn message(form: Form, stream: Stream, line: &str) -> (String, bool) {
        let letter = open(stream, line.as_bytes()).unwrap();
        let (message, is_cut) = form.message(stream, &letter);
        (String::from_utf8(message).unwrap(), is_cut)
    }

    #[test]
    fn header_and_structured_data() {
        let line = r#"{"_time":"2026-01-02T03:04:05.000006789Z","host":"tap 1\u00e9","event_id":"a\"]\\"}"#;
        let (text, _) = message(FORM, Stream::Events, line);
        let head = r#"<134>1 2026-01-02T03:04:05.000006Z tap_1_ dnsterrier - events [dnsterrier@32473 id="a\"\]\\" stream="events"] "#;
        assert_eq!(text, format!("{head}{line}"));
        let (text, _) = message(FORM, Stream::Rows, "{}");
        assert!(text.starts_with("<132>1 - - dnsterrier - rows ["), "{text}");
        // A rule may call any column of its rows so, and fill it from the wire.
        for time in ["only4.ngrok.io", "] <1>1 Z", "2026-01-02 03:04:05", "99"] {
            let line = serde_json::json!({ "_time": time }).to_string();
            let (text, _) = message(FORM, Stream::Rows, &line);
            assert!(text.starts_with("<132>1 - - dnsterrier - rows ["), "{text}");
        }
    }

    #[test]
    fn a_risk_event_is_as_severe_as_it_says() {
        for (word, priority) in [
            ("low", 133),
            ("medium", 132),
            ("High", 131),
            ("critical", 130),
            ("?", 134),
        ] {
            let (text, _) = message(FORM, Stream::Risk, &format!(r#"{{"severity":"{word}"}}"#));
            assert!(text.starts_with(&format!("<{priority}>1 ")), "{text}");
        }
    }

    #[test]
    fn json_is_ascii_and_the_same() {
        let line = "{\"a\":\"ngrök \u{1f980} \\n\"}";
        let (text, _) = message(FORM, Stream::Rows, line);
        assert!(text.is_ascii());
        let (_, json) = text.split_once("] ").unwrap();
        let values = [line, json].map(|it| serde_json::from_str::<serde_json::Value>(it).unwrap());
        assert_eq!(values[0], values[1]);
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let line = format!(r#"{{"event_id":"a","b":"{}"}}"#, "c".repeat(600));
        let whole = message(FORM, Stream::Rows, &line).0;
        for size in 480..=whole.len() {
            let (text, is_cut) = message(Form { size, ..FORM }, Stream::Rows, &line);
            assert_eq!(is_cut, size < whole.len());
            assert_eq!(text.contains("cut=\"true\""), is_cut);
            assert_eq!(text.len(), size);
        }
        // Not in the middle of a character.
        let line = format!(r#"{{"rule":"{}"}}"#, "é".repeat(600));
        for size in 600..610 {
            let form = Form {
                size,
                is_cef: true,
                ..FORM
            };
            assert!(message(form, Stream::Rows, &line).1);
        }
    }
}
