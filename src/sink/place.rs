//! Where a stream goes and in which form, as the command line names it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::packed::Packing;
use super::remote::{Kind, Remote};
use super::{EventFormat, SinkError, Stream};

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people; rows and sources only.
    Table,
    /// One JSON object on each line (JSON Lines).
    Jsonl,
    /// Comma-separated values with a header line (RFC 4180, lines end with a line feed alone).
    Csv,
    /// The same with tabs.
    Tsv,
    /// Events as Zeek's log; only where [`super::EventFormat`] says so.
    Log,
    /// A folder of files in columns.
    Parquet,
    /// Events as dnstap; only where [`super::EventFormat`] says so.
    Dnstap,
    /// Packets; no records of a stream.
    Packets,
}

impl Format {
    /// All formats of rows on standard output, in the order in which help texts name them.
    pub const ALL: [Self; 4] = [Self::Table, Self::Jsonl, Self::Csv, Self::Tsv];

    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Log => "log",
            Self::Parquet => "parquet",
            Self::Dnstap => "dnstap",
            Self::Packets => "packets",
        }
    }

    /// As a sentence says it.
    const fn spoken(self) -> &'static str {
        match self {
            Self::Table => "a table",
            Self::Jsonl => "JSON Lines",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::Log => "a log",
            Self::Parquet => "Parquet",
            Self::Dnstap => "dnstap",
            Self::Packets => "packets",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Format {
    type Err = SinkError;

    fn from_str(text: &str) -> Result<Self, SinkError> {
        Self::ALL
            .into_iter()
            .find(|format| text == format.name())
            .ok_or_else(|| {
                SinkError::Usage(format!(
                    "'{text}' is not a format: use table, jsonl, csv or tsv"
                ))
            })
    }
}

/// A place for records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    None,
    /// Standard output.
    Stdout,
    /// A file, a FIFO or a device.
    File {
        /// Its path.
        path: PathBuf,
        /// The format that the ending of its name chose.
        format: Format,
    },
    /// A place in the network.
    Remote(Box<Remote>),
}

const ENDINGS: &str = ".jsonl, .ndjson or .json (JSON Lines), .csv, .tsv, .txt (a table; rows and sources only), .log (events as Zeek's log), .dnstap (events as dnstap), each also with .gz or .zst behind it, .parquet (a folder of files; events, hits and sources only)";

/// Endings that are promised, not written.
const NOT_YET: [&str; 3] = ["xz", "lz4", "bz2"];

impl Place {
    /// Reads a place as the command line has it: `none`, `-`, a URL, or a path whose ending chooses the format.
    ///
    /// Devices and descriptors (`/dev/...`, `/proc/...`) need no ending: they take JSON Lines.
    ///
    /// # Errors
    /// A usage error that says what a place looks like.
    pub fn parse(text: &str) -> Result<Self, SinkError> {
        match text {
            "" => {
                return Err(SinkError::Usage(format!(
                    "an empty place: use none, - or a file name ending in {ENDINGS}"
                )));
            }
            "none" => return Ok(Self::None),
            "-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => return Ok(Self::Stdout),
            _ => {}
        }
        if text.contains("://") {
            return Ok(Self::Remote(Box::new(Remote::parse(text)?)));
        }
        let path = Path::new(text);
        let format = match Packing::ending(path).as_deref() {
            Some("jsonl" | "ndjson" | "json") => Format::Jsonl,
            Some("csv") => Format::Csv,
            Some("tsv") => Format::Tsv,
            Some("txt") => Format::Table,
            Some("log") => Format::Log,
            Some("parquet") => return parquet(path),
            Some("dnstap") => Format::Dnstap,
            None if text.starts_with("/dev/") || text.starts_with("/proc/") => Format::Jsonl,
            _ if path.is_dir() => return Err(is_directory(path)),
            Some(ending) if NOT_YET.contains(&ending) => {
                return Err(SinkError::Usage(format!(
                    "'{text}': .{ending} files cannot be written yet; use a name ending in {ENDINGS}, or a pipe such as >(xz > FILE)"
                )));
            }
            _ => {
                return Err(SinkError::Usage(format!(
                    "'{text}': the ending of the name chooses the format: {ENDINGS}"
                )));
            }
        };
        Ok(Self::File {
            path: path.to_owned(),
            format,
        })
    }

    /// Whether records of several sensors are merged there.
    #[must_use]
    pub fn merges(&self) -> bool {
        matches!(self, Self::Remote(remote) if remote.kind == Kind::ClickHouse)
    }

    /// In whose words a stream's records are in a place in the network, where the command line chose these for events.
    #[must_use]
    pub fn words(&self, stream: Stream, chosen: EventFormat) -> EventFormat {
        match self {
            Self::Remote(remote) if !chosen.is_for(stream) => remote.kind.words(),
            _ => chosen,
        }
    }

