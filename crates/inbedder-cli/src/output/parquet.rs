//! Parquet: a row per text and question, columns of the input with their types, vectors as
//! fixed-size lists of f32, the metadata as key-value pairs of the file.

use super::{Plan, Unfinished, Writer};
use crate::error::{Error, Result};
use crate::input::Window;
use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::sync::Arc;

/// Bytes that a row group gathers before it is written.
const ROW_GROUP: usize = 32 << 20;

pub(super) struct ParquetWriter {
    target: Unfinished,
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    instructions: Vec<String>,
}

impl ParquetWriter {
    pub(super) fn new(target: Unfinished, plan: &Plan<'_>) -> Result<Self> {
        let schema = schema(plan);
        let pairs = plan
            .metadata
            .pairs()
            .into_iter()
            .map(|(name, value)| KeyValue::new(name, value));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(pairs.collect()))
            // Vectors do not repeat: a dictionary of them only costs.
            .set_column_dictionary_enabled("embedding.list.element".into(), false)
            .build();
        let file = target
            .file
            .as_file()
            .try_clone()
            .map_err(|cause| Error::write(&target.path, cause))?;
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))
            .map_err(|cause| Error::output(&target.path, cause))?;
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
        let written = self.writer.write(&batch).and_then(|()| {
            if self.writer.in_progress_size() > ROW_GROUP {
                self.writer.flush()
            } else {
                Ok(())
            }
        });
        written.map_err(|cause| Error::write(&self.target.path, std::io::Error::other(cause)))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { target, writer, .. } = *self;
        writer
            .close()
            .map_err(|cause| Error::write(&target.path, std::io::Error::other(cause)))?;
        target.persist()
    }
}
