//! Lines to rows of a type.

use crate::{Error, Lines, Problem, Result};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::path::Path;

/// JSON lines as rows, each with its line, from 1.
pub struct Rows<T> {
    lines: Lines,
    row: PhantomData<fn() -> T>,
}

/// The rows of a file, one after the other.
///
/// # Errors
/// A file that cannot be read.
pub fn rows<T: DeserializeOwned>(path: &Path) -> Result<Rows<T>> {
    Ok(Rows {
        lines: Lines::open(path)?,
        row: PhantomData,
    })
}

/// All rows of a file.
///
/// # Errors
/// A file that cannot be read or holds no row; the first line that is no row of the type.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<(u64, T)>> {
    let rows: Vec<_> = rows(path)?.collect::<Result<_>>()?;
    if rows.is_empty() {
        return Err(Error::new(path, 0, Problem::Empty));
    }
    Ok(rows)
}

impl<T: DeserializeOwned> Iterator for Rows<T> {
    type Item = Result<(u64, T)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, line) = match self.lines.next()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let failed = |problem| Error::new(self.lines.name(), number, problem);
        Some(match parse(&line) {
            Ok(row) => Ok((number, row)),
            Err(problem) => Err(failed(problem)),
        })
    }
}

fn parse<T: DeserializeOwned>(line: &str) -> Result<T, Problem> {
    let mut parser = serde_json::Deserializer::from_str(line);
    let row = serde_path_to_error::deserialize(&mut parser).map_err(|error| Problem::Json {
        field: error.path().to_string(),
        source: error.into_inner(),
    })?;
    // One row a line.
    let end = parser.end();
    end.map_err(|source| Problem::Json {
        field: ".".to_string(),
        source,
    })?;
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::io::Write;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        text: String,
    }

    fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn plain_and_compressed_rows_with_their_lines() {
        let plain = "\u{feff}{\"text\": \"a\"}\r\n\n  \n{\"text\": \"b\", \"more\": 1}".as_bytes();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(plain).unwrap();
        let gz = gz.finish().unwrap();
        let zst = zstd::encode_all(plain, 1).unwrap();
        for (name, content) in [
            ("x.jsonl", plain),
            ("x.jsonl.gz", &gz),
            ("x.jsonl.zst", &zst),
            ("named-otherwise", &zst),
        ] {
            let (_folder, path) = file(name, content);
            let found = read::<Row>(&path).unwrap();
            let row = |text: &str| Row { text: text.into() };
            assert_eq!(found, [(1, row("a")), (4, row("b"))], "{name}");
        }
    }

    #[track_caller]
    fn refused(name: &str, content: &[u8], parts: &[&str]) {
        let (_folder, path) = file(name, content);
        let message = read::<Row>(&path).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_file_line_and_field() {
        let good = "{\"text\": \"a\"}\n";
        let with = |line: &str| format!("{good}{line}\n").into_bytes();
        refused("x.jsonl", b"", &["x.jsonl: holds no row"]);
        refused(
            "x.jsonl",
            &with("{\"text\": 3}"),
            &["x.jsonl:2: ", "\"text\"", "string"],
        );
        refused(
            "x.jsonl",
            &with("{\"txt\": \"\"}"),
            &["x.jsonl:2: ", "`text`"],
        );
        refused(
            "x.jsonl",
            &with("{\"text\": \"a\"} {}"),
            &["x.jsonl:2: ", "trailing"],
        );
        refused("x.jsonl", &with("{\"text\": "), &["x.jsonl:2: ", "EOF"]);
        refused("x.jsonl", b"\xff\n", &["x.jsonl:1: ", "byte 1"]);
        refused("x.jsonl.gz", good.as_bytes(), &["not compressed", ".gz"]);
        let cut = zstd::encode_all(good.repeat(99).as_bytes(), 1).unwrap();
        refused("x.jsonl.zst", &cut[..cut.len() - 9], &["cut off"]);
    }

    #[test]
    fn a_broken_row_does_not_hide_those_behind_it() {
        let (_folder, path) = file("x.jsonl", b"\xff\n{\n{\"text\": \"a\"}\n");
        let found: Vec<_> = rows::<Row>(&path).unwrap().collect();
        let kinds: Vec<bool> = found.iter().map(Result::is_ok).collect();
        assert_eq!(kinds, [false, false, true]);
    }
}
