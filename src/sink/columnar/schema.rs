//! The columns of a stream, and how Parquet has them. Their names are the stream's columns in CSV, their types follow from the
//! event's fields: there is no second list of these.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::Result;
use parquet::schema::types::{Type, TypePtr};

use super::super::{SinkError, Stream};
use crate::event::{self, Field, Kind};

/// What a column holds. Each may be without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// UTF-8.
    Text,
    /// A number of 64 bits.
    Whole,
    /// A number of double precision.
    Decimal,
    /// True or false.
    Flag,
    /// Microseconds since 1970, UTC.
    Time,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) shape: Shape,
}

/// How many values a column has for a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One or none.
    One(Holds),
    /// A list.
    Many(Holds),
    /// A list of records that have all of these.
    Records(&'static [(&'static str, Holds)]),
}

/// The records of `answers`.
const ANSWERS: &[(&str, Holds)] = &[
    ("name", Holds::Text),
    ("type", Holds::Text),
    ("ttl", Holds::Whole),
    ("data", Holds::Text),
];

/// The columns of a stream with these names.
///
/// # Errors
/// A usage error: what is in the stream's columns depends on the rules.
pub(super) fn columns(
    stream: Stream,
    names: &[String],
) -> std::result::Result<Vec<Column>, SinkError> {
    let has_fields = matches!(stream, Stream::Events | Stream::Hits);
    if !has_fields && stream != Stream::Sources {
        return Err(SinkError::Usage(format!(
            "--{stream} cannot be written as Parquet, whose columns have one type each: what {stream} hold depends on the rules; \
             use a name ending in .jsonl or .csv, which DuckDB, Spark and Trino read, too"
        )));
    }
    let shape = |name: &str| match Field::from_name(name) {
        Some(field) if has_fields => of_field(field),
        _ => of_name(stream, name),
    };
    let mut columns: Vec<Column> = names
        .iter()
        .map(|name| Column {
            name: name.clone(),
            shape: shape(name),
        })
        .collect();
    if has_fields {
        columns.push(Column {
            name: "answers".to_owned(),
            shape: Shape::Records(ANSWERS),
        });
    }
    Ok(columns)
}

/// A field of an event.
fn of_field(field: Field) -> Shape {
    let holds = match field {
        Field::Duration | Field::ResponseTime => Holds::Decimal,
        // `unknown` where there was no response.
        Field::ReplyCodeId => Holds::Text,
        Field::EdnsDo => Holds::Flag,
        _ => match field.value_type() {
            event::Type::Number => Holds::Whole,
            event::Type::Time => Holds::Time,
            event::Type::Text | event::Type::Address | event::Type::Any => Holds::Text,
        },
    };
    match field.kind() {
        Kind::One => Shape::One(holds),
        Kind::Many => Shape::Many(holds),
    }
}

/// What else hits and sources have.
fn of_name(stream: Stream, name: &str) -> Shape {
    match (stream, name) {
        (Stream::Hits, "rule") => Shape::One(Holds::Text),
        // A rule's lookup added it.
        (Stream::Hits, _) => Shape::Many(Holds::Text),
        (_, "rules" | "names" | "encrypted_dns_resolvers") => Shape::Many(Holds::Text),
        (
            _,
            "hits"
            | "encrypted_dns_connections"
            | "encrypted_dns_answered"
            | "encrypted_dns_lookups",
        ) => Shape::One(Holds::Whole),
        (_, name) if name.ends_with("Time") => Shape::One(Holds::Time),
        (_, name) if name.ends_with("_cut") || name == "partial" => Shape::One(Holds::Flag),
        _ => Shape::One(Holds::Text),
    }
}

/// The schema of these columns.
pub(super) fn of(stream: Stream, columns: &[Column]) -> Result<TypePtr> {
    let fields = columns.iter().map(|column| {
        let name = column.name.as_str();
        match &column.shape {
            Shape::One(holds) => leaf(name, *holds, Repetition::OPTIONAL),
            Shape::Many(holds) => list(name, leaf("element", *holds, Repetition::REQUIRED)?),
            Shape::Records(parts) => {
                let parts = parts
                    .iter()
                    .map(|(name, holds)| leaf(name, *holds, Repetition::REQUIRED));
                let record = Type::group_type_builder("element")
                    .with_repetition(Repetition::REQUIRED)
                    .with_fields(parts.collect::<Result<_>>()?)
                    .build()?;
                list(name, Arc::new(record))
            }
        }
    });
    let schema = Type::group_type_builder(stream.name())
        .with_fields(fields.collect::<Result<_>>()?)
        .build()?;
    Ok(Arc::new(schema))
}

fn leaf(name: &str, holds: Holds, repetition: Repetition) -> Result<TypePtr> {
    let (physical, logical) = match holds {
        Holds::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Holds::Whole => (Physical::INT64, None),
        Holds::Decimal => (Physical::DOUBLE, None),
        Holds::Flag => (Physical::BOOLEAN, None),
        Holds::Time => (
            Physical::INT64,
            Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
        ),
    };
    let leaf = Type::primitive_type_builder(name, physical)
        .with_logical_type(logical)
        .with_repetition(repetition)
        .build()?;
    Ok(Arc::new(leaf))
}

/// A list in three levels, as the format's LogicalTypes.md asks for.
fn list(name: &str, element: TypePtr) -> Result<TypePtr> {
    let items = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![element])
        .build()?;
    let list = Type::group_type_builder(name)
        .with_logical_type(Some(LogicalType::List))
        .with_repetition(Repetition::OPTIONAL)
        .with_fields(vec![Arc::new(items)])
        .build()?;
    Ok(Arc::new(list))
}
