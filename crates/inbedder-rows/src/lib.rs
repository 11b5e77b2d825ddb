//! Lines of text and JSON lines, plain or compressed (gzip, Zstandard). Every line is read or named;
//! none but blank ones is passed over.
//!
//! What rows mean is the business of those who read them. Formats that are not made of lines (CSV with
//! its quoted line breaks, Parquet) are not here.

#![forbid(unsafe_code)]

mod error;
mod lines;
mod read;

pub use error::{Error, Problem, Result};
pub use lines::{LONGEST_LINE, Lines, decompress};
pub use read::{Rows, read, rows};
