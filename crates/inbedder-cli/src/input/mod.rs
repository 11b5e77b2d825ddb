//! Texts and the columns beside them, from files of several formats.
//!
//! A file is read twice. The first pass checks every row, so that broken JSON in line 90,000 is found
//! before hours of work, counts the texts for the time left, and finds the columns' types. The second
//! streams windows of rows, so memory does not grow with the file. Standard input is spooled to a
//! temporary file for that.

mod columns;
mod parquet;
mod records;
mod rejects;
mod spool;

use crate::args::{InputArgs, InputFormat, Shard};
use crate::error::{Error, Result};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use columns::Inference;
pub(crate) use columns::JSON;
pub(crate) use rejects::Rejects;
use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};

/// An input that has been checked.
pub(crate) struct Input {
    source: Source,
    /// Texts.
    pub(crate) rows: usize,
    /// Columns beside the text.
    pub(crate) carried: SchemaRef,
}

/// Some rows of an input.
pub(crate) struct Window {
    pub(crate) texts: Vec<String>,
    /// The columns beside the text, a row per text.
    pub(crate) carried: RecordBatch,
}

/// Where rows come from.
pub(super) struct Source {
    /// As the user named it, for messages.
    pub(super) name: PathBuf,
    /// What is read: the same, or a spooled copy.
    pub(super) path: PathBuf,
    pub(super) format: InputFormat,
    pub(super) text_field: String,
    pub(super) limit: usize,
    /// Removed when dropped.
    _spool: Option<tempfile::NamedTempFile>,
    /// Takes the rows that cannot be read; without it the first of them is the end.
    rejects: Option<RefCell<Rejects>>,
    /// Only these of the texts.
    shard: Option<Shard>,
}

impl Input {
    /// Opens and checks an input. With `rejects`, rows that cannot be read are passed over; with
    /// `shard`, only its texts are there.
    ///
    /// # Errors
    /// A file that is missing, empty or damaged, or a row that cannot be read, by name and line.
    pub(crate) fn open(
        args: &InputArgs,
        rejects: Option<Rejects>,
        shard: Option<Shard>,
    ) -> Result<Self> {
        let source = Source::open(args, rejects, shard)?;
        let (rows, carried) = match source.format {
            InputFormat::Parquet => parquet::scan(&source)?,
            _ => {
                // Types are those of the whole input, so that shards have one schema.
                let (mut rows, mut inference) = (0, Inference::default());
                for (number, record) in records::read(&source)?.enumerate() {
                    inference.add(&record?.fields);
                    rows += usize::from(source.takes(number));
                }
                (rows, inference.schema())
            }
        };
        if let Some(rejects) = &source.rejects {
            rejects.borrow_mut().close();
        }
        if rows == 0 {
            return Err(Error::input(&source.name, 0, "there is no text in it"));
        }
        Ok(Self {
            source,
            rows,
            carried,
        })
    }

    /// Gives the file of rows that could not be read its name, if there are any.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn keep_rejects(&self) -> Result<()> {
        match &self.source.rejects {
            Some(rejects) => rejects.borrow_mut().keep(),
            None => Ok(()),
        }
    }

    /// The name that the text's column has in an output.
    pub(crate) fn text_field(&self) -> &str {
        &self.source.text_field
    }

    /// The rows again, `size` at a time.
    pub(crate) fn windows(
        &self,
        size: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Window>> + '_>> {
        if self.source.format == InputFormat::Parquet {
            return parquet::windows(&self.source, size);
        }
        let mut records = records::read(&self.source)?
            .enumerate()
            .filter(|(number, record)| record.is_err() || self.source.takes(*number))
            .map(|(_, record)| record);
        Ok(Box::new(std::iter::from_fn(move || {
            let window: Result<Vec<_>> = records.by_ref().take(size).collect();
            match window {
                Ok(records) if records.is_empty() => None,
                Ok(records) => Some(columns::window(&self.carried, records, &self.source.name)),
                Err(error) => Some(Err(error)),
            }
        })))
    }
}

impl Source {
    fn open(args: &InputArgs, rejects: Option<Rejects>, shard: Option<Shard>) -> Result<Self> {
        let name = args.input.clone();
        let (path, spool) = if name == Path::new("-") {
            let spool = spool::spool()?;
            (spool.path().to_path_buf(), Some(spool))
        } else {
            (name.clone(), None)
        };
        let metadata = std::fs::metadata(&path).map_err(|cause| Error::input(&name, 0, cause))?;
        if metadata.is_dir() {
            return Err(Error::input(
                &name,
                0,
                "is a folder, expected a file of texts",
            ));
        }
        if metadata.len() == 0 {
            return Err(Error::input(&name, 0, "is empty"));
        }
        let format = match args.input_format {
            Some(format) => format,
            None if spool.is_some() => spool::guess(&path, &name)?,
            None => by_extension(&name)?,
        };
        Ok(Self {
            name,
            path,
            format,
            text_field: args.text_field.clone(),
            limit: args.limit.unwrap_or(usize::MAX),
            _spool: spool,
            rejects: rejects.map(RefCell::new),
            shard,
        })
    }

    /// Whether a row is to be passed over; it is written down then.
    fn rejected(&self, error: &Error) -> bool {
        match (&self.rejects, error) {
            (Some(rejects), Error::Row { line, problem, .. }) => {
                rejects.borrow_mut().add(*line, problem);
                true
            }
            _ => false,
        }
    }

    /// Whether the text with this number, from 0, is wanted.
    fn takes(&self, text: usize) -> bool {
        self.shard.is_none_or(|shard| shard.takes(text))
    }

    fn file(&self) -> Result<File> {
        File::open(&self.path).map_err(|cause| Error::input(&self.name, 0, cause))
    }
}

fn by_extension(name: &Path) -> Result<InputFormat> {
    let lower = name
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let plain = lower
        .strip_suffix(".gz")
        .or(lower.strip_suffix(".zst"))
        .unwrap_or(&lower);
    match plain.rsplit_once('.').map(|(_, extension)| extension) {
        Some("txt") => Ok(InputFormat::Txt),
        Some("jsonl" | "ndjson") => Ok(InputFormat::Jsonl),
        Some("csv") => Ok(InputFormat::Csv),
        Some("tsv") => Ok(InputFormat::Tsv),
        Some("parquet") if plain == lower => Ok(InputFormat::Parquet),
        _ => Err(Error::input(
            name,
            0,
            "unknown extension: expected .txt, .jsonl, .csv or .tsv (each also .gz or .zst) or .parquet; \
             --input-format names the format of other files",
        )),
    }
}

/// A carried column's name in outputs: those that an output makes itself get a suffix.
pub(super) fn output_name(name: &str) -> String {
    match name {
        "instruction" | "answer" | "embedding" => format!("{name}_input"),
        _ => name.to_string(),
    }
}

/// What to say of a row without the text's column.
fn missing<'a>(source: &Source, present: impl Iterator<Item = &'a str>) -> String {
    let present = present.collect::<Vec<_>>().join(", ");
    let field = &source.text_field;
    format!("no field {field:?}; there are: {present}. Choose with --text-field")
}
