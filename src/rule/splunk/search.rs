//! A search over the data model, command by command, into what a rule says: `where`, `by`, `aggregate`, `having`.

use std::path::Path;

use super::place::Places;
use super::reader::{Reader, Refusal, Taken};
use super::words::{Kind, Word, words};
use crate::event::Field;
use crate::rule::filter::macro_name;
use crate::rule::spelling::clip;
use crate::rule::yaml::{Node, Place};

/// What a search came to.
pub(super) struct Search {
    /// What an event must be, as `where` of a rule has it.
    pub(super) condition: Node,
    /// The fields that group, and where each stands.
    pub(super) by: Vec<(Field, Place)>,
    pub(super) columns: Vec<Column>,
    /// What the columns of a row must be.
    pub(super) having: Vec<Threshold>,
    /// The tables that say more of the rows, as `lookup` of a rule has them.
    pub(super) lookups: Vec<Node>,
    /// Other names that the search gave to fields and columns: the other name, and ours.
    aliases: Vec<(String, String)>,
}

/// A column of the rows.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// The function: `sum`.
    function: String,
    /// The field that it takes, `None` for `count`.
    field: Option<Field>,
    pub(super) place: Place,
}

/// What a column must be.
pub(super) struct Threshold {
    pub(super) column: String,
    pub(super) operator: String,
    pub(super) number: String,
    pub(super) place: Place,
}

/// What a name means after the head.
enum Meant {
    Field(Field),
    Column(usize),
}

impl Column {
    /// The function as rules write it.
    pub(super) fn function(&self) -> String {
        match self.field {
            None => self.function.clone(),
            Some(field) => format!("{}({})", self.function, field.name()),
        }
    }

    fn is(&self, function: &str, field: Option<Field>) -> bool {
        self.function == function && self.field == field
    }
}

impl Search {
    /// Our name for what a search or a message calls so: a field that groups, or a column.
    pub(super) fn name_of(&self, name: &str) -> Option<String> {
        match self.meant(name)? {
            Meant::Field(field) => Some(field.name().to_owned()),
            Meant::Column(column) => Some(self.columns.get(column)?.name.clone()),
        }
    }

    fn meant(&self, name: &str) -> Option<Meant> {
        let alias = self.aliases.iter().rev().find(|(alias, _)| alias == name);
        let name = alias.map_or(name, |(_, ours)| ours);
        let name = name.strip_prefix("DNS.").unwrap_or(name);
        if let Some((field, _)) = self.by.iter().find(|(field, _)| field.name() == name) {
            return Some(Meant::Field(*field));
        }
        let column = self.columns.iter().position(|column| column.name == name);
        column.map(Meant::Column)
    }
}

/// Commands that there will be an answer to, and what it is.
const NOT_YET: [(&str, &str); 2] = [
    (
        "inputlookup",
        "a search begins with lookups of hosts, and lookup says more of them",
    ),
    (
        "eventstats",
        "a row is compared with a number, not with other rows",
    ),
];

/// Reads a search.
///
/// # Errors
/// The words that were not understood, of each command.
pub(super) fn read(
    text: &str,
    filter: &str,
    folder: &Path,
    places: &Places,
    notes: &mut Vec<(Place, String)>,
) -> Result<Search, Vec<(Place, String)>> {
    let words = words(text).map_err(|at| {
        let message = "quotes or backquotes that nothing ends; expected their second";
        vec![(places.at(at), message.to_owned())]
    })?;
    let mut commands = commands(&words, text.len()).into_iter();
    let mut refused = Vec::new();
    let mut refuse = |refusal: Refusal| refused.push((places.at(refusal.at), refusal.message));
    let mut reader = Reader {
        words: &[],
        places,
        end: 0,
        notes,
    };
    let mut search = match commands.next() {
        Some((words, end)) => {
            (reader.words, reader.end) = (words, end);
            reader.head().map_err(&mut refuse).ok()
        }
        None => None,
    };
    for (words, end) in commands {
        (reader.words, reader.end) = (words, end);
        // After a command that was not understood only others of that kind are looked for.
        let result = match &mut search {
            Some(search) => reader.command(search, filter, folder),
            None => reader.known_command(),
        };
        if let Err(refusal) = result {
            refuse(refusal);
            search = None;
        }
    }
    match search {
        Some(search) if refused.is_empty() => Ok(search),
        _ => Err(refused),
    }
}

