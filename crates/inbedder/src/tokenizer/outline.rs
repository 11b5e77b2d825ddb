//! A first reading of `tokenizer.json`: what the `tokenizers` crate does not check or tell.
//!
//! That crate's BPE copies both halves of each merge into a buffer as long as the longest token,
//! without a check, so an impossible merge would panic; and an added token whose id is not the one
//! stated is only logged. Of vocabulary and merges no more is kept here than lengths.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

#[derive(Deserialize)]
pub(super) struct Outline<'a> {
    #[serde(borrow)]
    pub(super) model: Model<'a>,
    #[serde(default)]
    pub(super) added_tokens: Vec<Added>,
    #[serde(default)]
    pub(super) post_processor: serde_json::Value,
}

#[derive(Deserialize)]
pub(super) struct Added {
    pub(super) id: u32,
    pub(super) content: String,
}

#[derive(Deserialize)]
pub(super) struct Model<'a> {
    #[serde(default)]
    pub(super) vocab: Vocab,
    #[serde(default)]
    pub(super) merges: Merges,
    #[serde(borrow, default)]
    pub(super) continuing_subword_prefix: Option<Cow<'a, str>>,
}

/// The vocabulary: an object of ids by token, or (Unigram) a list.
#[derive(Default)]
pub(super) struct Vocab {
    /// One more than the largest id.
    pub(super) ids: usize,
    /// Bytes of the longest token.
    pub(super) longest: usize,
}

/// The merges, as pairs or as halves with a space between.
#[derive(Default)]
pub(super) struct Merges {
    /// Rank and bytes of the longest union.
    pub(super) longest: Option<(usize, usize)>,
}

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VocabVisitor)
    }
}

struct VocabVisitor;

impl<'de> Visitor<'de> for VocabVisitor {
    type Value = Vocab;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vocabulary: an object of ids, or a list of pieces with scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
        let mut vocab = Vocab::default();
        while let Some((Text(token), id)) = map.next_entry::<Text<'de>, u32>()? {
            vocab.ids = vocab.ids.max(id as usize + 1);
            vocab.longest = vocab.longest.max(token.len());
        }
        Ok(vocab)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vocab, A::Error> {
        let mut vocab = Vocab::default();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            vocab.ids += 1;
        }
        Ok(vocab)
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MergesVisitor)
    }
}

struct MergesVisitor;

impl<'de> Visitor<'de> for MergesVisitor {
    type Value = Merges;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of merges")
    }

    fn visit_unit<E>(self) -> Result<Merges, E> {
        Ok(Merges::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Merges, A::Error> {
        let mut longest: Option<(usize, usize)> = None;
        let mut rank = 0;
        while let Some(Union(bytes)) = seq.next_element()? {
            if longest.is_none_or(|(_, most)| bytes > most) {
                longest = Some((rank, bytes));
            }
            rank += 1;
        }
        Ok(Merges { longest })
    }
}

/// Bytes of the two halves of a merge together.
struct Union(usize);

impl<'de> Deserialize<'de> for Union {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnionVisitor)
    }
}

struct UnionVisitor;

impl<'de> Visitor<'de> for UnionVisitor {
    type Value = Union;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a merge: two strings, or one with a space between the halves")
    }

    fn visit_str<E>(self, pair: &str) -> Result<Union, E> {
        Ok(Union(pair.len().saturating_sub(1)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Union, A::Error> {
        let mut bytes = 0;
        while let Some(Text(half)) = seq.next_element()? {
            bytes += half.len();
        }
        Ok(Union(bytes))
    }
}