    /// The format that a stream has there; `stdout` is that of the rows on standard output, whose other streams are always
    /// JSON Lines. Nothing for [`Place::None`].
    #[must_use]
    pub const fn format(&self, stream: Stream, stdout: Format) -> Option<Format> {
        match (self, stream) {
            (Self::None, _) => None,
            (Self::Stdout, Stream::Rows) => Some(stdout),
            (Self::Stdout, _) | (Self::Remote(_), _) => Some(Format::Jsonl),
            (Self::File { format, .. }, _) => Some(*format),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Stdout => f.write_str("standard output"),
            Self::File { path, .. } => write!(f, "{}", path.display()),
            Self::Remote(remote) => write!(f, "{remote}"),
        }
    }
}

/// A folder of Parquet, which is compressed inside.
fn parquet(path: &Path) -> Result<Place, SinkError> {
    let wrong = |what: &str| SinkError::Usage(format!("'{}': {what}", path.display()));
    if Packing::of(path).is_some() {
        return Err(wrong(
            "Parquet is compressed inside: the name ends in .parquet",
        ));
    }
    if cfg!(not(feature = "parquet")) {
        return Err(wrong(
            "this program was built without Parquet; build it with: cargo build --release --features parquet",
        ));
    }
    Ok(Place::File {
        path: path.to_owned(),
        format: Format::Parquet,
    })
}

pub(super) fn is_directory(path: &Path) -> SinkError {
    SinkError::Usage(format!(
        "{0} is a directory: give a file name in it, such as {1}",
        path.display(),
        path.join("rows.jsonl").display()
    ))
}

/// Checks that the places of all streams of a run go together: no two formats on standard output, no file named twice,
/// tables for streams that have one. `format` is that of rows on standard output.
///
/// Says whether several streams share standard output; [`super::Options::shared_stdout`] wants to know.
///
/// # Errors
/// A usage error that names both sides and the remedy.
pub fn check(streams: &[(Stream, &[Place])], format: Format) -> Result<bool, SinkError> {
    let mut stdout: Vec<(Stream, Format)> = Vec::new();
    let mut files: Vec<(&Path, Stream)> = Vec::new();
    let mut remotes: Vec<(&Remote, Stream)> = Vec::new();
    for (stream, places) in streams {
        for place in *places {
            let Some(form) = place.format(*stream, format) else {
                continue;
            };
            if form == Format::Table && !stream.has_table() {
                return Err(SinkError::Usage(format!(
                    "--{stream} {place}: there is no table of {stream}; use a name ending in .jsonl, .csv or .tsv"
                )));
            }
            match place {
                Place::None => {}
                Place::Stdout => stdout.push((*stream, form)),
                Place::File { path, .. } => {
                    if let Some((_, other)) = files.iter().find(|(known, _)| *known == path) {
                        return Err(twice(*other, *stream, place));
                    }
                    files.push((path, *stream));
                }
                // Several streams may go to one place; none needs to go there twice.
                Place::Remote(remote) => {
                    if remotes.contains(&(remote, *stream)) {
                        return Err(twice(*stream, *stream, place));
                    }
                    remotes.push((remote, *stream));
                }
            }
        }
    }
    let mut rest = stdout.iter();
    if let Some((first, form)) = rest.next() {
        for (other, other_form) in rest {
            if first == other {
                return Err(twice(*first, *other, &Place::Stdout));
            }
            if form != other_form {
                return Err(mixed((*first, *form), (*other, *other_form)));
            }
        }
    }
    Ok(stdout.len() > 1)
}

fn twice(first: Stream, second: Stream, place: &Place) -> SinkError {
    SinkError::Usage(if first == second {
        format!("--{first} names {place} twice")
    } else {
        format!("--{first} and --{second} would both write to {place}: give each its own")
    })
}

