//! Rows of parquet files; columns keep their types.

use super::{Source, Window, missing, output_name};
use crate::error::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Rows per step of the checking pass.
const STEP: usize = 4096;

/// Checks every row; counts them and finds the columns beside the text.
pub(super) fn scan(source: &Source) -> Result<(usize, SchemaRef)> {
    let reader = Reader::open(source, STEP)?;
    let schema = reader.schema.clone();
    let mut rows = 0;
    for window in reader {
        rows += window?.texts.len();
    }
    Ok((rows, schema))
}

pub(super) fn windows(
    source: &Source,
    size: usize,
) -> Result<Box<dyn Iterator<Item = Result<Window>> + '_>> {
    Ok(Box::new(Reader::open(source, size)?))
}

struct Reader<'a> {
    source: &'a Source,
    batches: ParquetRecordBatchReader,
    /// Columns beside the text.
    schema: SchemaRef,
    text: usize,
    /// Rows and, of these, texts so far.
    row: usize,
    texts: usize,
}

impl<'a> Reader<'a> {
    fn open(source: &'a Source, size: usize) -> Result<Self> {
        let file = source.file()?;
        let damaged = |cause: parquet::errors::ParquetError| Error::input(&source.name, 0, cause);
        let builder = guarded(source, || {
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)
        })?;
        let schema = Arc::clone(builder.schema());
        let Some((text, field)) = schema.column_with_name(&source.text_field) else {
            let present = schema.fields().iter().map(|field| field.name().as_str());
            return Err(Error::input(&source.name, 0, missing(source, present)));
        };
        if !matches!(
            field.data_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        ) {
            let problem = format!(
                "column {:?} holds {}, expected strings",
                field.name(),
                field.data_type()
            );
            return Err(Error::input(&source.name, 0, problem));
        }
        let others = schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != text);
        let renamed =
            others.map(|(_, field)| field.as_ref().clone().with_name(output_name(field.name())));
        let carried = Arc::new(Schema::new(renamed.collect::<Vec<_>>()));
        let size = size.min(source.limit).max(1);
        let limited = builder.with_batch_size(size).with_limit(source.limit);
        let batches = guarded(source, || limited.build().map_err(damaged))?;
        Ok(Self {
            source,
            batches,
            schema: carried,
            text,
            row: 0,
            texts: 0,
        })
    }

    fn window(&mut self, batch: &RecordBatch) -> Result<Window> {
        let batch = &self.readable(batch)?;
        let column = batch.column(self.text);
        let value = |i: usize| match column.data_type() {
            DataType::LargeUtf8 => column.as_string::<i64>().value(i).to_string(),
            DataType::Utf8View => column.as_string_view().value(i).to_string(),
            _ => column.as_string::<i32>().value(i).to_string(),
        };
        let texts = (0..column.len()).map(value).collect();
        let others = batch
            .columns()
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != self.text);
        let columns = others.map(|(_, column)| Arc::clone(column)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let carried =
            RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
                .map_err(|cause| Error::input(&self.source.name, 0, cause))?;
        Ok(Window { texts, carried })
    }

    /// The rows that have a text and are wanted.
    fn readable(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let column = batch.column(self.text);
        let first = self.row as u64 + 1;
        self.row += column.len();
        for i in (0..column.len()).filter(|i| column.is_null(*i)) {
            let error = Error::row(&self.source.name, first + i as u64, "the text is null");
            if !self.source.rejected(&error) {
                return Err(error);
            }
        }
        let mut wanted = Vec::with_capacity(column.len());
        for i in 0..column.len() {
            wanted.push(column.is_valid(i) && self.source.takes(self.texts));
            self.texts += usize::from(column.is_valid(i));
        }
        arrow_select::filter::filter_record_batch(batch, &BooleanArray::from(wanted))
            .map_err(|cause| Error::input(&self.source.name, 0, cause))
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Window>;

    fn next(&mut self) -> Option<Self::Item> {
        let (source, batches) = (self.source, &mut self.batches);
        let damaged = |cause: arrow_schema::ArrowError| Error::input(&source.name, 0, cause);
        let batch = guarded(source, || {
            batches
                .next()
                .map(|batch| batch.map_err(damaged))
                .transpose()
        });
        batch
            .and_then(|batch| batch.map(|batch| self.window(&batch)).transpose())
            .transpose()
    }
}

/// Runs a step of the parquet reader, which on some damaged files panics instead of returning an
/// error; here, and nowhere else, that becomes an error.
fn guarded<T>(source: &Source, step: impl FnOnce() -> Result<T>) -> Result<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(step));
    std::panic::set_hook(hook);
    result.unwrap_or_else(|_| Err(Error::input(&source.name, 0, "damaged parquet file")))
}
