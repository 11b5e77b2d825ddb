//! Columns of line-based formats: types found in the first pass, arrays built in the second.
//!
//! A column whose values have one simple type becomes that type; every other (nested, mixed, numbers
//! beyond 64 bits) is carried as JSON text, marked so that JSON outputs write it as it came.

use super::Window;
use super::records::Record;
use crate::error::{Error, Result};
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Metadata key of columns that hold JSON text.
pub(crate) const JSON: &str = "inbedder.json";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing but nulls so far.
    Null,
    Bool,
    Int,
    Float,
    Text,
    Json,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Int,
            Value::Number(number) if number.is_f64() => Self::Float,
            Value::String(_) => Self::Text,
            _ => Self::Json,
        }
    }

    fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Null, other) | (other, Self::Null) => other,
            _ => Self::Json,
        }
    }
}

/// Columns and types seen so far, in order of appearance.
#[derive(Default)]
pub(super) struct Inference {
    order: Vec<String>,
    kinds: HashMap<String, Kind>,
}

impl Inference {
    pub(super) fn add(&mut self, fields: &Map<String, Value>) {
        for (name, value) in fields {
            let kind = Kind::of(value);
            match self.kinds.get_mut(name) {
                Some(known) => *known = known.join(kind),
                None => {
                    self.order.push(name.clone());
                    self.kinds.insert(name.clone(), kind);
                }
            }
        }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        let field = |name: &String| {
            let kind = self.kinds[name];
            let data_type = match kind {
                Kind::Bool => DataType::Boolean,
                Kind::Int => DataType::Int64,
                Kind::Float => DataType::Float64,
                Kind::Null | Kind::Text | Kind::Json => DataType::Utf8,
            };
            let field = Field::new(name, data_type, true);
            if kind == Kind::Json {
                field.with_metadata(HashMap::from([(JSON.to_string(), "true".to_string())]))
            } else {
                field
            }
        };
        Arc::new(Schema::new(
            self.order.iter().map(field).collect::<Vec<_>>(),
        ))
    }
}

/// Rows as texts and arrays.
pub(super) fn window(schema: &SchemaRef, records: Vec<Record>, name: &Path) -> Result<Window> {
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| column(field, &records))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
    let carried = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|cause| Error::input(name, 0, cause))?;
    Ok(Window {
        texts: records.into_iter().map(|record| record.text).collect(),
        carried,
    })
}

fn column(field: &Field, records: &[Record]) -> ArrayRef {
    let values = records.iter().map(|record| record.fields.get(field.name()));
    let json = field.metadata().contains_key(JSON);
    match field.data_type() {
        DataType::Boolean => Arc::new(values.map(|v| v?.as_bool()).collect::<BooleanArray>()),
        DataType::Int64 => Arc::new(values.map(|v| v?.as_i64()).collect::<Int64Array>()),
        DataType::Float64 => Arc::new(values.map(|v| v?.as_f64()).collect::<Float64Array>()),
        _ if json => Arc::new(
            values
                .map(|v| v.map(Value::to_string))
                .collect::<StringArray>(),
        ),
        _ => Arc::new(values.map(|v| v?.as_str()).collect::<StringArray>()),
    }
}
