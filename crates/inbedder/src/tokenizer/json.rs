//! A tokenizer from `tokenizer.json` and the configuration files beside it.
//!
//! The post-processor is read for the special tokens that it would add, and not run: prompts are
//! put together elsewhere. A regular expression in the file runs as it is; its engine gives up
//! after a bounded number of steps.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::AddedToken;

use super::outline::Outline;
use super::{Parts, wrong};
use crate::{Error, Result};

/// The largest files of public models have some 40 MB.
const LIMIT: u64 = 256 << 20;

pub(super) fn read(path: &Path) -> Result<Parts> {
    let text = read_text(path)?;
    let outline: Outline<'_> = serde_json::from_str(&text)
        .map_err(|source| wrong(path, "JSON", "cannot be read", Box::new(source)))?;
    check(path, &outline)?;
    let mut inner = tokenizers::Tokenizer::from_bytes(&text)
        .map_err(|source| wrong(path, "tokenizer", "cannot be built", source))?;
    for token in &outline.added_tokens {
        let found = inner.token_to_id(&token.content);
        if found != Some(token.id) && !token.content.is_empty() {
            let problem = format!(
                "`{}` should have the id {}, but the vocabulary makes it {}",
                token.content,
                token.id,
                found.map_or("none".into(), |id| id.to_string())
            );
            return Err(field(path, "added_tokens", problem));
        }
    }
    let (prefix, suffix) = around(path, &outline.post_processor, 0)?;
    let added = outline
        .added_tokens
        .iter()
        .map(|token| token.id as usize + 1);
    let vocab_size = added.max().unwrap_or(0).max(outline.model.vocab.ids);
    let mut parts = Parts {
        path: path.to_path_buf(),
        prefix,
        suffix,
        eos: Vec::new(),
        vocab_size,
        inner: {
            name_specials(path, &mut inner)?;
            inner
        },
    };
    beside(path, &mut parts)?;
    Ok(parts)
}

fn read_text(path: &Path) -> Result<String> {
    let io = |source| Error::Io {
        path: path.to_path_buf(),
        source,
    };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > LIMIT {
        let problem = format!("the file has {size} bytes; the limit is {LIMIT}");
        return Err(field(path, "size", problem));
    }
    std::fs::read_to_string(path).map_err(io)
}

fn field(path: &Path, field: &str, problem: String) -> Error {
    Error::Tokenizer {
        path: path.to_path_buf(),
        field: field.to_owned(),
        problem,
        source: None,
    }
}

/// What the `tokenizers` crate takes on trust.
fn check(path: &Path, outline: &Outline<'_>) -> Result<()> {
    let model = &outline.model;
    let has_prefix = model
        .continuing_subword_prefix
        .as_deref()
        .is_some_and(|prefix| !prefix.is_empty());
    let Some((rank, bytes)) = model.merges.longest else {
        return Ok(());
    };
    if has_prefix {
        let problem = "is not supported together with merges".to_owned();
        return Err(field(path, "model.continuing_subword_prefix", problem));
    }
    let longest = model.vocab.longest;
    if bytes > longest {
        let problem = format!(
            "merge {rank} makes a token of {bytes} bytes, but the longest of the vocabulary has {longest}"
        );
        return Err(field(path, "model.merges", problem));
    }
    Ok(())
}

type Around = (Vec<u32>, Vec<u32>);

/// The special tokens that a post-processor puts before and after a single text.
fn around(path: &Path, processor: &Value, depth: usize) -> Result<Around> {
    let bad = |problem: &str| field(path, "post_processor", problem.to_owned());
    if processor.is_null() {
        return Ok(Around::default());
    }
    match processor["type"].as_str() {
        Some("ByteLevel") => Ok(Around::default()),
        Some("TemplateProcessing") => template(processor)
            .ok_or_else(|| bad("its `single` names a special token that `special_tokens` lacks")),
        Some("BertProcessing" | "RobertaProcessing") => {
            let id = |name: &str| processor[name][1].as_u64()?.try_into().ok();
            match (id("cls"), id("sep")) {
                (Some(cls), Some(sep)) => Ok((vec![cls], vec![sep])),
                _ => Err(bad("`cls` and `sep` must be pairs of token and id")),
            }
        }
        Some("Sequence") if depth < 8 => {
            let (mut prefix, mut suffix) = Around::default();
            for inner in processor["processors"].as_array().into_iter().flatten() {
                let (before, after) = around(path, inner, depth + 1)?;
                prefix.splice(0..0, before);
                suffix.extend(after);
            }
            Ok((prefix, suffix))
        }
        other => Err(bad(&format!(
            "the type {} is not supported",
            other.unwrap_or("(none)")
        ))),
    }
}

