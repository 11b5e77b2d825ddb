//! Rows as JSON objects, for JSON lines and for what is printed.

use crate::input::{JSON, Window};
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use arrow_schema::ArrowError;
use serde_json::{Map, Value};

/// The carried columns of a window, an object a row.
pub(crate) fn carried(window: &Window) -> Result<Vec<Map<String, Value>>, ArrowError> {
    if window.carried.num_columns() == 0 {
        return Ok(vec![Map::new(); window.texts.len()]);
    }
    let mut lines = Vec::new();
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, LineDelimited>(&mut lines);
    writer.write(&window.carried)?;
    writer.finish()?;
    let json = |cause: serde_json::Error| ArrowError::JsonError(cause.to_string());
    let rows = serde_json::Deserializer::from_slice(&lines).into_iter::<Map<String, Value>>();
    let mut rows: Vec<_> = rows.collect::<Result<_, _>>().map_err(json)?;
    for field in window.carried.schema().fields() {
        if field.metadata().contains_key(JSON) {
            for row in &mut rows {
                if let Some(Value::String(text)) = row.get(field.name()) {
                    let value = serde_json::from_str(text).map_err(json)?;
                    row.insert(field.name().clone(), value);
                }
            }
        }
    }
    Ok(rows)
}
