//! The tokenizer that GGUF metadata describes: vocabulary and merges are in the file, but how a
//! text is cut before merging is only a name there, whose rules are here.
//!
//! Supported are byte-level BPE (`gpt2`) with the pre-tokenizers of [`PRE`], and `llama`, which
//! is SentencePiece BPE. An unknown name is refused rather than guessed: a wrong rule gives
//! plausible ids and a worse model.

use std::borrow::Cow;
use std::collections::HashSet;

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, BpeBuilder, Vocab};
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::{Parts, sentencepiece, wrong};
use crate::weights::Metadata;
use crate::{Error, Result};

/// Names of `tokenizer.ggml.pre` whose rules differ from each other.
pub(super) const NAMED_RULES: [&str; 4] = ["smollm", "gpt-2", "llama-bpe", "qwen2"];
/// Names of `tokenizer.ggml.pre` that are supported, for messages.
const PRE: &str = "smollm, gpt-2, default, llama-bpe, qwen2";
/// A longer token is no token of any model; it bounds the work of taking tokens apart.
const LONGEST: usize = 4096;

const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// `tokenizer.ggml.token_type`.
pub(super) const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;

pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
pub(super) const TYPES: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
pub(super) const MERGES: &str = "tokenizer.ggml.merges";

pub(super) fn read(metadata: &Metadata) -> Result<Parts> {
    let vocabulary = Vocabulary::read(metadata)?;
    let model = metadata.str("tokenizer.ggml.model")?;
    let (mut inner, add_bos) = match model {
        "gpt2" => byte_level(&vocabulary)?,
        "llama" => sentence_pieces(&vocabulary)?,
        other => {
            return Err(vocabulary.wrong(
                "tokenizer.ggml.model",
                format!("`{other}` is not supported; supported are gpt2 and llama"),
            ));
        }
    };
    add_tokens(&vocabulary, &mut inner)?;
    let bos = vocabulary.id("tokenizer.ggml.bos_token_id")?;
    let eos = vocabulary.id("tokenizer.ggml.eos_token_id")?;
    let add_bos = metadata
        .opt_bool("tokenizer.ggml.add_bos_token")?
        .unwrap_or(add_bos);
    let add_eos = metadata
        .opt_bool("tokenizer.ggml.add_eos_token")?
        .unwrap_or(false);
    Ok(Parts {
        path: metadata.path().to_path_buf(),
        inner,
        prefix: bos.filter(|_| add_bos).into_iter().collect(),
        suffix: eos.filter(|_| add_eos).into_iter().collect(),
        eos: ends(&vocabulary, eos)?,
        vocab_size: vocabulary.tokens.len(),
    })
}

/// The tokens that end a turn: by their keys, and by the names that chat formats give them.
fn ends(vocabulary: &Vocabulary<'_>, eos: Option<u32>) -> Result<Vec<u32>> {
    let mut ends: Vec<u32> = eos.into_iter().collect();
    for key in ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
        ends.extend(vocabulary.id(key)?);
    }
    for name in ["<|im_end|>", "<|eot_id|>"] {
        let id = vocabulary.tokens.iter().position(|&token| token == name);
        let id = id.filter(|&id| vocabulary.kind(id) == CONTROL);
        ends.extend(id.and_then(|id| u32::try_from(id).ok()));
    }
    Ok(ends)
}

