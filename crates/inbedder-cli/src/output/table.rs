//! Rows that are no embeddings: a row per text, the input's columns with new ones beside them, as
//! JSON lines, CSV or parquet.

use super::jsonl::Encoder;
use super::{Unfinished, carried, check_place, parquet};
use crate::error::{Error, Result};
use crate::input::Window;
use ::parquet::arrow::ArrowWriter;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A table's name, checked before anything is computed.
pub(crate) struct TableTarget {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Jsonl,
    Csv,
    Parquet,
}

impl TableTarget {
    /// # Errors
    /// An unknown extension, a folder that is not there, a file that is (unless `force`).
    pub(crate) fn check(path: &Path, force: bool) -> Result<Self> {
        let name = path.to_string_lossy().to_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|end| name.ends_with(end));
        let kind = if ends(&[".jsonl", ".jsonl.gz", ".jsonl.zst"]) {
            Kind::Jsonl
        } else if ends(&[".csv"]) {
            Kind::Csv
        } else if ends(&[".parquet"]) {
            Kind::Parquet
        } else {
            let problem = "unknown extension: expected .jsonl (also .gz or .zst), .csv or .parquet";
            return Err(Error::output(path, problem));
        };
        check_place(path, force)?;
        Ok(Self {
            path: path.to_path_buf(),
            kind,
        })
    }

    /// The file of the same name with another ending: `a/b.jsonl.gz` and `.clusters.json` make
    /// `a/b.clusters.json`.
    ///
    /// # Errors
    /// A file that is there (unless `force`).
    pub(crate) fn beside(&self, ending: &str, force: bool) -> Result<PathBuf> {
        let name = self.path.to_string_lossy();
        let endings = [".gz", ".zst", ".jsonl", ".csv", ".parquet"];
        let stem = endings.iter().fold(name.as_ref(), |name, end| {
            let at = name.len().saturating_sub(end.len());
            match name.get(at..) {
                Some(tail) if tail.eq_ignore_ascii_case(end) => &name[..at],
                _ => name,
            }
        });
        let path = PathBuf::from(format!("{stem}{ending}"));
        check_place(&path, force)?;
        Ok(path)
    }

    /// Begins the file. `carried` are the input's columns, `added` those to come.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn begin(
        &self,
        text_field: &str,
        carried: &SchemaRef,
        added: &[Field],
    ) -> Result<Table> {
        // A column of the input whose name is taken gets a suffix, as in the outputs of embed.
        let fields = carried.fields().iter().map(|field| {
            if added.iter().any(|own| own.name() == field.name()) {
                let name = format!("{}_input", field.name());
                field.as_ref().clone().with_name(name)
            } else {
                field.as_ref().clone()
            }
        });
        let others = Arc::new(Schema::new(
            fields.chain(added.iter().cloned()).collect::<Vec<_>>(),
        ));
        let file = Unfinished::new(&self.path)?;
        let sink = if self.kind == Kind::Parquet {
            let text = Field::new(text_field, DataType::Utf8, false);
            let columns = others.fields().iter().map(|field| field.as_ref().clone());
            let schema = Schema::new([text].into_iter().chain(columns).collect::<Vec<_>>());
            let schema = Arc::new(schema);
            Sink::Parquet(Box::new(parquet::begin(&file, &schema, [])?), schema)
        } else {
            let failed = |cause| Error::write(&self.path, cause);
            Sink::Text(Encoder::new(&file).map_err(failed)?)
        };
        let mut table = Table {
            file,
            sink,
            csv: self.kind == Kind::Csv,
            text_field: text_field.to_string(),
            others,
        };
        table.head()?;
        Ok(table)
    }
}

/// A table on its way.
pub(crate) struct Table {
    file: Unfinished,
    sink: Sink,
    csv: bool,
    text_field: String,
    /// Columns beside the text.
    others: SchemaRef,
}

enum Sink {
    Text(Encoder),
    Parquet(Box<ArrowWriter<File>>, SchemaRef),
}

