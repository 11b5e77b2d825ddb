//! A tokenizer written out for other programs: as `tokenizer.json`, and as GGUF metadata.
//!
//! GGUF holds vocabulary and merges but only a name for how a text is cut before merging, so that only
//! what has such a name can be written: byte-level BPE with a pre-tokenizer of `gguf.rs`.

use super::gguf::{MERGES, NAMED_RULES, TOKENS, TYPES, needs_nfc, rules};
use super::{Tokenizer, gguf, wrong};
use crate::{Error, Result};
use candle_core::quantized::gguf_file::Value as Entry;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `tokenizer.ggml.token_type` of an id that no text makes.
const UNUSED: i32 = 5;

impl Tokenizer {
    /// A `tokenizer.json` that also puts the special tokens around a text.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when it cannot be written out.
    pub(crate) fn to_json(&self) -> Result<String> {
        let mut json = self.json()?;
        if !self.prefix.is_empty() || !self.suffix.is_empty() {
            json["post_processor"] = self.template();
        }
        Ok(format!("{json:#}\n"))
    }

    fn json(&self) -> Result<Value> {
        serde_json::to_value(&self.inner).map_err(|cause| {
            wrong(
                &self.path,
                "tokenizer",
                "cannot be written",
                Box::new(cause),
            )
        })
    }

    /// A post-processor that puts prefix and suffix around a text.
    fn template(&self) -> Value {
        let name = |id: &u32| self.token(*id).unwrap_or_default();
        let special = |id: &u32| json!({"SpecialToken": {"id": name(id), "type_id": 0}});
        let text = |part: &str, kind: u8| json!({"Sequence": {"id": part, "type_id": kind}});
        let around = |texts: &[Value]| -> Vec<Value> {
            let before = self.prefix.iter().map(special);
            let after = self.suffix.iter().map(special);
            before.chain(texts.iter().cloned()).chain(after).collect()
        };
        let used = self.prefix.iter().chain(&self.suffix);
        let used = used.map(|id| {
            let token = name(id);
            (
                token.clone(),
                json!({"id": token, "ids": [id], "tokens": [token]}),
            )
        });
        json!({
            "type": "TemplateProcessing",
            "single": around(&[text("A", 0)]),
            "pair": around(&[text("A", 0), text("B", 1)]),
            "special_tokens": used.collect::<serde_json::Map<_, _>>(),
        })
    }

    /// Entries of GGUF metadata for a model that embeds `rows` tokens; ids without a token are filled.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for a tokenizer that GGUF has no name for.
    pub(crate) fn to_gguf(&self, rows: usize) -> Result<BTreeMap<String, Entry>> {
        let json = self.json()?;
        let pre = self.rule_name(&json).ok_or_else(|| {
            let names = NAMED_RULES.join(", ");
            self.refused(format!(
                "cannot be written to a GGUF file: that takes byte-level BPE with the rules of {names}"
            ))
        })?;
        let (tokens, types) = self.listed(rows);
        let merges = json["model"]["merges"].as_array().into_iter().flatten();
        let merges = merges.filter_map(|merge| match merge {
            Value::String(merge) => Some(merge.clone()),
            pair => Some(format!("{} {}", pair[0].as_str()?, pair[1].as_str()?)),
        });
        let text = |text: &str| Entry::String(text.to_string());
        let mut entries = BTreeMap::from(
            [
                ("tokenizer.ggml.model", text("gpt2")),
                ("tokenizer.ggml.pre", text(pre)),
                (
                    TOKENS,
                    Entry::Array(tokens.into_iter().map(Entry::String).collect()),
                ),
                (
                    TYPES,
                    Entry::Array(types.into_iter().map(Entry::I32).collect()),
                ),
                (MERGES, Entry::Array(merges.map(Entry::String).collect())),
            ]
            .map(|(key, value)| (key.to_string(), value)),
        );
        self.ends(&mut entries)?;
        Ok(entries)
    }

    /// Which named rules cut a text as this tokenizer does.
    fn rule_name(&self, json: &Value) -> Option<&'static str> {
        let model = &json["model"];
        let plain = model["type"] == "BPE" && model["byte_fallback"] != true;
        let affixes = ["continuing_subword_prefix", "end_of_word_suffix"];
        let affixes = affixes
            .iter()
            .any(|part| model[part].as_str().is_some_and(|s| !s.is_empty()));
        let own = flat(&json["pre_tokenizer"]);
        let fits = |pre: &str| {
            let named = rules(pre).and_then(Result::ok);
            let named = named.and_then(|rules| serde_json::to_value(rules).ok());
            let normalizer = match needs_nfc(pre) {
                true => json["normalizer"] == json!({"type": "NFC"}),
                false => json["normalizer"].is_null(),
            };
            let whole = model["ignore_merges"].as_bool().unwrap_or(false);
            normalizer
                && whole == gguf::ignores_merges(pre)
                && named.is_some_and(|named| flat(&named) == own)
        };
        let mut names = NAMED_RULES.iter().copied();
        names.find(|pre| plain && !affixes && fits(pre))
    }

    /// Token by id, and the type of each.
    fn listed(&self, rows: usize) -> (Vec<String>, Vec<i32>) {
        let rows = rows.max(self.vocab_size);
        let mut tokens: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
        let mut types = vec![UNUSED; rows];
        for (token, id) in self.inner.get_vocab(true) {
            tokens[id as usize] = token;
            types[id as usize] = gguf::NORMAL;
        }
        for (id, token) in self.inner.get_added_tokens_decoder() {
            types[id as usize] = match token.special {
                true => gguf::CONTROL,
                false => gguf::USER_DEFINED,
            };
        }
        (tokens, types)
    }

    /// The tokens that begin and end a text, and those that end an answer.
    fn ends(&self, entries: &mut BTreeMap<String, Entry>) -> Result<()> {
        let mut put = |key: &str, value: Entry| {
            entries.insert(format!("tokenizer.ggml.{key}"), value);
        };
        let suffix_is_eos = self.suffix.is_empty() || self.suffix.first() == self.eos.first();
        if self.prefix.len() > 1 || self.suffix.len() > 1 || !suffix_is_eos {
            let problem = "several special tokens around a text cannot be written to a GGUF file";
            return Err(self.refused(problem.to_string()));
        }
        if let Some(id) = self.prefix.first() {
            put("bos_token_id", Entry::U32(*id));
        }
        put("add_bos_token", Entry::Bool(!self.prefix.is_empty()));
        put("add_eos_token", Entry::Bool(!self.suffix.is_empty()));
        if self.eos.len() > 3 {
            let problem =
                "more than three tokens that end an answer cannot be written to a GGUF file";
            return Err(self.refused(problem.to_string()));
        }
        for (key, id) in ["eos_token_id", "eot_token_id", "eom_token_id"]
            .iter()
            .zip(&self.eos)
        {
            put(key, Entry::U32(*id));
        }
        Ok(())
    }

    fn refused(&self, problem: String) -> Error {
        Error::Tokenizer {
            path: self.path.clone(),
            field: "tokenizer".to_string(),
            problem,
            source: None,
        }
    }
}

/// A pre-tokenizer's steps, without what only moves offsets.
fn flat(rules: &Value) -> Vec<Value> {
    let steps = match rules["pretokenizers"].as_array() {
        Some(steps) => steps.clone(),
        None => vec![rules.clone()],
    };
    let plain = |mut step: Value| {
        if let Some(fields) = step.as_object_mut() {
            fields.remove("trim_offsets");
        }
        step
    };
    steps.into_iter().map(plain).collect()
}