/// The lists of the metadata, of equal length.
struct Vocabulary<'a> {
    metadata: &'a Metadata,
    tokens: Vec<&'a str>,
    /// Empty when all are normal.
    types: Vec<i32>,
    control: HashSet<&'a str>,
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &'a Metadata) -> Result<Self> {
        let tokens = metadata.strings(TOKENS)?;
        let types = metadata.opt_i32s(TYPES)?.unwrap_or_default();
        let mut vocabulary = Self {
            metadata,
            tokens,
            types,
            control: HashSet::new(),
        };
        let (tokens, types) = (vocabulary.tokens.len(), vocabulary.types.len());
        if tokens == 0 {
            return Err(vocabulary.wrong(TOKENS, "the vocabulary is empty".into()));
        }
        if types != 0 && types != tokens {
            let problem = format!("{types} types for {tokens} tokens");
            return Err(vocabulary.wrong(TYPES, problem));
        }
        if let Some(id) = vocabulary.tokens.iter().position(|t| t.len() > LONGEST) {
            let (length, problem) = (vocabulary.tokens[id].len(), "bytes long; the limit is");
            let problem = format!("token {id} is {length} {problem} {LONGEST}");
            return Err(vocabulary.wrong(TOKENS, problem));
        }
        // A token that begins or ends texts is no plain one, whatever its type says.
        for key in ["bos", "eos", "eot", "eom"] {
            let id = vocabulary.id(&format!("tokenizer.ggml.{key}_token_id"))?;
            if let Some(id) = id.map(|id| id as usize) {
                vocabulary.types.resize(tokens, NORMAL);
                if vocabulary.types[id] == NORMAL {
                    vocabulary.types[id] = CONTROL;
                }
            }
        }
        vocabulary.control = (0..tokens)
            .filter(|&id| matches!(vocabulary.kind(id), CONTROL | UNKNOWN))
            .map(|id| vocabulary.tokens[id])
            .collect();
        Ok(vocabulary)
    }

    fn kind(&self, id: usize) -> i32 {
        self.types.get(id).copied().unwrap_or(NORMAL)
    }

    /// A token id that the metadata names.
    fn id(&self, key: &str) -> Result<Option<u32>> {
        let Some(id) = self.metadata.opt_u32(key)? else {
            return Ok(None);
        };
        if id as usize >= self.tokens.len() {
            let tokens = self.tokens.len();
            let problem = format!("token id {id} is outside the vocabulary of {tokens}");
            return Err(self.wrong(key, problem));
        }
        Ok(Some(id))
    }

    fn wrong(&self, key: &str, problem: String) -> Error {
        Error::Tokenizer {
            path: self.metadata.path().to_path_buf(),
            field: key.to_owned(),
            problem,
            source: None,
        }
    }

    fn failed(&self, key: &str, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
        wrong(self.metadata.path(), key, "is refused", source)
    }

    /// The stored merges. Those that would make a control token from characters are left out.
    fn merges(&self, merges: &[&str]) -> Result<Vec<(String, String)>> {
        let longest = self.tokens.iter().map(|t| t.len()).max().unwrap_or(0);
        let mut whole = String::new();
        let mut pairs = Vec::with_capacity(merges.len());
        for (rank, merge) in merges.iter().enumerate() {
            let Some((left, right)) = merge.split_once(' ') else {
                let problem = format!("merge {rank} ({merge:?}) is no pair");
                return Err(self.wrong(MERGES, problem));
            };
            whole.clear();
            whole.extend([left, right]);
            // Checked here although the BPE looks its tokens up itself: its buffer for the union
            // has the length of the longest token.
            if whole.len() > longest {
                let problem = format!("merge {rank} ({merge:?}) makes no token of the vocabulary");
                return Err(self.wrong(MERGES, problem));
            }
            if !self.control.contains(whole.as_str()) {
                pairs.push((left.to_owned(), right.to_owned()));
            }
        }
        Ok(pairs)
    }

    fn build(&self, bpe: BpeBuilder, key: &str) -> Result<tokenizers::Tokenizer> {
        let model = bpe.build().map_err(|source| self.failed(key, source))?;
        Ok(tokenizers::Tokenizer::new(model))
    }
}

/// `gpt2`: also tells whether a `<s>` is put before texts by default.
fn byte_level(vocabulary: &Vocabulary<'_>) -> Result<(tokenizers::Tokenizer, bool)> {
    let pre = vocabulary
        .metadata
        .opt_str("tokenizer.ggml.pre")?
        .unwrap_or("default");
    let Some(rules) = rules(pre) else {
        let problem = format!("`{pre}` is not supported; supported are {PRE}");
        return Err(vocabulary.wrong("tokenizer.ggml.pre", problem));
    };
    let rules = rules.map_err(|source| vocabulary.failed("tokenizer.ggml.pre", source))?;
    let merges = vocabulary.merges(&vocabulary.metadata.strings(MERGES)?)?;
    let bpe = BPE::builder()
        .vocab_and_merges(byte_spelled(vocabulary), merges)
        .ignore_merges(ignores_merges(pre));
    let mut inner = vocabulary.build(bpe, MERGES)?;
    inner.with_pre_tokenizer(Some(rules));
    inner.with_decoder(Some(ByteLevel::default()));
    if needs_nfc(pre) {
        inner
            .with_normalizer(Some(NFC))
            .map_err(|source| vocabulary.failed("tokenizer.ggml.pre", source))?;
    }
    Ok((inner, pre == "llama-bpe"))
}

