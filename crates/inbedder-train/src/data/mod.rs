//! From files of question–answer rows to passages in the order of an epoch. Knows texts and lengths;
//! tokens and models stay outside.
//!
//! [`Mix::read`] reads files with weights, filters by source and refuses what an [`Exclusion`] holds;
//! [`passages()`] puts all questions about a text together, with [`Answers`] as they are learnt;
//! [`Split`] holds texts out for validation, of which [`Validation`] makes triplets; [`Measured`] knows
//! what passages cost; [`epoch()`] orders them and [`cut()`] makes batches. [`dump`] writes batches down for
//! a peer.

mod answers;
mod bag;
pub mod dump;
mod epoch;
mod exclusion;
mod lengths;
mod mix;
mod passages;
mod split;
mod subset;
mod text;
mod validation;

pub use answers::Answers;
pub use bag::bag;
pub use epoch::{Part, cut, epoch};
pub use exclusion::{Exclusion, OnExcluded};
pub use lengths::{Length, Measured, Overlong, QuestionLength};
pub use mix::{Counts, Mix, MixFile, Row, Sources};
pub use passages::{Passage, Question, passages};
pub use split::{HeldOut, Split};
pub use subset::subset;
pub use text::is_answer;
pub use validation::{AnswerTriplet, QuestionTriplet, Validation, ValidationSize};

#[cfg(test)]
mod tests;