fn mixed(first: (Stream, Format), second: (Stream, Format)) -> SinkError {
    let (rows, other) = if first.0 == Stream::Rows {
        (first, second)
    } else {
        (second, first)
    };
    SinkError::Usage(format!(
        "--{} and --{} would both write to standard output, one as {} and the other as {}: \
         make both JSON Lines (--format jsonl), give one a file (--{} {}.jsonl), or leave the {} out (--{} none)",
        rows.0,
        other.0,
        rows.1.spoken(),
        other.1.spoken(),
        other.0,
        other.0,
        rows.0,
        rows.0,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, format: Format) -> Place {
        Place::File {
            path: path.into(),
            format,
        }
    }

    fn says(result: Result<impl fmt::Debug, SinkError>, parts: &[&str]) {
        let text = result.expect_err("should be refused").to_string();
        for part in parts {
            assert!(text.contains(part), "'{part}' is not in: {text}");
        }
    }

    #[test]
    fn the_ending_chooses_the_format() {
        for (text, place) in [
            ("none", Place::None),
            ("-", Place::Stdout),
            ("/dev/stdout", Place::Stdout),
            ("a.jsonl", file("a.jsonl", Format::Jsonl)),
            ("x/a.ndjson", file("x/a.ndjson", Format::Jsonl)),
            ("a.b.JSON", file("a.b.JSON", Format::Jsonl)),
            ("a.Csv", file("a.Csv", Format::Csv)),
            ("a.tsv", file("a.tsv", Format::Tsv)),
            ("a.tsv.gz", file("a.tsv.gz", Format::Tsv)),
            ("x/a.b.jsonl.ZST", file("x/a.b.jsonl.ZST", Format::Jsonl)),
            ("/dev/shm/a.txt", file("/dev/shm/a.txt", Format::Table)),
            ("/dev/full", file("/dev/full", Format::Jsonl)),
            ("/dev/fd/63", file("/dev/fd/63", Format::Jsonl)),
            ("./none.csv", file("./none.csv", Format::Csv)),
        ] {
            assert_eq!(Place::parse(text).ok(), Some(place), "{text}");
        }
    }

    #[test]
    fn a_place_that_is_none_says_what_one_is() {
        says(
            Place::parse("rows.jsonl.xz"),
            &[
                "rows.jsonl.xz",
                ".xz files cannot be written yet",
                ".jsonl",
                ".zst",
            ],
        );
        says(Place::parse("rows.gz"), &["'rows.gz'", ".jsonl", ".gz"]);
        if cfg!(feature = "parquet") {
            let place = Place::parse("x/a.parquet/").ok();
            assert_eq!(place, Some(file("x/a.parquet/", Format::Parquet)));
        } else {
            says(Place::parse("a.parquet"), &["--features parquet"]);
        }
        says(Place::parse("a.parquet.gz"), &["compressed inside"]);
        says(Place::parse("ftp://h/a.csv"), &["ftp://", "hec+https://"]);
        says(Place::parse("rows"), &["'rows'", ".ndjson", ".tsv", ".txt"]);
        says(Place::parse("rows.xml"), &["rows.xml", ".jsonl"]);
        says(
            Place::parse("/tmp"),
            &["/tmp is a directory: give a file name in it, such as /tmp/rows.jsonl"],
        );
        says(Place::parse("/tmp/"), &["is a directory"]);
        says(Place::parse(""), &["empty"]);
        says(
            "yaml".parse::<Format>(),
            &["'yaml'", "table, jsonl, csv or tsv"],
        );
    }

    #[test]
    fn formats_do_not_mix_on_standard_output() {
        let (stdout, none): (&[Place], &[Place]) = (&[Place::Stdout], &[Place::None]);
        let with = |format| {
            check(
                &[
                    (Stream::Rows, stdout),
                    (Stream::Hits, none),
                    (Stream::Events, stdout),
                ],
                format,
            )
        };
        says(
            with(Format::Table),
            &[
                "--rows and --events",
                "one as a table and the other as JSON Lines",
                "--format jsonl",
                "--events events.jsonl",
                "--rows none",
            ],
        );
        says(with(Format::Csv), &["one as CSV"]);
        assert_eq!(with(Format::Jsonl).ok(), Some(true));
        assert_eq!(
            check(
                &[(Stream::Rows, stdout), (Stream::Events, none)],
                Format::Table
            )
            .ok(),
            Some(false)
        );
        assert_eq!(
            check(
                &[(Stream::Rows, none), (Stream::Events, stdout)],
                Format::Table
            )
            .ok(),
            Some(false)
        );
    }

    #[test]
    fn one_file_takes_one_stream() {
        let place = [file("out.jsonl", Format::Jsonl)];
        says(
            check(
                &[(Stream::Hits, &place), (Stream::Events, &place)],
                Format::Table,
            ),
            &["--hits and --events would both write to out.jsonl"],
        );
        says(
            check(
                &[(Stream::Hits, &[Place::Stdout, Place::Stdout])],
                Format::Table,
            ),
            &["--hits names standard output twice"],
        );
    }

    #[test]
    fn one_place_in_the_network_takes_several_streams_each_once() {
        let place = [Place::parse("hec+https://splunk.example").unwrap()];
        let twice = [place[0].clone(), place[0].clone()];
        assert!(
            check(
                &[(Stream::Hits, &place), (Stream::Rows, &place)],
                Format::Table
            )
            .is_ok()
        );
        says(
            check(&[(Stream::Hits, &twice)], Format::Table),
            &["--hits names hec+https://splunk.example twice"],
        );
    }

    #[test]
    fn events_have_no_table() {
        let table = [file("out.txt", Format::Table)];
        says(
            check(&[(Stream::Events, &table)], Format::Table),
            &["--events out.txt", "no table of events", ".jsonl"],
        );
        assert!(check(&[(Stream::Sources, &table)], Format::Table).is_ok());
    }
}