/// How a text is cut before merging, by the name of `tokenizer.ggml.pre`; `None` for other names.
pub(super) fn rules(pre: &str) -> Option<tokenizers::Result<Sequence>> {
    let split = |pattern: &str| {
        let pattern = SplitPattern::Regex(pattern.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
        let bytes = ByteLevel::new(false, true, false);
        Ok(Sequence::new(vec![split.into(), bytes.into()]))
    };
    let gpt_2 = ByteLevel::new(false, true, true);
    match pre {
        "smollm" => Some(Ok(Sequence::new(vec![
            Digits::new(true).into(),
            gpt_2.into(),
        ]))),
        "gpt-2" | "default" => Some(Ok(Sequence::new(vec![gpt_2.into()]))),
        "llama-bpe" => Some(split(LLAMA_3)),
        "qwen2" => Some(split(QWEN_2)),
        _ => None,
    }
}

/// A piece that is a token is not merged from characters.
pub(super) fn ignores_merges(pre: &str) -> bool {
    pre == "llama-bpe"
}

/// Texts are normalised to NFC first.
pub(super) fn needs_nfc(pre: &str) -> bool {
    pre == "qwen2"
}

/// Token ids by token. Normal tokens are spelled in the 256 characters that stand for bytes; some
/// writers leave a few as plain text, which could never be matched.
fn byte_spelled(vocabulary: &Vocabulary<'_>) -> Vocab {
    let spelling = byte_characters();
    let alphabet: HashSet<char> = spelling.into_iter().collect();
    let spell = |token: &str| token.bytes().map(|b| spelling[b as usize]).collect();
    let spelled = |id: usize| -> Cow<'_, str> {
        let token = vocabulary.tokens[id];
        let raw = matches!(vocabulary.kind(id), UNKNOWN | CONTROL | USER_DEFINED);
        if raw || token.is_ascii() && !token.contains(' ') {
            return token.into();
        }
        if token.chars().all(|c| alphabet.contains(&c)) {
            token.into()
        } else {
            Cow::Owned(spell(token))
        }
    };
    (0..vocabulary.tokens.len())
        .map(|id| (spelled(id).into_owned(), id as u32))
        .collect()
}

/// Byte-level BPE's character for each byte: itself where that is printable, else one from U+0100.
fn byte_characters() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        if matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) {
            return char::from(byte);
        }
        next += 1;
        char::from_u32(next - 1).expect("U+0100 to U+0143 are characters")
    })
}

/// `llama`: SentencePiece BPE with bytes for what the vocabulary lacks.
fn sentence_pieces(vocabulary: &Vocabulary<'_>) -> Result<(tokenizers::Tokenizer, bool)> {
    let metadata = vocabulary.metadata;
    let merges = match metadata.opt_strings(MERGES)? {
        Some(merges) => vocabulary.merges(&merges)?,
        None => {
            let scores = metadata.f32s(SCORES)?;
            let (n, tokens) = (scores.len(), vocabulary.tokens.len());
            if n != tokens {
                return Err(vocabulary.wrong(SCORES, format!("{n} scores for {tokens} tokens")));
            }
            let never = |id: usize| matches!(vocabulary.kind(id), UNKNOWN | CONTROL);
            sentencepiece::merges(&vocabulary.tokens, &scores, never)
        }
    };
    let ids: Vocab = (0u32..)
        .zip(&vocabulary.tokens)
        .map(|(id, &token)| (token.to_owned(), id))
        .collect();
    let mut bpe = BPE::builder()
        .vocab_and_merges(ids, merges)
        .fuse_unk(true)
        .byte_fallback(true);
    if let Some(unknown) = vocabulary.id("tokenizer.ggml.unknown_token_id")? {
        bpe = bpe.unk_token(vocabulary.tokens[unknown as usize].to_owned());
    }
    let mut inner = vocabulary.build(bpe, TOKENS)?;
    let space = metadata
        .opt_bool("tokenizer.ggml.add_space_prefix")?
        .unwrap_or(true);
    let scheme = if space {
        PrependScheme::First
    } else {
        PrependScheme::Never
    };
    inner.with_pre_tokenizer(Some(Metaspace::new('▁', scheme, false)));
    let spaces = Replace::new("▁", " ").map_err(|source| vocabulary.failed(TOKENS, source))?;
    let mut decoders = vec![
        spaces.into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ];
    if space {
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    inner.with_decoder(Some(Decoders::new(decoders)));
    Ok((inner, true))
}

/// Control tokens become special, user-defined ones are matched whole in texts.
fn add_tokens(vocabulary: &Vocabulary<'_>, inner: &mut tokenizers::Tokenizer) -> Result<()> {
    let of_kind = |wanted: i32| {
        let tokens = vocabulary.tokens.iter().enumerate();
        tokens
            .filter(move |&(id, _)| vocabulary.kind(id) == wanted)
            .map(move |(_, &token)| {
                AddedToken::from(token, wanted != USER_DEFINED).normalized(false)
            })
    };
    let tokens: Vec<AddedToken> = of_kind(CONTROL)
        .chain(of_kind(UNKNOWN))
        .chain(of_kind(USER_DEFINED))
        .collect();
    inner
        .add_tokens(tokens)
        .map_err(|source| vocabulary.failed(TYPES, source))?;
    Ok(())
}
