//! A search read word by word, each refusal with the words that were not understood.

use super::place::Places;
use super::words::{Kind, Word};
use crate::event::Field;
use crate::rule::spelling::{alternatives, clip, nearest};
use crate::rule::yaml::Place;

/// Why a part of a search cannot be taken.
pub(super) struct Refusal {
    /// The byte of the search at which it stands.
    pub(super) at: usize,
    /// What is wrong, and what was expected.
    pub(super) message: String,
}

/// What could be taken.
pub(super) type Taken<T> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn not_understood(word: &Word, wanted: &str) -> Self {
        Self {
            at: word.at,
            message: format!(
                "'{}' was not understood; expected {wanted}",
                clip(&word.text)
            ),
        }
    }
}

/// Reads the words of one command.
pub(super) struct Reader<'w> {
    pub(super) words: &'w [Word],
    pub(super) places: &'w Places,
    /// Where the last word of the command stands.
    pub(super) end: usize,
    /// What is taken, and should be known.
    pub(super) notes: &'w mut Vec<(Place, String)>,
}

impl<'w> Reader<'w> {
    pub(super) fn peek(&self) -> Option<&'w Word> {
        self.words.first()
    }

    pub(super) fn next(&mut self) -> Option<&'w Word> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    pub(super) fn skip(&mut self) {
        self.next();
    }

    /// Where the next word stands.
    pub(super) fn at(&self) -> usize {
        self.peek().map_or(self.end, |word| word.at)
    }

    pub(super) fn place(&self, at: usize) -> Place {
        self.places.at(at)
    }

    /// The command ended too early.
    pub(super) fn ended(&self, wanted: &str) -> Refusal {
        Refusal {
            at: self.end,
            message: format!("the command ends too early; expected {wanted}"),
        }
    }

    /// Takes that sign.
    pub(super) fn sign(&mut self, sign: &str) -> Taken<()> {
        match self.next() {
            Some(word) if word.is_sign(sign) => Ok(()),
            Some(word) => Err(Refusal::not_understood(word, &format!("'{sign}'"))),
            None => Err(self.ended(&format!("'{sign}'"))),
        }
    }

    /// Takes a name.
    pub(super) fn name(&mut self, wanted: &str) -> Taken<&'w Word> {
        match self.next() {
            Some(word) if matches!(word.kind, Kind::Bare | Kind::Quoted) => Ok(word),
            Some(word) => Err(Refusal::not_understood(word, wanted)),
            None => Err(self.ended(wanted)),
        }
    }

    /// Names to the end of the command or to a word that ends them, with commas between them or without.
    pub(super) fn names(&mut self, wanted: &str) -> Taken<Vec<&'w Word>> {
        let mut names = vec![self.name(wanted)?];
        while let Some(word) = self.peek() {
            if word.is_sign(",") {
                self.skip();
            }
            names.push(self.name(wanted)?);
        }
        Ok(names)
    }

    /// The field of the data model, or of every event, that a search names before its prefix is dropped.
    pub(super) fn model_field(&mut self, word: &Word) -> Taken<Field> {
        let (name, is_bare) = match word.text.strip_prefix("DNS.") {
            Some(name) => (name, false),
            None => (word.text.as_str(), true),
        };
        match Field::from_name(name) {
            Some(field @ (Field::Time | Field::Host | Field::Source | Field::Sourcetype)) => {
                if field == Field::Host {
                    let note = "`host` is the sensor here, and in Splunk who wrote the log; who asked is `src`";
                    self.notes.push((self.place(word.at), note.to_owned()));
                }
                Ok(field)
            }
            Some(field) if !is_bare => Ok(field),
            Some(_) => Err(Refusal::not_understood(word, &format!("`DNS.{name}`"))),
            None => {
                let fields = Field::ALL.iter().map(|field| field.name());
                let near = nearest(name, fields);
                let wanted = match near.as_slice() {
                    [] => "a field of the data model Network_Resolution that packets show (docs/rules.md lists them)".to_owned(),
                    near => alternatives(near),
                };
                Err(Refusal {
                    at: word.at,
                    message: format!(
                        "`{}` is no field of an event here; expected {wanted}",
                        clip(&word.text)
                    ),
                })
            }
        }
    }
}
