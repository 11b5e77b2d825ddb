//! Parquet: a row per text and question, columns of the input with their types, vectors as
//! fixed-size lists of f32, the metadata as key-value pairs of the file.

use super::{OTHER_ROWS, Pairs, Plan, Unfinished, Writer, questions};
use crate::error::{Error, Result};
use crate::input::Window;
use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of memory that a row group may take before it is written.
const ROW_GROUP: usize = 4 << 20;

/// The column of a vector's numbers.
const NUMBERS: &str = "embedding.list.element";

pub(super) struct ParquetWriter {
    target: Unfinished,
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    instructions: Vec<String>,
}

impl ParquetWriter {
    pub(super) fn new(target: Unfinished, plan: &Plan<'_>) -> Result<Self> {
        let schema = schema(plan);
        let writer = begin(&target, &schema, plan.metadata.pairs())?;
        Ok(Self {
            target,
            writer,
            schema,
            instructions: plan.metadata.instructions.clone(),
        })
    }

    fn batch(&self, window: &Window, output: &inbedder::Output) -> Result<RecordBatch, ArrowError> {
        let questions = self.instructions.len();
        let rows = window.texts.len() * questions;
        let source = UInt64Array::from_iter_values((0..rows).map(|row| (row / questions) as u64));
        let mut columns: Vec<ArrayRef> = Vec::new();
        let texts = window
            .texts
            .iter()
            .flat_map(|text| std::iter::repeat_n(text, questions));
        columns.push(Arc::new(StringArray::from_iter_values(texts)));
        for column in window.carried.columns() {
            columns.push(arrow_select::take::take(column, &source, None)?);
        }
        let instructions = self.instructions.iter().cycle().take(rows);
        columns.push(Arc::new(StringArray::from_iter_values(instructions)));
        if !output.answers.is_empty() {
            columns.push(Arc::new(StringArray::from_iter_values(&output.answers)));
        }
        if output.dim > 0 {
            let values = Arc::new(Float32Array::from(output.embeddings.clone()));
            let list = FixedSizeListArray::try_new(element(), output.dim as i32, values, None)?;
            columns.push(Arc::new(list));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

/// Begins a file with this metadata.
pub(super) fn begin(
    target: &Unfinished,
    schema: &SchemaRef,
    metadata: impl IntoIterator<Item = (String, String)>,
) -> Result<ArrowWriter<File>> {
    let pairs = metadata
        .into_iter()
        .map(|(name, value)| KeyValue::new(name, value));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(pairs.collect()))
        // Vectors do not repeat, and nobody looks for one by its least number: a dictionary and
        // statistics of them only cost.
        .set_column_dictionary_enabled(NUMBERS.into(), false)
        .set_column_statistics_enabled(NUMBERS.into(), EnabledStatistics::None)
        .build();
    let file = target.file.as_file().try_clone();
    let file = file.map_err(|cause| Error::write(&target.path, cause))?;
    ArrowWriter::try_new(file, Arc::clone(schema), Some(properties))
        .map_err(|cause| Error::output(&target.path, cause))
}

/// Adds rows, a row group at a time.
pub(super) fn write(
    writer: &mut ArrowWriter<File>,
    batch: &RecordBatch,
) -> Result<(), ParquetError> {
    writer.write(batch)?;
    if writer.memory_size() > ROW_GROUP {
        writer.flush()?;
    }
    Ok(())
}

/// Opens an output.
pub(crate) fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|cause| Error::input(path, 0, cause))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|cause| Error::input(path, 0, cause))
}

/// The metadata of an output.
pub(crate) fn metadata(path: &Path) -> Result<Pairs> {
    let builder = open(path)?;
    let pairs = builder.metadata().file_metadata().key_value_metadata();
    let pairs = pairs.into_iter().flatten();
    Ok(pairs
        .filter(|pair| pair.key != ARROW_SCHEMA_META_KEY)
        .map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default()))
        .collect())
}

/// Texts of each part that are joined at a time.
const STEP: usize = 256;

/// Joins outputs whose texts were dealt out in turn.
pub(crate) fn merge(parts: &[PathBuf], first: &Pairs, target: Unfinished) -> Result<()> {
    let questions = questions(first);
    let (mut readers, mut schema, mut rows) = (Vec::new(), None, Vec::new());
    for part in parts {
        let builder = open(part)?;
        // Without the file's metadata, which is another in every part.
        let own = Arc::new(Schema::new(builder.schema().fields().clone()));
        let known = schema.get_or_insert_with(|| Arc::clone(&own));
        if own.fields() != known.fields() {
            return Err(Error::input(
                part,
                0,
                "has other columns than the part before it",
            ));
        }
        rows.push(builder.metadata().file_metadata().num_rows());
        let reader = builder.with_batch_size(STEP * questions).build();
        readers.push(reader.map_err(|cause| Error::input(part, 0, cause))?);
    }
    for (part, own) in parts.iter().zip(&rows).skip(1) {
        let fewer = rows[0] - own;
        if fewer != 0 && fewer != questions as i64 || !rows.is_sorted_by(|a, b| a >= b) {
            return Err(Error::input(part, 0, OTHER_ROWS));
        }
    }
    let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
    let metadata = first
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let mut writer = begin(&target, &schema, metadata)?;
    let failed = |cause: ParquetError| Error::write(&target.path, std::io::Error::other(cause));
    loop {
        let mut batches = Vec::new();
        for (part, reader) in parts.iter().zip(&mut readers) {
            let batch = reader.next().transpose();
            let batch = batch.map_err(|cause| Error::input(part, 0, cause))?;
            batches.extend(batch);
        }
        if batches.is_empty() {
            break;
        }
        let joined =
            deal(&batches, questions).map_err(|cause| Error::output(&target.path, cause))?;
        write(&mut writer, &joined).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    target.persist()
}

/// A text of each batch in turn.
fn deal(batches: &[RecordBatch], questions: usize) -> Result<RecordBatch, ArrowError> {
    let texts = batches[0].num_rows() / questions;
    let mut order = Vec::new();
    for text in 0..texts {
        for (b, batch) in batches.iter().enumerate() {
            let rows = text * questions..(text + 1) * questions;
            order.extend(
                rows.filter(|row| *row < batch.num_rows())
                    .map(|row| (b, row)),
            );
        }
    }
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    arrow_select::interleave::interleave_record_batch(&batches, &order)
}

fn element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Float32, false))
}

fn schema(plan: &Plan<'_>) -> SchemaRef {
    let mut fields = vec![Arc::new(Field::new(plan.text_field, DataType::Utf8, false))];
    fields.extend(plan.carried.fields().iter().cloned());
    fields.push(Arc::new(Field::new("instruction", DataType::Utf8, false)));
    if plan.answers {
        fields.push(Arc::new(Field::new("answer", DataType::Utf8, false)));
    }
    if plan.embeddings {
        let list = DataType::FixedSizeList(element(), plan.metadata.dim as i32);
        fields.push(Arc::new(Field::new("embedding", list, false)));
    }
    Arc::new(Schema::new(fields))
}

impl Writer for ParquetWriter {
    fn write(&mut self, window: &Window, output: &inbedder::Output) -> Result<()> {
        let batch = self
            .batch(window, output)
            .map_err(|cause| Error::output(&self.target.path, cause))?;
        write(&mut self.writer, &batch)
            .map_err(|cause| Error::write(&self.target.path, std::io::Error::other(cause)))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { target, writer, .. } = *self;
        writer
            .close()
            .map_err(|cause| Error::write(&target.path, std::io::Error::other(cause)))?;
        target.persist()
    }
}