impl Table {
    /// Writes rows: the window's columns and then `added`, which the table was begun with.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn write(&mut self, window: &Window, added: Vec<ArrayRef>) -> Result<()> {
        let refused = |cause: ArrowError| Error::output(&self.file.path, cause);
        let mut columns = window.carried.columns().to_vec();
        columns.extend(added);
        let options = RecordBatchOptions::new().with_row_count(Some(window.texts.len()));
        let others = Arc::clone(&self.others);
        let batch = RecordBatch::try_new_with_options(others, columns, &options);
        let window = Window {
            texts: window.texts.clone(),
            carried: batch.map_err(refused)?,
        };
        let lines = match &mut self.sink {
            Sink::Parquet(writer, schema) => {
                let texts: ArrayRef = Arc::new(StringArray::from_iter_values(&window.texts));
                let columns = [texts].into_iter().chain(window.carried.columns().to_vec());
                let batch = RecordBatch::try_new(Arc::clone(schema), columns.collect());
                let batch = batch.map_err(|cause| Error::output(&self.file.path, cause))?;
                return parquet::write(writer, &batch)
                    .map_err(|cause| Error::write(&self.file.path, std::io::Error::other(cause)));
            }
            Sink::Text(_) if self.csv => self.csv(&window)?,
            Sink::Text(_) => self.jsonl(&window)?,
        };
        self.push(&lines)
    }

    fn push(&mut self, lines: &[u8]) -> Result<()> {
        match &mut self.sink {
            Sink::Text(encoder) => encoder
                .write_all(lines)
                .map_err(|cause| Error::write(&self.file.path, cause)),
            Sink::Parquet(..) => Ok(()),
        }
    }

    /// The header of a CSV file.
    fn head(&mut self) -> Result<()> {
        if !self.csv {
            return Ok(());
        }
        let names = self
            .others
            .fields()
            .iter()
            .map(|field| field.name().as_str());
        let names: Vec<String> = [self.text_field.as_str()]
            .into_iter()
            .chain(names)
            .map(str::to_string)
            .collect();
        let lines = self.records([names])?;
        self.push(&lines)
    }

    fn csv(&self, window: &Window) -> Result<Vec<u8>> {
        let rows = carried(window).map_err(|cause| Error::output(&self.file.path, cause))?;
        let names = self.others.fields();
        let cell = |value: Option<&Value>| match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let records = window.texts.iter().zip(&rows).map(|(text, row)| {
            let cells = names.iter().map(|field| cell(row.get(field.name())));
            [text.clone()].into_iter().chain(cells).collect()
        });
        self.records(records)
    }

    fn records(&self, records: impl IntoIterator<Item = Vec<String>>) -> Result<Vec<u8>> {
        let failed =
            |cause: csv::Error| Error::write(&self.file.path, std::io::Error::other(cause));
        let mut writer = csv::Writer::from_writer(Vec::new());
        for record in records {
            writer.write_record(&record).map_err(failed)?;
        }
        let ended = writer.into_inner();
        ended.map_err(|cause| {
            Error::write(&self.file.path, std::io::Error::other(cause.to_string()))
        })
    }

    fn jsonl(&self, window: &Window) -> Result<Vec<u8>> {
        let rows = carried(window).map_err(|cause| Error::output(&self.file.path, cause))?;
        let mut lines = Vec::new();
        for (text, fields) in window.texts.iter().zip(rows) {
            let mut row = serde_json::Map::new();
            row.insert(self.text_field.clone(), Value::from(text.as_str()));
            row.extend(fields);
            lines.extend_from_slice(Value::Object(row).to_string().as_bytes());
            lines.push(b'\n');
        }
        Ok(lines)
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn finish(self) -> Result<()> {
        let failed = |cause| Error::write(&self.file.path, cause);
        match self.sink {
            Sink::Text(encoder) => encoder.end().map_err(failed)?,
            Sink::Parquet(writer, _) => {
                let closed = writer.close().map(drop);
                closed.map_err(|cause| failed(std::io::Error::other(cause)))?;
            }
        }
        self.file.persist()
    }
}