fn template(processor: &Value) -> Option<Around> {
    let (mut prefix, mut suffix) = Around::default();
    let mut seen_text = false;
    for piece in processor["single"].as_array()? {
        if piece.get("Sequence").is_some() {
            seen_text = true;
            continue;
        }
        let name = piece["SpecialToken"]["id"].as_str()?;
        let side = if seen_text { &mut suffix } else { &mut prefix };
        for id in processor["special_tokens"].get(name)?["ids"].as_array()? {
            side.push(id.as_u64()?.try_into().ok()?);
        }
    }
    Some((prefix, suffix))
}

/// A neighbouring JSON object, or null where there is no such file.
fn neighbour(path: &Path, name: &str) -> Result<(PathBuf, Value)> {
    let path = path.with_file_name(name);
    if !path.exists() {
        return Ok((path, Value::Null));
    }
    let value = serde_json::from_str(&read_text(&path)?)
        .map_err(|source| wrong(&path, "JSON", "cannot be read", Box::new(source)))?;
    Ok((path, value))
}

/// A token in `tokenizer_config.json`: a string, or an object with its content.
fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// Tokens that `tokenizer_config.json` gives a part to are special, even where `tokenizer.json`
/// has them as plain ones.
fn name_specials(path: &Path, inner: &mut tokenizers::Tokenizer) -> Result<()> {
    let (path, config) = neighbour(path, "tokenizer_config.json")?;
    let named = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"]
        .into_iter()
        .filter_map(|part| content(&config[format!("{part}_token")]))
        .filter(|token| inner.token_to_id(token).is_some())
        .filter(|token| !inner.get_added_vocabulary().is_special_token(token));
    let tokens: Vec<AddedToken> = named
        .map(|token| AddedToken::from(token, true).normalized(false))
        .collect();
    if tokens.is_empty() {
        return Ok(());
    }
    inner
        .add_special_tokens(tokens)
        .map(|_| ())
        .map_err(|source| wrong(&path, "special tokens", "are refused", source))
}

/// What the neighbours say about the tokens that begin and end a text.
fn beside(path: &Path, parts: &mut Parts) -> Result<()> {
    for name in ["generation_config.json", "config.json"] {
        let (path, config) = neighbour(path, name)?;
        match &config["eos_token_id"] {
            Value::Null => {}
            Value::Array(ids) => {
                for id in ids {
                    parts.eos.push(token_id(&path, id)?);
                }
            }
            id => parts.eos.push(token_id(&path, id)?),
        }
    }
    let (path, config) = neighbour(path, "tokenizer_config.json")?;
    let id = |part: &str| -> Result<Option<u32>> {
        let name = format!("{part}_token");
        let Some(token) = content(&config[&name]) else {
            return Ok(None);
        };
        match parts.inner.token_to_id(token) {
            Some(id) => Ok(Some(id)),
            None => Err(field(
                &path,
                &name,
                format!("`{token}` is not in the vocabulary"),
            )),
        }
    };
    parts.eos.extend(id("eos")?);
    // Where these are stated they replace what the post-processor says, as in transformers.
    let (bos, eos) = (&config["add_bos_token"], &config["add_eos_token"]);
    if bos.is_boolean() || eos.is_boolean() {
        let add = |wanted: &Value, part| match wanted.as_bool() {
            Some(true) => id(part),
            _ => Ok(None),
        };
        (parts.prefix, parts.suffix) = (
            add(bos, "bos")?.into_iter().collect(),
            add(eos, "eos")?.into_iter().collect(),
        );
    }
    Ok(())
}

fn token_id(path: &Path, id: &Value) -> Result<u32> {
    let wanted = id.as_u64().and_then(|id| u32::try_from(id).ok());
    wanted.ok_or_else(|| field(path, "eos_token_id", format!("{id} is no token id")))
}