/// The commands between the bars, and where the last word of each stands; brackets hold searches of their own. The bar before the first is
/// left out.
fn commands(words: &[Word], end: usize) -> Vec<(&[Word], usize)> {
    let mut depth = 0usize;
    let bars = words.split(|word| {
        if word.is_sign("[") {
            depth = depth.saturating_add(1);
        } else if word.is_sign("]") {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && word.is_sign("|")
    });
    let mut commands: Vec<(&[Word], usize)> = bars
        .map(|words| (words, words.last().map_or(end, |word| word.at)))
        .collect();
    if commands.first().is_some_and(|(words, _)| words.is_empty()) && commands.len() > 1 {
        commands.remove(0);
    }
    commands
}

/// The options of `tstats` that say nothing of the result over packets.
const OPTIONS: [&str; 6] = [
    "summariesonly",
    "allow_old_summaries",
    "chunk_size",
    "local",
    "include_reduced_buckets",
    "prestats",
];

impl<'w> Reader<'w> {
    /// `tstats FUNCTIONS from datamodel=Network_Resolution where CONDITION by FIELDS`.
    fn head(&mut self) -> Taken<Search> {
        const WANTED: &str =
            "a search that begins with | tstats ... from datamodel=Network_Resolution";
        match self.next() {
            Some(word) if word.is_keyword("tstats") => {}
            Some(word) => return Err(Refusal::not_understood(word, WANTED)),
            None => return Err(self.ended(WANTED)),
        }
        let mut columns = Vec::new();
        loop {
            match self.peek() {
                Some(word) if word.is_keyword("from") => {
                    self.skip();
                    break;
                }
                Some(word) if word.kind == Kind::Macro => {
                    let known = ["security_content_summariesonly", "summariesonly"];
                    if !known.contains(&word.text.trim()) {
                        let wanted = "`security_content_summariesonly`";
                        return Err(Refusal::not_understood(word, wanted));
                    }
                    self.skip();
                }
                Some(word) if word.is_sign(",") => self.skip(),
                Some(_) if self.words.get(1).is_some_and(|word| word.text == "=") => {
                    self.option()?;
                }
                Some(_) => {
                    let column = self.function(&mut |reader, word| reader.model_field(word))?;
                    columns.push(column);
                }
                None => return Err(self.ended("from datamodel=Network_Resolution")),
            }
        }
        self.data_model()?;
        let place = self.place(self.at());
        let mut condition = None;
        if self.peek().is_some_and(|word| word.is_keyword("where")) {
            self.skip();
            condition = self.condition(&["by", "groupby"], 0)?;
        }
        // Every event has a `query`.
        let condition = condition.unwrap_or_else(|| {
            let exists = Node::mapping(place, [("exists", Node::plain(place, true))]);
            Node::mapping(place, [(Field::Query.name(), exists)])
        });
        const BY: &str = "by and the fields that group, such as: by DNS.src DNS.query";
        match self.next() {
            Some(word) if word.is_keyword("by") || word.is_keyword("groupby") => {}
            Some(word) => return Err(Refusal::not_understood(word, BY)),
            None => return Err(self.ended(BY)),
        }
        let mut by: Vec<(Field, Place)> = Vec::new();
        if let Some(word) = self.words.iter().find(|word| word.is_keyword("span")) {
            let wanted = "fields: the window of a run (--window) is its span";
            return Err(Refusal::not_understood(word, wanted));
        }
        for word in self.names("a field such as DNS.src")? {
            let field = self.model_field(word)?;
            if !by.iter().any(|(known, _)| *known == field) {
                by.push((field, self.place(word.at)));
            }
        }
        // Dropping the prefix puts the field over a column of its name, which in a group of that field says the same.
        columns.retain(|column| {
            let is_same = |(field, _): &(Field, Place)| {
                column.is("values", Some(*field)) && column.name == field.name()
            };
            !by.iter().any(is_same)
        });
        Ok(Search {
            condition,
            by,
            columns,
            having: Vec::new(),
            lookups: Vec::new(),
            aliases: Vec::new(),
        })
    }

    /// `NAME=VALUE` among the functions.
    fn option(&mut self) -> Taken<()> {
        let name = self.name("an option of tstats")?;
        self.skip();
        let value = self.name("a value")?;
        let is_false = ["f", "false", "0"].contains(&value.text.to_ascii_lowercase().as_str());
        if name.is_keyword("fillnull_value") {
            if value.text != "null" {
                let note = format!(
                    "a field that is absent groups under `null`, not '{}'",
                    clip(&value.text)
                );
                self.notes.push((self.place(value.at), note));
            }
        } else if !OPTIONS.iter().any(|option| name.is_keyword(option))
            || (name.is_keyword("prestats") && !is_false)
        {
            let wanted = "summariesonly, allow_old_summaries or fillnull_value";
            return Err(Refusal::not_understood(name, wanted));
        }
        Ok(())
    }

    /// `datamodel=Network_Resolution`, `datamodel=Network_Resolution.DNS`.
    fn data_model(&mut self) -> Taken<()> {
        const WANTED: &str = "datamodel=Network_Resolution: DNS is all that packets are read for";
        match self.next() {
            Some(word) if word.is_keyword("datamodel") => {}
            Some(word) => return Err(Refusal::not_understood(word, WANTED)),
            None => return Err(self.ended(WANTED)),
        }
        if self.peek().is_some_and(|word| word.text == "=") {
            self.skip();
        }
        let model = self.name(WANTED)?;
        match model.text.split_once('.').unwrap_or((&model.text, "DNS")) {
            (name, "DNS") if name.eq_ignore_ascii_case("Network_Resolution") => Ok(()),
            _ => Err(Refusal::not_understood(model, WANTED)),
        }
    }

    /// `count`, `FUNCTION(FIELD)`, each with `as NAME` or without.
    fn function(
        &mut self,
        field: &mut dyn FnMut(&mut Self, &'w Word) -> Taken<Field>,
    ) -> Taken<Column> {
        let word = self.name("a function such as count or values(DNS.answer)")?;
        let mut function = word.text.to_ascii_lowercase();
        let mut argument = None;
        if self.peek().is_some_and(|word| word.is_sign("(")) {
            self.skip();
            if !self.peek().is_some_and(|word| word.is_sign(")")) {
                let word = self.name("a field")?;
                argument = Some(field(self, word)?);
            }
            self.sign(")")?;
        } else if function != "count" && function != "c" {
            return Err(Refusal::not_understood(
                word,
                "a function such as count or values(DNS.answer)",
            ));
        }
        match (function.as_str(), argument) {
            ("c", None) => "count".clone_into(&mut function),
            ("distinct_count", Some(_)) => "dc".clone_into(&mut function),
            ("mean", Some(_)) => "avg".clone_into(&mut function),
            // The earliest of all times is the smallest.
            ("earliest", Some(Field::Time)) => "min".clone_into(&mut function),
            ("latest", Some(Field::Time)) => "max".clone_into(&mut function),
            ("count", Some(_)) | ("earliest" | "latest" | "first" | "last", _) => {
                return Err(Refusal::not_understood(
                    word,
                    "count alone, min(_time), max(_time), values(FIELD) or another function of docs/rules.md",
                ));
            }
            _ => {}
        }
        let name = if self.peek().is_some_and(|word| word.is_keyword("as")) {
            self.skip();
            let name = self.name("the name of a column")?;
            name.text
                .strip_prefix("DNS.")
                .unwrap_or(&name.text)
                .to_owned()
        } else if argument.is_none() {
            function.clone()
        } else {
            let message = format!(
                "'{}(...)' has no name that a column can have; expected `as` and a name",
                clip(&word.text)
            );
            return Err(Refusal {
                at: word.at,
                message,
            });
        };
        Ok(Column {
            name,
            function,
            field: argument,
            place: self.place(word.at),
        })
    }

    /// A command after the head.
    fn command(&mut self, search: &mut Search, filter: &str, folder: &Path) -> Taken<()> {
        let Some(word) = self.peek() else {
            return Err(self.ended("a command after the bar"));
        };
        self.known_command()?;
        if word.kind == Kind::Macro {
            self.filter(word, filter);
            return Ok(());
        }
        match word.text.to_ascii_lowercase().as_str() {
            "where" => self.thresholds(search, false),
            "search" => self.thresholds(search, true),
            "stats" => self.stats(search),
            "lookup" => self.lookup(search, folder),
            "rename" => self.rename(search),
            "sort" => self.sort(),
            // They choose what is shown.
            _ => Ok(()),
        }
    }

    /// Takes the first word of a command that is known at all.
    fn known_command(&mut self) -> Taken<()> {
        const KNOWN: [&str; 9] = [
            "where", "search", "lookup", "stats", "rename", "sort", "table", "fields", "convert",
        ];
        const WANTED: &str = "where, search, lookup, stats, rename, sort, table, fields, convert or the macros of security_content";
        let Some(word) = self.next() else {
            return Ok(());
        };
        let is_known = match word.kind {
            Kind::Macro => is_known_macro(&word.text) && self.words.is_empty(),
            Kind::Bare => KNOWN.iter().any(|known| word.is_keyword(known)),
            _ => false,
        };
        if is_known {
            return Ok(());
        }
        let reason = NOT_YET.iter().find(|(command, _)| word.is_keyword(command));
        let wanted = reason.map_or(WANTED.to_owned(), |(_, why)| format!("{WANTED}: {why}"));
        let (mut text, mut end) = (word.text.clone(), word.end);
        for word in self.words.iter().take(6) {
            if word.at > end {
                text.push(' ');
            }
            text.push_str(&word.text);
            end = word.end;
        }
        Err(Refusal {
            at: word.at,
            message: format!("'{}' was not understood; expected {wanted}", clip(&text)),
        })
    }

    /// The macro of the user's own exceptions goes by the rule's name.
    fn filter(&mut self, word: &Word, filter: &str) {
        let name = word.text.trim();
        let is_ours = |name: &str| macro_name(name) == filter;
        if name
            .strip_suffix("_filter")
            .is_some_and(|name| !is_ours(name))
        {
            let note = format!(
                "the filter is called `{}` here, after the rule's name, not '{}'",
                clip(filter),
                clip(name)
            );
            self.notes.push((self.place(word.at), note));
        }
    }

    /// `where COLUMN > NUMBER`, `search COLUMN > NUMBER`, and for `search` also fields that an event has exactly one of:
    /// a row has what its events have, so they can be asked first.
    fn thresholds(&mut self, search: &mut Search, is_search: bool) -> Taken<()> {
        loop {
            let name = self.name("a column and a number, such as count > 50")?;
            let operator = match self.next() {
                Some(word) if word.kind == Kind::Operator && word.text != "!" => word,
                Some(word) => {
                    let wanted = "a column compared with a number, such as count > 50, and AND";
                    return Err(Refusal::not_understood(word, wanted));
                }
                None => return Err(self.ended("an operator and a number")),
            };
            let value = self.name("a number")?;
            match search.meant(&name.text) {
                Some(Meant::Column(column)) => {
                    let is_number = crate::event::billionths(&value.text).is_some();
                    if !is_number || value.kind != Kind::Bare {
                        return Err(Refusal::not_understood(value, "a number"));
                    }
                    let column = search.columns.get(column).map(|column| &column.name);
                    search.having.push(Threshold {
                        column: column.cloned().unwrap_or_default(),
                        operator: operator.text.clone(),
                        number: value.text.clone(),
                        place: self.place(name.at),
                    });
                }
                Some(Meant::Field(field))
                    if is_search && (is_always_one(field) || is_looked_up(field)) =>
                {
                    let place = self.place(name.at);
                    let values = [(value.text.clone(), value.at)];
                    let asked = self.compare(field, place, &operator.text, &values)?;
                    let both = vec![search.condition.clone(), asked];
                    search.condition = Node::mapping(place, [("and", Node::list(place, both))]);
                }
                _ => {
                    return Err(Refusal::not_understood(
                        name,
                        "a column of the head; conditions on fields stand in its where",
                    ));
                }
            }
            match self.peek() {
                None => return Ok(()),
                Some(word) if word.is_keyword("AND") => self.skip(),
                Some(_) if is_search => {}
                Some(word) => return Err(Refusal::not_understood(word, "AND or the end")),
            }
        }
    }

    /// `stats FUNCTIONS by FIELDS` over the rows of the head, where one pass over the events gives the same: the fields that
    /// are left out have exactly one value in every event, so that each event is in exactly one of the rows put together.
    fn stats(&mut self, search: &mut Search) -> Taken<()> {
        let mut wanted: Vec<(&Word, &Word, String)> = Vec::new();
        let at = self.at();
        loop {
            match self.peek() {
                Some(word) if word.is_keyword("by") => {
                    self.skip();
                    break;
                }
                Some(word) if word.is_sign(",") => self.skip(),
                Some(word)
                    if word.is_keyword("count")
                        && !self.words.get(1).is_some_and(|word| word.is_sign("(")) =>
                {
                    return Err(Refusal::not_understood(
                        word,
                        "sum(count): count after the head counts its rows, not lookups",
                    ));
                }
                Some(_) => {
                    let function = self.name("a function such as sum(count)")?;
                    self.sign("(")?;
                    let argument = self.name("a column")?;
                    self.sign(")")?;
                    let mut name = argument.text.clone();
                    if self.peek().is_some_and(|word| word.is_keyword("as")) {
                        self.skip();
                        name = self.name("the name of a column")?.text.clone();
                    }
                    wanted.push((function, argument, name));
                }
                None => return Err(self.ended("by and the fields that group")),
            }
        }
        if let Some(threshold) = search.having.first() {
            let message = format!(
                "stats after a condition on `{}` puts together only some of the rows; expected it before",
                clip(&threshold.column)
            );
            return Err(Refusal { at, message });
        }
        let mut by = Vec::new();
        for word in self.names("a field that the head groups by")? {
            match search.meant(&word.text) {
                Some(Meant::Field(field)) => by.push((field, self.place(word.at))),
                _ => {
                    return Err(Refusal::not_understood(
                        word,
                        "a field that the head groups by",
                    ));
                }
            }
        }
        let is_kept = |field: &Field| by.iter().any(|(kept, _)| kept == field);
        if let Some((field, _)) = search
            .by
            .iter()
            .find(|(field, _)| !is_kept(field) && !is_always_one(*field) && !is_looked_up(*field))
        {
            let message = format!(
                "stats puts together rows of different `{}`, of which a lookup may have several or none, and would count it for each; expected it among by",
                field.name()
            );
            return Err(Refusal { at, message });
        }
        let mut columns: Vec<Column> = Vec::new();
        for (function, argument, name) in wanted {
            let lower = function.text.to_ascii_lowercase();
            let merged = match search.meant(&argument.text) {
                Some(Meant::Column(place)) => search.columns.get(place).and_then(|column| {
                    let of = column.function.as_str();
                    let is_merged = matches!(
                        (lower.as_str(), of),
                        ("sum", "count" | "sum")
                            | ("min", "min")
                            | ("max", "max")
                            | ("values", "values")
                    );
                    is_merged.then(|| (column.function.clone(), column.field))
                }),
                Some(Meant::Field(field)) if is_always_one(field) => {
                    let is_merged = ["values", "dc"].contains(&lower.as_str());
                    is_merged.then_some((lower, Some(field)))
                }
                _ => None,
            };
            let Some((of, field)) = merged else {
                return Err(Refusal::not_understood(
                    function,
                    "sum of a count, min of a min, max of a max, values of values, or values and dc of a field that the head groups by",
                ));
            };
            columns.push(Column {
                name,
                function: of,
                field,
                place: self.place(function.at),
            });
        }
        search.by = by;
        search.columns = columns;
        Ok(())
    }

    /// `rename A as B, ...`: a column takes the name, a field keeps its own.
    fn rename(&mut self, search: &mut Search) -> Taken<()> {
        while let Some(word) = self.peek() {
            if word.is_sign(",") {
                self.skip();
                continue;
            }
            let from = self.name("a name")?;
            match self.next() {
                Some(word) if word.is_keyword("as") => {}
                Some(word) => return Err(Refusal::not_understood(word, "as")),
                None => return Err(self.ended("as and another name")),
            }
            let to = self.name("another name")?;
            if from.text.contains('*') {
                if from.text != "DNS.*" || to.text != "*" {
                    return Err(Refusal::not_understood(from, "DNS.* as *"));
                }
                continue;
            }
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            match search.meant(&from.text) {
                Some(Meant::Column(place)) if to.text.bytes().all(is_word) => {
                    if let Some(column) = search.columns.get_mut(place) {
                        let before = std::mem::replace(&mut column.name, to.text.clone());
                        for threshold in &mut search.having {
                            if threshold.column == before {
                                threshold.column.clone_from(&to.text);
                            }
                        }
                    }
                }
                Some(Meant::Column(_) | Meant::Field(_)) => {
                    let ours = search.name_of(&from.text).unwrap_or_default();
                    search.aliases.push((to.text.clone(), ours));
                }
                None => {
                    return Err(Refusal::not_understood(
                        from,
                        "a field or a column of the head",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Rows have an order of their own; to keep only the first is another matter.
    fn sort(&mut self) -> Taken<()> {
        match self.peek() {
            Some(word) if word.text == "0" => Ok(()),
            Some(word)
                if word.is_keyword("limit")
                    || word.text.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Err(Refusal::not_understood(
                    word,
                    "sort without a limit: every row is kept",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// The macros of Splunk's detections that stand alone between bars.
fn is_known_macro(text: &str) -> bool {
    let (name, argument) = match text.trim().split_once('(') {
        Some((name, rest)) => (name.trim(), rest.trim_end().strip_suffix(')')),
        None => (text.trim(), None),
    };
    let argument = argument.map(|argument| argument.trim().trim_matches('"'));
    match (name, argument) {
        // Some published searches drop the model's name, which no field has.
        ("drop_dm_object_name", Some("DNS" | "Network_Resolution"))
        | ("security_content_ctime", Some(_)) => true,
        (name, None) => name.ends_with("_filter"),
        _ => false,
    }
}

/// Whether a lookup of the search gives a field: of that an event has one value at most, and groups without one under `null`.
const fn is_looked_up(field: Field) -> bool {
    matches!(field, Field::Added(_))
}

/// Whether every event has exactly one value of a field.
pub(super) const fn is_always_one(field: Field) -> bool {
    matches!(
        field,
        Field::Time
            | Field::Host
            | Field::Source
            | Field::Sourcetype
            | Field::Name
            | Field::MessageType
            | Field::Src
            | Field::SrcIp
            | Field::SrcPort
            | Field::Dest
            | Field::DestIp
            | Field::DestPort
            | Field::Transport
            | Field::TransactionId
            | Field::Query
            | Field::QueryCount
            | Field::QueryType
            | Field::RecordType
            | Field::ReplyCode
            | Field::ReplyCodeId
            | Field::AnswerCount
            | Field::AuthorityAnswerCount
            | Field::AdditionalAnswerCount
            | Field::VendorProduct
    )
}
