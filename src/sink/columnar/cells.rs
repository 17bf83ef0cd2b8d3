//! The values of a column that wait for their row group.

use std::io;
use std::slice;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::writer::SerializedColumnWriter;
use serde_json::Value;

use super::schema::{Column, Holds, Shape};
use crate::time::Timestamp;

/// The values of one column of numbers, texts or the like, with the levels that say where there is none.
#[derive(Debug)]
pub(super) struct Cells {
    /// The key of a part of a record.
    key: Option<&'static str>,
    /// Definition levels: 0 for null; 1 for a value, or for an empty list; 2 for a value of a list.
    definition: Vec<i16>,
    /// Repetition levels, of lists: 1 for what belongs to the list of the value before.
    repetition: Option<Vec<i16>>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Text { bytes: Vec<u8>, ends: Vec<usize> },
    Whole(Vec<i64>),
    Time(Vec<i64>),
    Decimal(Vec<f64>),
    Flag(Vec<bool>),
}

impl Values {
    const fn new(holds: Holds) -> Self {
        match holds {
            Holds::Text => Self::Text {
                bytes: Vec::new(),
                ends: Vec::new(),
            },
            Holds::Whole => Self::Whole(Vec::new()),
            Holds::Time => Self::Time(Vec::new()),
            Holds::Decimal => Self::Decimal(Vec::new()),
            Holds::Flag => Self::Flag(Vec::new()),
        }
    }

    /// Takes a value and says how many bytes it has; nothing where it is of another type.
    fn put(&mut self, value: &Value) -> Option<usize> {
        match self {
            Self::Text { bytes, ends } => {
                let text = value.as_str()?;
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
                return Some(text.len() + size_of::<usize>());
            }
            Self::Whole(list) => list.push(
                value
                    .as_i64()
                    .or_else(|| value.is_u64().then_some(i64::MAX))?,
            ),
            Self::Time(list) => {
                let time = Timestamp::parse(value.as_str()?).ok()?;
                list.push(time.as_nanos().div_euclid(1_000));
            }
            Self::Decimal(list) => list.push(value.as_f64()?),
            Self::Flag(list) => list.push(value.as_bool()?),
        }
        Some(size_of::<i64>())
    }
}

/// No values for a column yet.
pub(super) fn of(column: &Column) -> Vec<Cells> {
    let cells = |key, holds, is_list: bool| Cells {
        key,
        definition: Vec::new(),
        repetition: is_list.then(Vec::new),
        values: Values::new(holds),
    };
    match &column.shape {
        Shape::One(holds) => vec![cells(None, *holds, false)],
        Shape::Many(holds) => vec![cells(None, *holds, true)],
        Shape::Records(parts) => parts
            .iter()
            .map(|(key, holds)| cells(Some(key), *holds, true))
            .collect(),
    }
}

impl Cells {
    /// Takes what a record has, and says how many bytes that needs; nothing where something is of another type.
    pub(super) fn put(&mut self, value: Option<&Value>) -> Option<usize> {
        let value = value.filter(|it| !it.is_null());
        let Some(repetition) = &mut self.repetition else {
            self.definition.push(i16::from(value.is_some()));
            return Some(2 + value.map_or(Some(0), |it| self.values.put(it))?);
        };
        let items = match value {
            None => None,
            Some(Value::Array(items)) => Some(items.as_slice()),
            Some(one) => Some(slice::from_ref(one)),
        };
        let Some([first, rest @ ..]) = items else {
            self.definition.push(i16::from(items.is_some()));
            repetition.push(0);
            return Some(4);
        };
        let mut bytes = 0;
        for (item, level) in std::iter::once((first, 0)).chain(rest.iter().map(|it| (it, 1))) {
            self.definition.push(2);
            repetition.push(level);
            let value = match self.key {
                Some(key) => item.get(key)?,
                None => item,
            };
            bytes += 4 + self.values.put(value)?;
        }
        Some(bytes)
    }

    /// Writes all of it as the next column of a row group, and has none then.
    pub(super) fn write(&mut self, mut to: SerializedColumnWriter<'_>) -> Result<()> {
        let definition = Some(self.definition.as_slice());
        let repetition = self.repetition.as_deref();
        match &mut self.values {
            Values::Text { bytes, ends } => {
                let all = ByteArray::from(std::mem::take(bytes));
                let mut begin = 0;
                let texts: Vec<ByteArray> = ends
                    .drain(..)
                    .map(|end| {
                        let text = all.slice(begin, end - begin);
                        begin = end;
                        text
                    })
                    .collect();
                to.typed::<ByteArrayType>()
                    .write_batch(&texts, definition, repetition)?;
            }
            Values::Whole(list) | Values::Time(list) => {
                to.typed::<Int64Type>()
                    .write_batch(list, definition, repetition)?;
                list.clear();
            }
            Values::Decimal(list) => {
                to.typed::<DoubleType>()
                    .write_batch(list, definition, repetition)?;
                list.clear();
            }
            Values::Flag(list) => {
                to.typed::<BoolType>()
                    .write_batch(list, definition, repetition)?;
                list.clear();
            }
        }
        self.definition.clear();
        if let Some(repetition) = &mut self.repetition {
            repetition.clear();
        }
        to.close()
    }
}

/// That of a library as an error of writing.
pub(super) fn io_error(error: parquet::errors::ParquetError) -> io::Error {
    match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}
