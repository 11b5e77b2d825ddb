//! Text to token ids and back, over the `tokenizers` crate.
//!
//! Two things differ from that crate on purpose. A text is always plain: `</s>` in it is four
//! characters, whatever the vocabulary says. And special tokens are never put around a text here;
//! [`Tokenizer::prefix`] and [`Tokenizer::suffix`] name them, and who builds a prompt places them.
//! Truncation and padding belong to the prompt too, so settings for them are dropped.

mod export;
mod gguf;
mod json;
#[cfg(test)]
mod lies;
mod outline;
mod sentencepiece;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tokenizers::{Model, PostProcessorWrapper};

use crate::weights::Metadata;
use crate::{Error, Result};

/// A tokenizer with what a model's files say about its special tokens.
#[derive(Debug)]
pub struct Tokenizer {
    /// For messages.
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    eos: Vec<u32>,
    special: HashMap<String, u32>,
    special_ids: HashMap<u32, String>,
    vocab_size: usize,
}

/// A text as tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// For each token the byte of the text at which it ends: never falling, and always between
    /// characters (tokens that share a character all end where it ends).
    pub ends: Vec<usize>,
}

/// What the sources of a tokenizer find out for it.
struct Parts {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    eos: Vec<u32>,
    vocab_size: usize,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, and beside it, where present, `tokenizer_config.json`,
    /// `generation_config.json` and `config.json`, for the tokens that begin and end a text.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Tokenizer`] naming the file and the field that is wrong.
    pub fn from_file(path: &Path) -> Result<Self> {
        json::read(path).and_then(Self::new)
    }

    /// Builds the tokenizer that a GGUF file describes.
    ///
    /// # Errors
    /// [`Error::MetadataKey`] for keys that are absent or of the wrong type; [`Error::Tokenizer`]
    /// for a model or pre-tokenizer that is not supported (the message lists those that are) and
    /// for vocabularies that do not hold together.
    pub fn from_gguf(metadata: &Metadata) -> Result<Self> {
        gguf::read(metadata).and_then(Self::new)
    }

    fn new(parts: Parts) -> Result<Self> {
        let Parts {
            path,
            mut inner,
            prefix,
            suffix,
            mut eos,
            vocab_size,
        } = parts;
        inner.with_post_processor(None::<PostProcessorWrapper>);
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|source| wrong(&path, "truncation", "cannot be switched off", source))?;
        inner.set_encode_special_tokens(true);
        let special_ids: HashMap<u32, String> = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (id, token.content))
            .collect();
        let special = special_ids
            .iter()
            .map(|(&id, content)| (content.clone(), id))
            .collect();
        let mut seen = std::collections::HashSet::new();
        eos.retain(|&id| seen.insert(id));
        for &id in prefix.iter().chain(&suffix).chain(&eos) {
            if id as usize >= vocab_size {
                let problem = format!("token id {id} is outside the vocabulary of {vocab_size}");
                return Err(Error::Tokenizer {
                    path,
                    field: "special tokens".into(),
                    problem,
                    source: None,
                });
            }
        }
        Ok(Self {
            path,
            inner,
            prefix,
            suffix,
            eos,
            special,
            special_ids,
            vocab_size,
        })
    }

    /// The tokens of a plain text; the empty text has none.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the vocabulary has no token for a character and no unknown token.
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        let encoded = self
            .inner
            .encode(text, false)
            .map_err(|source| wrong(&self.path, "model", "cannot encode a text", source))?;
        let mut encoding = Encoding {
            ids: Vec::with_capacity(encoded.len()),
            ends: Vec::with_capacity(encoded.len()),
        };
        // Normalisers may move a token before another's end; a cut must not go back behind it.
        let mut last = 0;
        for (&id, &(start, end)) in encoded.get_ids().iter().zip(encoded.get_offsets()) {
            last = end.max(last);
            match self.special_ids.get(&id) {
                Some(content) if text.get(start..end) == Some(content) => {
                    self.spell(content, last, &mut encoding)?;
                }
                _ => {
                    encoding.ids.push(id);
                    encoding.ends.push(last);
                }
            }
        }
        Ok(encoding)
    }

    /// A special token's text as plain pieces. Some vocabularies (of the Unigram kind, or with
    /// merges derived from scores) reach the special token from its characters; taking the first
    /// character apart from the rest makes that impossible.
    fn spell(&self, content: &str, end: usize, encoding: &mut Encoding) -> Result<()> {
        let first = content.chars().next().map_or(0, char::len_utf8);
        let (head, tail) = content.split_at(first);
        for piece in [head, tail] {
            let tokens = self.inner.get_model().tokenize(piece);
            let tokens = tokens
                .map_err(|source| wrong(&self.path, "model", "cannot encode a text", source))?;
            for token in tokens {
                encoding.ids.push(token.id);
                encoding.ends.push(end);
            }
        }
        Ok(())
    }

    /// The text of tokens; special tokens are left out, bytes that are no UTF-8 become U+FFFD,
    /// and ids outside the vocabulary are skipped.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner
            .decode(ids, true)
            .map_err(|source| wrong(&self.path, "decoder", "cannot decode tokens", source))
    }

    /// Special tokens that belong before a text, such as `<s>`.
    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// Special tokens that belong after a text.
    pub fn suffix(&self) -> &[u32] {
        &self.suffix
    }

    /// Tokens that end a generated answer, the principal one first.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos
    }

    /// The id of a special token, `None` for other tokens.
    pub fn special_token(&self, content: &str) -> Option<u32> {
        self.special.get(content).copied()
    }

    /// All special tokens with their ids, in no order.
    pub fn special_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        self.special.iter().map(|(text, &id)| (text.as_str(), id))
    }

    /// A token as the vocabulary spells it (not as [`Tokenizer::decode`] would show it).
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// One more than the largest token id. A model may have more rows than that.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }
}

fn wrong(
    path: &Path,
    field: &str,
    problem: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> Error {
    Error::Tokenizer {
        path: path.to_path_buf(),
        field: field.to_owned(),
        problem: format!("{problem}: {source}"),
        source: Some(source),
    }
}
