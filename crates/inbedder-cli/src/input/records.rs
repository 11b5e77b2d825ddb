//! Rows of line-based formats: text, JSON lines, CSV and TSV.

use super::{Source, missing, output_name};
use crate::args::InputFormat;
use crate::error::{Error, Result};
use inbedder_rows::{Lines, decompress};
use serde_json::{Map, Value};
use std::io::BufRead;

/// One row.
pub(super) struct Record {
    pub(super) text: String,
    /// Everything beside the text, under the names of the output.
    pub(super) fields: Map<String, Value>,
}

pub(super) type Records<'a> = Box<dyn Iterator<Item = Result<Record>> + 'a>;

/// The rows of a source, of all its shards, up to its limit.
pub(super) fn read(source: &Source) -> Result<Records<'_>> {
    let reader = decompress(source.file()?, &source.name).map_err(|error| failed(&error))?;
    let records: Records<'_> = match source.format {
        InputFormat::Csv => csv(source, reader, b',')?,
        InputFormat::Tsv => csv(source, reader, b'\t')?,
        InputFormat::Jsonl => {
            let lines = lines(source, reader);
            Box::new(lines.map(|line| line.and_then(|(number, line)| json(source, number, &line))))
        }
        InputFormat::Txt | InputFormat::Parquet => {
            let lines = lines(source, reader);
            Box::new(lines.map(|line| {
                line.map(|(_, text)| Record {
                    text,
                    fields: Map::new(),
                })
            }))
        }
    };
    let records = records.filter(|record| match record {
        Err(error) => !source.rejected(error),
        Ok(_) => true,
    });
    Ok(Box::new(records.take(source.limit)))
}

/// Lines with their numbers; blank ones are passed over.
fn lines(
    source: &Source,
    reader: Box<dyn BufRead>,
) -> impl Iterator<Item = Result<(u64, String)>> + '_ {
    let lines = Lines::new(reader, &source.name);
    lines.map(|line| line.map_err(|error| failed(&error)))
}

/// Lines that can be passed over are rows, everything else is the file.
fn failed(error: &inbedder_rows::Error) -> Error {
    if error.problem.is_of_one_line() {
        Error::row(&error.path, error.line, error.problem.to_string())
    } else {
        Error::input(&error.path, error.line, &error.problem)
    }
}

fn json(source: &Source, number: u64, line: &str) -> Result<Record> {
    let failed = |problem: String| Error::row(&source.name, number, problem);
    let value: Value = serde_json::from_str(line)
        .map_err(|cause| failed(format!("broken JSON at column {}: {cause}", cause.column())))?;
    let Value::Object(fields) = value else {
        return Err(failed("is JSON, but no object with fields".to_string()));
    };
    let Some(text) = fields.get(&source.text_field) else {
        let present = fields.keys().map(String::as_str);
        return Err(failed(missing(source, present)));
    };
    let Value::String(text) = text else {
        return Err(failed(format!(
            "field {:?} is no string: {text}",
            source.text_field
        )));
    };
    let text = text.clone();
    let others = fields
        .into_iter()
        .filter(|(name, _)| *name != source.text_field);
    Ok(Record {
        text,
        fields: others
            .map(|(name, value)| (output_name(&name), value))
            .collect(),
    })
}

fn csv(source: &Source, reader: Box<dyn BufRead>, delimiter: u8) -> Result<Records<'_>> {
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(reader);
    let header = reader
        .headers()
        .map_err(|cause| csv_error(source, &cause, 1))?
        .clone();
    let names: Vec<String> = header
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').to_string())
        .collect();
    if let Some(twice) = names
        .iter()
        .enumerate()
        .find(|(i, name)| names[..*i].contains(name))
    {
        return Err(Error::input(
            &source.name,
            1,
            format!("two columns are called {:?}", twice.1),
        ));
    }
    let Some(text_column) = names.iter().position(|name| *name == source.text_field) else {
        let problem = missing(source, names.iter().map(String::as_str));
        return Err(Error::input(&source.name, 1, problem));
    };
    Ok(Box::new(reader.into_records().map(move |row| {
        let row = row.map_err(|cause| csv_error(source, &cause, 0))?;
        let text = row.get(text_column).unwrap_or_default().to_string();
        let others = names
            .iter()
            .zip(&row)
            .enumerate()
            .filter(|(i, _)| *i != text_column);
        let fields = others.map(|(_, (name, value))| (output_name(name), Value::from(value)));
        Ok(Record {
            text,
            fields: fields.collect(),
        })
    })))
}

fn csv_error(source: &Source, error: &::csv::Error, line: u64) -> Error {
    use ::csv::ErrorKind;
    let at = error.position().map_or(line, ::csv::Position::line);
    match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            let problem = format!("has {len} columns, the header has {expected_len}");
            Error::row(&source.name, at, problem)
        }
        ErrorKind::Utf8 { err, .. } => {
            let problem = format!("column {} is not UTF-8", err.field() + 1);
            Error::row(&source.name, at, problem)
        }
        ErrorKind::Io(cause) => {
            let problem = format!("cannot be read on: {cause}; the file is cut off or damaged");
            Error::input(&source.name, at, problem)
        }
        _ => Error::input(&source.name, at, error),
    }
}
