//! Settings that users choose by name: one table per setting, read and printed here.

use crate::{Error, Result};

/// The value that a name stands for.
pub(crate) fn by_name<T: Copy>(
    table: &[(&'static str, T)],
    what: &'static str,
    name: &str,
) -> Result<T> {
    let found = table.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| Error::UnknownName {
            what,
            name: name.to_string(),
            known: table
                .iter()
                .map(|(known, _)| *known)
                .collect::<Vec<_>>()
                .join(", "),
        })
}

/// The name of a value.
pub(crate) fn name_of<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    let found = table.iter().find(|(_, known)| *known == value);
    found.map_or("?", |(name, _)| name)
}
