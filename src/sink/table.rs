//! Rows and sources as tables for people, and the line that a live run prints at once.

use std::borrow::Cow;
use std::net::IpAddr;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::record::{is_plain, printable};
use crate::event::{Event, Outcome, Role};
use crate::time::Timestamp;

/// How tables look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// With colours; whether they are wanted is the caller's to know.
    pub colour: bool,
    /// The terminal's width in columns: long values are cut in the middle to fit it. `None` cuts nothing.
    pub width: Option<usize>,
    /// Times in the machine's zone, as `%Y-%m-%dT%H:%M:%S`, instead of UTC.
    pub local_time: bool,
}

impl TableOptions {
    fn time(self, time: Timestamp) -> String {
        if self.local_time {
            time.to_local()
        } else {
            time.to_second()
        }
    }

    /// The titles of columns of times: the first one, the last one, and the window's.
    const fn titles(self) -> [&'static str; 3] {
        if self.local_time {
            ["FIRST (LOCAL)", "LAST (LOCAL)", "WINDOW (LOCAL)"]
        } else {
            ["FIRST (UTC)", "LAST (UTC)", "WINDOW (UTC)"]
        }
    }
}

/// A row of the aggregation as a table shows it.
#[derive(Clone, Debug)]
pub struct TableRow<'a> {
    /// The rule's name.
    pub rule: &'a str,
    /// The `by` fields with their values, in the rule's order.
    pub keys: Vec<(&'a str, String)>,
    /// What came of the first lookup.
    pub outcome: Outcome,
    /// Whether other lookups of the row had another outcome.
    pub outcome_varies: bool,
    /// The resolver of the first lookup.
    pub dest: IpAddr,
    /// Whether other lookups of the row went to another resolver.
    pub dest_varies: bool,
    /// How many lookups.
    pub count: u64,
    /// Time of the first.
    pub first: Timestamp,
    /// Time of the last.
    pub last: Timestamp,
    /// The rule's further columns that are one value.
    pub measures: Vec<Measure<'a>>,
    /// Packet number of the first.
    pub packet: u64,
    /// Written before its time, so that more of the same may follow.
    pub partial: bool,
    /// The window, its end exclusive.
    pub window: Option<(Timestamp, Timestamp)>,
}

/// A column of a rule that a table shows beside the number of lookups.
#[derive(Clone, Debug)]
pub struct Measure<'a> {
    /// The column's name.
    pub name: &'a str,
    /// Its value; empty where there is none.
    pub text: String,
    /// Whether it is a number.
    pub is_number: bool,
}

/// A source address with its hits as a table shows it.
#[derive(Clone, Debug)]
pub struct TableSource<'a> {
    /// The address.
    pub src: IpAddr,
    /// Whether it asks for itself or for others.
    pub role: Role,
    /// Pairs of a rule and an event.
    pub hits: u64,
    /// The rules; the table shows the first and how many more there are.
    pub rules: Vec<&'a str>,
    /// The names that were looked up, likewise.
    pub names: Vec<&'a str>,
    /// Connections over which DNS is encrypted, and lookups of who answers there.
    pub encrypted: u64,
    /// Who that is, as the rules.
    pub resolvers: Vec<&'a str>,
    /// Time of the first hit; of the first of these connections and lookups where there is no hit.
    pub first: Option<Timestamp>,
    /// Time of the last, likewise.
    pub last: Option<Timestamp>,
}

