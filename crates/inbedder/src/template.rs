//! Prompt patterns: where the text and the question stand.

use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

const INPUT: &str = "{input}";
const INSTRUCTION: &str = "{instruction}";

/// A named pattern.
struct Preset {
    name: &'static str,
    pattern: &'static str,
    /// Used for an empty text.
    without_input: &'static str,
}

/// The InBedder pattern, and the two others of the authors' configurations
/// (Peng et al., arXiv 2402.09642; repository `zhang-yu-wei/InBedder`).
const PRESETS: [Preset; 3] = [
    Preset {
        name: "inbedder",
        pattern: "### Input:\n{input}\n\n### Instruction:\n{instruction}\n\n### Response:",
        without_input: "### Instruction:\n{instruction}\n\n### Response:",
    },
    Preset {
        name: "alpaca",
        pattern: "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:",
        without_input: "### Instruction:\n{instruction}\n\n### Response:",
    },
    Preset {
        name: "llama2-chat",
        pattern: "[INST] Your task is to give an answer according to the instruction and input. \
            Please keep your answer short.\n\nInput: {input}\n\nInstruction: {instruction}\n\n\
            ### Your Answer: [/INST]",
        without_input: "[INST] Your task is to give an answer according to the instruction and \
            input. Please keep your answer short.\n\nInstruction: {instruction}\n\n\
            ### Your Answer: [/INST]",
    },
];

/// A prompt pattern holding `{input}` and `{instruction}` once each.
///
/// Parsed from a preset's name (`inbedder`, `alpaca`, `llama2-chat`) or from a pattern. Special
/// tokens written in a pattern (`<|im_start|>`) become those tokens; in texts and questions they
/// stay plain characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    name: Option<&'static str>,
    pattern: String,
    without_input: Option<String>,
}

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Literal(&'a str),
    Input,
    Instruction,
}

impl Template {
    /// Names that stand for a pattern.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|preset| preset.name)
    }

    /// The pattern, with its placeholders.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The pattern's pieces in order; for an empty text those of the pattern without input, if
    /// there is one.
    pub(crate) fn parts(&self, text_is_empty: bool) -> Vec<Part<'_>> {
        let pattern = match &self.without_input {
            Some(pattern) if text_is_empty => pattern,
            _ => &self.pattern,
        };
        let mut parts = Vec::new();
        let mut rest = pattern.as_str();
        while !rest.is_empty() {
            let input = rest.find(INPUT).map(|at| (at, Part::Input, INPUT.len()));
            let question = rest
                .find(INSTRUCTION)
                .map(|at| (at, Part::Instruction, INSTRUCTION.len()));
            let next = [input, question]
                .into_iter()
                .flatten()
                .min_by_key(|(at, ..)| *at);
            let Some((at, part, len)) = next else {
                parts.push(Part::Literal(rest));
                break;
            };
            if at > 0 {
                parts.push(Part::Literal(&rest[..at]));
            }
            parts.push(part);
            rest = &rest[at + len..];
        }
        parts
    }
}

impl Default for Template {
    fn default() -> Self {
        Self::from(&PRESETS[0])
    }
}

impl From<&Preset> for Template {
    fn from(preset: &Preset) -> Self {
        Self {
            name: Some(preset.name),
            pattern: preset.pattern.to_string(),
            without_input: Some(preset.without_input.to_string()),
        }
    }
}

impl FromStr for Template {
    type Err = Error;

    /// # Errors
    /// [`Error::Template`] for a word that is no preset, or a pattern without both placeholders or
    /// with one of them twice.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(preset) = PRESETS.iter().find(|preset| preset.name == text) {
            return Ok(Self::from(preset));
        }
        for placeholder in [INPUT, INSTRUCTION] {
            let found = text.matches(placeholder).count();
            if found != 1 {
                return Err(Error::Template {
                    template: text.to_string(),
                    placeholder,
                    found,
                });
            }
        }
        Ok(Self {
            name: None,
            pattern: text.to_string(),
            without_input: None,
        })
    }
}

impl fmt::Display for Template {
    /// The preset's name, or the pattern.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.unwrap_or(&self.pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_patterns_that_parse_by_themselves() {
        for name in Template::presets() {
            let preset: Template = name.parse().unwrap();
            let pattern: Template = preset.pattern().parse().unwrap();
            assert_eq!(pattern.parts(false), preset.parts(false));
            assert_eq!(preset.to_string(), name);
            assert!(!preset.parts(true).contains(&Part::Input));
        }
    }

    #[test]
    fn parts_come_in_the_order_of_the_pattern() {
        let template: Template = "Q: {instruction} T: {input}".parse().unwrap();
        let expected = [
            Part::Literal("Q: "),
            Part::Instruction,
            Part::Literal(" T: "),
            Part::Input,
        ];
        assert_eq!(template.parts(false), expected);
        assert_eq!(
            template.parts(true),
            expected,
            "no second pattern was given"
        );
    }

    #[test]
    fn each_placeholder_is_wanted_once() {
        for (text, placeholder) in [
            ("inbeder", "{input}"),
            ("{input}", "{instruction}"),
            ("{instruction} {input} {input}", "{input}"),
        ] {
            let message = text.parse::<Template>().unwrap_err().to_string();
            assert!(
                message.contains(placeholder) && message.contains("alpaca"),
                "{message}"
            );
        }
    }
}