/// One line of a table.
#[derive(Clone, Debug)]
pub enum TableLine<'a> {
    /// Of the rows.
    Row(TableRow<'a>),
    /// Of the sources.
    Source(TableSource<'a>),
}

/// The line for something new in a live run: time, source, name, first answer, outcome, resolver, rule. `name` is the
/// one that matched.
#[must_use]
pub fn live_line(rule: &str, name: &str, event: &Event, options: TableOptions) -> String {
    let answers: Vec<&str> = event
        .answers
        .iter()
        .map(|record| record.data.as_str())
        .collect();
    let line = format!(
        "{}  {}  {name}  {}  {}  via {}  {rule}",
        options.time(event.time),
        event.src,
        first_and_more(&answers),
        event.outcome.name(),
        event.dest,
    );
    printable(&line).into_owned()
}

/// A rule's name where room is short: at most 28 characters, a cut one ends in a dot.
fn short_rule(name: &str) -> String {
    if name.chars().count() <= 28 {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(27).collect();
    short.push('.');
    short
}

fn first_and_more(values: &[&str]) -> String {
    match values {
        [] => "-".to_owned(),
        [only] => (*only).to_owned(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    }
}

/// What a column is like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    title: Cow<'static, str>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Left-aligned.
    Text,
    /// Left-aligned, and may be cut to fit a terminal.
    Long,
    /// Right-aligned.
    Number,
    /// Left out where no line has it.
    Optional,
}

impl Column {
    fn new(title: impl Into<Cow<'static, str>>, kind: Kind) -> Self {
        Self {
            title: title.into(),
            kind,
        }
    }
}

/// Lines with the same columns.
#[derive(Debug)]
struct Block {
    columns: Vec<Column>,
    lines: Vec<Vec<String>>,
}

/// Lines that wait until a table is printed, for the widths of its columns are known only then.
#[derive(Debug)]
pub(super) struct Table {
    options: TableOptions,
    blocks: Vec<Block>,
    lines: usize,
    bytes: usize,
    printed: bool,
}

/// A line of text, and whether it is a record.
pub(super) type Printed = (String, bool);

/// A table of more lines or bytes is printed in pieces.
const MAX_LINES: usize = 65_536;
const MAX_BYTES: usize = 16 << 20;
/// A longer value does not make its column wider for all other lines; its own line is out of step.
const WIDEST: usize = 100;
/// No value is cut below that.
const NARROWEST: usize = 16;
/// Between columns.
const GAP: &str = "  ";

impl Table {
    pub(super) const fn new(options: TableOptions) -> Self {
        Self {
            options,
            blocks: Vec::new(),
            lines: 0,
            bytes: 0,
            printed: false,
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.lines >= MAX_LINES || self.bytes >= MAX_BYTES
    }

    pub(super) fn add(&mut self, line: &TableLine<'_>) {
        let cells = match line {
            TableLine::Row(row) => row_cells(row, self.options),
            TableLine::Source(source) => source_cells(source, self.options),
        };
        let (columns, values): (Vec<Column>, Vec<String>) = cells.into_iter().unzip();
        self.lines = self.lines.saturating_add(1);
        self.bytes = values
            .iter()
            .map(String::len)
            .fold(self.bytes, usize::saturating_add);
        match self
            .blocks
            .iter_mut()
            .find(|block| block.columns == columns)
        {
            Some(block) => block.lines.push(values),
            None => self.blocks.push(Block {
                columns,
                lines: vec![values],
            }),
        }
    }

    /// The lines to print, and an empty table.
    pub(super) fn take(&mut self) -> Vec<Printed> {
        let mut printed = Vec::new();
        for block in self.blocks.drain(..) {
            if self.printed {
                printed.push((String::new(), false));
            }
            self.printed = true;
            block.print(self.options, &mut printed);
        }
        (self.lines, self.bytes) = (0, 0);
        printed
    }

    /// Something else was printed there: the next table stands apart from it.
    pub(super) const fn stand_apart(&mut self) {
        self.printed = true;
    }
}

/// The rows as one text, for whoever wants to see them in between.
#[must_use]
pub fn render(lines: &[TableLine<'_>], options: TableOptions) -> String {
    let mut table = Table::new(options);
    lines.iter().for_each(|line| table.add(line));
    table
        .take()
        .into_iter()
        .fold(String::new(), |text, (line, _)| text + &line + "\n")
}

fn row_cells(row: &TableRow<'_>, options: TableOptions) -> Vec<(Column, String)> {
    let [first, _, windowed] = options.titles();
    let varying = |text: &str, varies: bool| {
        if varies {
            format!("{text}+")
        } else {
            text.to_owned()
        }
    };
    let has_key = |name: &str| row.keys.iter().any(|(key, _)| *key == name);
    let mut cells = vec![(
        Column::new("RULE", Kind::Text),
        short_rule(&printable(row.rule)),
    )];
    let window = row
        .window
        .map(|(start, _)| options.time(start))
        .unwrap_or_default();
    cells.push((Column::new(windowed, Kind::Optional), window));
    for (name, value) in &row.keys {
        let title = match *name {
            "query" => Cow::Borrowed("NAME"),
            other => Cow::Owned(printable(other).to_uppercase()),
        };
        let value = match value.as_str() {
            "" => "-",
            "unknown" if *name == "answer" => "-",
            value => value,
        };
        cells.push((
            Column::new(title, Kind::Long),
            printable(value).into_owned(),
        ));
    }
    if !has_key("outcome") {
        cells.push((
            Column::new("OUTCOME", Kind::Text),
            varying(row.outcome.name(), row.outcome_varies),
        ));
    }
    if !has_key("dest") {
        cells.push((
            Column::new("VIA", Kind::Text),
            varying(&row.dest.to_string(), row.dest_varies),
        ));
    }
    cells.push((Column::new("N", Kind::Number), row.count.to_string()));
    cells.extend(row.measures.iter().map(|measure| {
        let kind = if measure.is_number {
            Kind::Number
        } else {
            Kind::Long
        };
        let text = match measure.text.as_str() {
            "" => "-",
            text => text,
        };
        (
            Column::new(printable(measure.name).to_uppercase(), kind),
            printable(text).into_owned(),
        )
    }));
    cells.extend([
        (Column::new(first, Kind::Text), options.time(row.first)),
        (Column::new("PACKET", Kind::Number), row.packet.to_string()),
        (
            Column::new("", Kind::Optional),
            String::from(if row.partial { "partial" } else { "" }),
        ),
    ]);
    cells
}

fn source_cells(source: &TableSource<'_>, options: TableOptions) -> Vec<(Column, String)> {
    let [first, last, _] = options.titles();
    let rules: Vec<String> = source
        .rules
        .iter()
        .map(|rule| short_rule(&printable(rule)))
        .collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let time =
        |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| options.time(time));
    let encrypted = match source.encrypted {
        0 => String::new(),
        count => format!("{count}: {}", printable(&first_and_more(&source.resolvers))),
    };
    vec![
        (Column::new("SRC", Kind::Text), source.src.to_string()),
        (
            Column::new("ROLE", Kind::Text),
            source.role.name().to_owned(),
        ),
        (Column::new("HITS", Kind::Number), source.hits.to_string()),
        (Column::new("RULES", Kind::Long), first_and_more(&rules)),
        (
            Column::new("NAMES", Kind::Long),
            printable(&first_and_more(&source.names)).into_owned(),
        ),
        (Column::new("ENCRYPTED DNS", Kind::Optional), encrypted),
        (Column::new(first, Kind::Text), time(source.first)),
        (Column::new(last, Kind::Text), time(source.last)),
    ]
}

/// The columns that a terminal needs for the text.
fn width(text: &str) -> usize {
    if is_plain(text) {
        text.len()
    } else {
        UnicodeWidthStr::width(text)
    }
}

impl Block {
    fn print(self, options: TableOptions, printed: &mut Vec<Printed>) {
        let Self { columns, lines } = self;
        let mut widths: Vec<usize> = columns.iter().map(|column| width(&column.title)).collect();
        let mut shown: Vec<bool> = columns
            .iter()
            .map(|column| column.kind != Kind::Optional)
            .collect();
        for line in &lines {
            for ((widest, shown), cell) in widths.iter_mut().zip(&mut shown).zip(line) {
                *widest = (*widest).max(width(cell).min(WIDEST));
                *shown |= !cell.is_empty();
            }
        }
        if let Some(room) = options.width {
            fit(&columns, &shown, &mut widths, room);
        }
        let layout = Layout {
            columns: &columns,
            shown: &shown,
            widths: &widths,
        };
        let (bold, marked) = if options.colour {
            (
                Style::new().bold(),
                Style::new().fg_color(Some(AnsiColor::Yellow.into())),
            )
        } else {
            (Style::new(), Style::new())
        };
        let titles = layout.line(columns.iter().map(|column| &*column.title));
        printed.push((format!("{bold}{titles}{bold:#}"), false));
        for line in lines {
            let text = if options.width.is_some() {
                let limits = columns.iter().zip(&widths);
                let cut: Vec<String> = line
                    .iter()
                    .zip(limits)
                    .map(|(cell, (column, limit))| cut(cell, column.kind, *limit))
                    .collect();
                layout.line(cut.iter().map(String::as_str))
            } else {
                layout.line(line.iter().map(String::as_str))
            };
            let style = if line.last().is_some_and(|mark| mark == "partial") {
                marked
            } else {
                Style::new()
            };
            let text = if style.is_plain() {
                text
            } else {
                format!("{style}{text}{style:#}")
            };
            printed.push((text, true));
        }
    }
}

/// Makes the widest of the columns that may be cut narrower until the table fits, or none can give any more.
fn fit(columns: &[Column], shown: &[bool], widths: &mut [usize], room: usize) {
    loop {
        let total: usize = shown
            .iter()
            .zip(&*widths)
            .filter(|(shown, _)| **shown)
            .map(|(_, width)| width + GAP.len())
            .sum();
        if total.saturating_sub(GAP.len()) <= room {
            return;
        }
        let widest = columns
            .iter()
            .zip(&mut *widths)
            .filter(|(column, width)| {
                column.kind == Kind::Long && **width > NARROWEST.max(column.title.len())
            })
            .map(|(_, width)| width)
            .max();
        match widest {
            Some(width) => *width = width.saturating_sub(1),
            None => return,
        }
    }
}

/// A value that fits its column: the middle gives way, for names say most at their ends.
fn cut(cell: &str, kind: Kind, limit: usize) -> String {
    let characters = cell.chars().count();
    if kind != Kind::Long || width(cell) <= limit || characters <= limit {
        return cell.to_owned();
    }
    let kept = limit.saturating_sub(1);
    let head = kept / 2;
    let tail = characters.saturating_sub(kept.saturating_sub(head));
    cell.chars()
        .take(head)
        .chain(['…'])
        .chain(cell.chars().skip(tail))
        .collect()
}

/// The columns as they stand.
struct Layout<'a> {
    columns: &'a [Column],
    shown: &'a [bool],
    widths: &'a [usize],
}

impl Layout<'_> {
    /// One line, without blanks at its end.
    fn line<'c>(&self, cells: impl Iterator<Item = &'c str>) -> String {
        let mut line = String::new();
        for (((cell, column), shown), limit) in
            cells.zip(self.columns).zip(self.shown).zip(self.widths)
        {
            if !shown {
                continue;
            }
            let blanks = std::iter::repeat_n(' ', limit.saturating_sub(width(cell)));
            if column.kind == Kind::Number {
                line.extend(blanks);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.extend(blanks);
            }
            line.push_str(GAP);
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn row<'a>(
        keys: &[(&'a str, &str)],
        outcome: Outcome,
        count: u64,
        first: &str,
        packet: u64,
    ) -> TableRow<'a> {
        TableRow {
            rule: "Ngrok Reverse Proxy on Network",
            keys: keys
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            outcome,
            outcome_varies: false,
            dest: [10, 9, 0, 53].into(),
            dest_varies: false,
            count,
            first: time(first),
            last: time("2026-01-02T12:00:00Z"),
            measures: Vec::new(),
            packet,
            partial: false,
            window: None,
        }
    }

    fn first_screen() -> [TableRow<'static>; 2] {
        [
            row(
                &[
                    ("src", "10.9.0.11"),
                    ("query", "abc.ngrok.io"),
                    ("answer", "3.134.39.220"),
                ],
                Outcome::Resolved,
                14,
                "2026-01-02T09:14:07.25Z",
                8812,
            ),
            row(
                &[
                    ("src", "10.9.0.12"),
                    ("query", "nosuch.ngrok.com"),
                    ("answer", "unknown"),
                ],
                Outcome::Nxdomain,
                1,
                "2026-01-02T11:02:55Z",
                20417,
            ),
        ]
    }

    fn rendered(rows: &[TableRow<'_>], options: TableOptions) -> String {
        render(
            &rows.iter().cloned().map(TableLine::Row).collect::<Vec<_>>(),
            options,
        )
    }

    #[test]
    fn the_first_screen() {
        assert_eq!(
            rendered(&first_screen(), TableOptions::default()),
            "\
RULE                          SRC        NAME              ANSWER        OUTCOME   VIA         N  FIRST (UTC)           PACKET
Ngrok Reverse Proxy on Netw.  10.9.0.11  abc.ngrok.io      3.134.39.220  resolved  10.9.0.53  14  2026-01-02T09:14:07Z    8812
Ngrok Reverse Proxy on Netw.  10.9.0.12  nosuch.ngrok.com  -             nxdomain  10.9.0.53   1  2026-01-02T11:02:55Z   20417
"
        );
    }

    #[test]
    fn what_a_row_has_to_say_beside_its_values() {
        let [mut one, mut two] = first_screen();
        one.outcome_varies = true;
        one.dest_varies = true;
        one.partial = true;
        two.window = Some((time("2026-01-02T11:00:00Z"), time("2026-01-02T12:00:00Z")));
        two.rule = "Exactly 28 characters, whole";
        assert_eq!(
            rendered(&[one, two], TableOptions::default()),
            "\
RULE                          WINDOW (UTC)          SRC        NAME              ANSWER        OUTCOME    VIA          N  FIRST (UTC)           PACKET
Ngrok Reverse Proxy on Netw.                        10.9.0.11  abc.ngrok.io      3.134.39.220  resolved+  10.9.0.53+  14  2026-01-02T09:14:07Z    8812  partial
Exactly 28 characters, whole  2026-01-02T11:00:00Z  10.9.0.12  nosuch.ngrok.com  -             nxdomain   10.9.0.53    1  2026-01-02T11:02:55Z   20417
"
        );
    }

    #[test]
    fn rules_with_other_fields_stand_apart() {
        let [one, two] = first_screen();
        let other = row(
            &[("src", "10.9.0.13"), ("outcome", "resolved"), ("dest", "")],
            Outcome::Resolved,
            2,
            "2026-01-02T09:00:00Z",
            7,
        );
        assert_eq!(
            rendered(&[one, other, two], TableOptions::default())
                .lines()
                .skip(3)
                .collect::<Vec<_>>(),
            [
                "",
                "RULE                          SRC        OUTCOME   DEST  N  FIRST (UTC)           PACKET",
                "Ngrok Reverse Proxy on Netw.  10.9.0.13  resolved  -     2  2026-01-02T09:00:00Z       7",
            ]
        );
    }

    #[test]
    fn what_a_rule_computes_stands_beside_the_number_of_lookups() {
        let [mut one, mut two] = first_screen();
        let measure = |name, text: &str, is_number| Measure {
            name,
            text: text.to_owned(),
            is_number,
        };
        one.measures = vec![
            measure("names", "~12044", true),
            measure("longest", "a.b.ngrok.io", false),
            measure("mean", "0.0015", true),
        ];
        two.measures = vec![
            measure("names", "7", true),
            measure("longest", "evil\u{1b}[2J", false),
            measure("mean", "", true),
        ];
        assert_eq!(
            rendered(&[one, two], TableOptions::default()),
            "\
RULE                          SRC        NAME              ANSWER        OUTCOME   VIA         N   NAMES  LONGEST          MEAN  FIRST (UTC)           PACKET
Ngrok Reverse Proxy on Netw.  10.9.0.11  abc.ngrok.io      3.134.39.220  resolved  10.9.0.53  14  ~12044  a.b.ngrok.io   0.0015  2026-01-02T09:14:07Z    8812
Ngrok Reverse Proxy on Netw.  10.9.0.12  nosuch.ngrok.com  -             nxdomain  10.9.0.53   1       7  evil\\u{1b}[2J       -  2026-01-02T11:02:55Z   20417
"
        );
    }

    #[test]
    fn no_cell_drives_a_terminal() {
        let mut evil = row(
            &[
                ("src", "a\u{1b}[2J"),
                ("query", "b\r\nfake"),
                ("we\u{7}ird", "\u{202e}oi.korgn"),
            ],
            Outcome::Resolved,
            1,
            "2026-01-02T09:00:00Z",
            1,
        );
        evil.rule = "\u{9b}31mred\n";
        let source = TableSource {
            src: [10, 0, 0, 1].into(),
            role: Role::Client,
            hits: 1,
            rules: vec!["\u{1b}]0;title\u{7}"],
            names: vec!["a\tb"],
            encrypted: 0,
            resolvers: Vec::new(),
            first: Some(time("2026-01-02")),
            last: Some(time("2026-01-02")),
        };
        let text = render(
            &[TableLine::Row(evil), TableLine::Source(source)],
            TableOptions::default(),
        );
        assert!(
            text.chars()
                .all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')),
            "{text:?}"
        );
        assert_eq!(text.lines().count(), 5);
        assert!(text.contains("a\\u{1b}[2J"), "{text}");
        assert!(text.contains("b\\r\\nfake"), "{text}");
    }

    #[test]
    fn long_values_are_cut_for_a_terminal_only() {
        let [mut one, two] = first_screen();
        let name = format!("{}.tail.ngrok.io", "x".repeat(140));
        one.keys[1].1 = name.clone();
        let piped = rendered(&[one.clone(), two.clone()], TableOptions::default());
        assert!(piped.contains(&name));
        // One long value does not push all other lines out of sight.
        assert!(piped.lines().nth(2).unwrap().len() < 220, "{piped}");
        for room in [150, 130, 127] {
            let shown = rendered(
                &[one.clone(), two.clone()],
                TableOptions {
                    width: Some(room),
                    ..TableOptions::default()
                },
            );
            assert!(
                shown.lines().all(|line| width(line) <= room),
                "{room}\n{shown}"
            );
            assert!(shown.contains('…') && shown.contains("ngrok.io"), "{shown}");
        }
        // Below the narrowest that is of use, the terminal has to wrap.
        assert!(
            rendered(
                &[one, two],
                TableOptions {
                    width: Some(20),
                    ..TableOptions::default()
                }
            )
            .contains('…')
        );
    }

    #[test]
    fn characters_of_two_columns_are_counted_as_two() {
        let [mut one, two] = first_screen();
        one.rule = "逆プロキシ";
        let text = rendered(&[one, two], TableOptions::default());
        let ends: Vec<usize> = text.lines().map(width).collect();
        assert_eq!(ends[0], ends[1]);
        assert_eq!(ends[0], ends[2]);
    }

    #[test]
    fn colour_only_when_asked() {
        let [mut one, two] = first_screen();
        one.partial = true;
        let rows = [one, two];
        assert!(!rendered(&rows, TableOptions::default()).contains('\u{1b}'));
        let coloured = rendered(
            &rows,
            TableOptions {
                colour: true,
                ..TableOptions::default()
            },
        );
        assert!(coloured.starts_with("\u{1b}[1mRULE"), "{coloured:?}");
        assert_eq!(coloured.matches("\u{1b}[33m").count(), 1, "{coloured:?}");
    }

    #[test]
    fn sources() {
        let source = TableSource {
            src: [10, 9, 0, 11].into(),
            role: Role::Resolver,
            hits: 15,
            rules: vec!["Ngrok Reverse Proxy on Network", "Tunnels"],
            names: vec!["abc.ngrok.io"],
            encrypted: 0,
            resolvers: Vec::new(),
            first: Some(time("2026-01-02T09:14:07Z")),
            last: Some(time("2026-01-02T11:02:55Z")),
        };
        assert_eq!(
            render(
                &[TableLine::Source(source.clone())],
                TableOptions::default()
            ),
            "\
SRC        ROLE      HITS  RULES                            NAMES         FIRST (UTC)           LAST (UTC)
10.9.0.11  resolver    15  Ngrok Reverse Proxy on Netw. +1  abc.ngrok.io  2026-01-02T09:14:07Z  2026-01-02T11:02:55Z
"
        );
        let hidden = TableSource {
            src: [10, 9, 0, 12].into(),
            role: Role::Client,
            hits: 0,
            rules: Vec::new(),
            names: Vec::new(),
            encrypted: 7,
            resolvers: vec!["10.0.0.53", "Cloudflare"],
            ..source.clone()
        };
        assert_eq!(
            render(
                &[TableLine::Source(source), TableLine::Source(hidden)],
                TableOptions::default()
            ),
            "\
SRC        ROLE      HITS  RULES                            NAMES         ENCRYPTED DNS    FIRST (UTC)           LAST (UTC)
10.9.0.11  resolver    15  Ngrok Reverse Proxy on Netw. +1  abc.ngrok.io                   2026-01-02T09:14:07Z  2026-01-02T11:02:55Z
10.9.0.12  client       0  -                                -             7: 10.0.0.53 +1  2026-01-02T09:14:07Z  2026-01-02T11:02:55Z
"
        );
    }

    #[test]
    fn local_times_have_no_zone() {
        let local = rendered(
            &first_screen(),
            TableOptions {
                local_time: true,
                ..TableOptions::default()
            },
        );
        assert!(local.contains("FIRST (LOCAL)"), "{local}");
        assert!(
            local.contains(&time("2026-01-02T09:14:07Z").to_local()),
            "{local}"
        );
        assert!(!local.contains("07Z"), "{local}");
    }
}
