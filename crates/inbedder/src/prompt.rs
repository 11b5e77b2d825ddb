//! From a text and a question to token ids: rendering, and cutting what is over the budget.

use crate::names::{by_name, name_of};
use crate::template::{Part, Template};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// Which side of a prompt that is over the budget is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Truncate {
    /// The end of the text: the question and the response marker always stay.
    #[default]
    Text,
    /// The beginning of the whole prompt, as the method's authors do.
    Left,
}

const TRUNCATIONS: [(&str, Truncate); 2] = [("text", Truncate::Text), ("left", Truncate::Left)];

impl std::str::FromStr for Truncate {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        by_name(&TRUNCATIONS, "truncation", name)
    }
}

impl std::fmt::Display for Truncate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(name_of(&TRUNCATIONS, *self))
    }
}

/// No token of any vocabulary in use is longer than this many bytes; texts are cut there before
/// they are tokenised, so that a huge one costs no more than the budget.
const LONGEST_TOKEN: usize = 512;

/// A rendered prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// Something was cut.
    pub truncated: bool,
}

/// Renders prompts for one model.
#[derive(Clone, Copy)]
pub struct Renderer<'a> {
    /// The model's.
    pub tokenizer: &'a Tokenizer,
    /// Where text and question stand.
    pub template: &'a Template,
    /// What is cut from a prompt over the budget.
    pub truncate: Truncate,
    /// Longest prompt in tokens, special tokens included.
    pub max_tokens: usize,
}

/// Token ids, and for each whether it holds nothing but the user's text.
#[derive(Default)]
struct Tokens {
    ids: Vec<u32>,
    of_text: Vec<bool>,
}

impl Renderer<'_> {
    /// Renders one prompt.
    ///
    /// # Errors
    /// [`Error::QuestionTooLong`] if what must stay is over the budget.
    pub fn render(&self, text: &str, question: &str) -> Result<Prompt> {
        let (text, cut) = self.bounded(text);
        let mut tokens = Tokens::default();
        let (prefix, suffix) = (self.tokenizer.prefix(), self.tokenizer.suffix());
        let mut chunk = Chunk::default();
        for part in self.template.parts(text.is_empty()) {
            match part {
                Part::Input => chunk.push_text(text),
                Part::Instruction => chunk.plain.push_str(question),
                Part::Literal(literal) => self.literal(literal, &mut chunk, &mut tokens)?,
            }
        }
        self.flush(&mut chunk, &mut tokens)?;
        let room = self.max_tokens.saturating_sub(prefix.len() + suffix.len());
        let excess = tokens.ids.len().saturating_sub(room);
        match self.truncate {
            Truncate::Left => drop(tokens.ids.drain(..excess)),
            Truncate::Text => self.cut_text(&mut tokens, excess, question)?,
        }
        let ids = [prefix, &tokens.ids, suffix].concat();
        if ids.is_empty() {
            return Err(Error::EmptyPrompt {
                template: self.template.to_string(),
            });
        }
        Ok(Prompt {
            ids,
            truncated: cut || excess > 0,
        })
    }

    /// The part of the text that the budget can reach, and whether that is less than all.
    fn bounded<'t>(&self, text: &'t str) -> (&'t str, bool) {
        let most = self.max_tokens.saturating_mul(LONGEST_TOKEN);
        if text.len() <= most {
            return (text, false);
        }
        let kept = match self.truncate {
            Truncate::Text => &text[..text.floor_char_boundary(most)],
            Truncate::Left => &text[text.ceil_char_boundary(text.len() - most)..],
        };
        (kept, true)
    }

    /// Appends a literal, whose special tokens cut the prompt into chunks.
    fn literal(&self, mut literal: &str, chunk: &mut Chunk, tokens: &mut Tokens) -> Result<()> {
        while let Some((at, content, id)) = self.first_special(literal) {
            chunk.plain.push_str(&literal[..at]);
            self.flush(chunk, tokens)?;
            tokens.ids.push(id);
            tokens.of_text.push(false);
            literal = &literal[at + content.len()..];
        }
        chunk.plain.push_str(literal);
        Ok(())
    }

    /// The first special token in a literal; of two at one place the longer.
    fn first_special<'t>(&'t self, literal: &str) -> Option<(usize, &'t str, u32)> {
        let specials = self.tokenizer.special_tokens();
        let found = specials.filter_map(|(content, id)| {
            let at = literal.find(content).filter(|_| !content.is_empty())?;
            Some((at, content, id))
        });
        found.min_by_key(|(at, content, _)| (*at, usize::MAX - content.len()))
    }

    /// Tokenises the characters gathered so far.
    fn flush(&self, chunk: &mut Chunk, tokens: &mut Tokens) -> Result<()> {
        let Chunk { plain, text } = std::mem::take(chunk);
        if plain.is_empty() {
            return Ok(());
        }
        let encoding = self.tokenizer.encode(&plain)?;
        let mut start = 0;
        for end in encoding.ends {
            tokens
                .of_text
                .push(start >= text.start && end > text.start && end <= text.end);
            start = end;
        }
        tokens.ids.extend(encoding.ids);
        Ok(())
    }

    /// Drops the last `excess` tokens of the text.
    fn cut_text(&self, tokens: &mut Tokens, excess: usize, question: &str) -> Result<()> {
        let text: Vec<usize> = (0..tokens.ids.len())
            .filter(|i| tokens.of_text[*i])
            .collect();
        let Some(kept) = text.len().checked_sub(excess) else {
            return Err(Error::QuestionTooLong {
                question: question.to_string(),
                tokens: tokens.ids.len() - text.len()
                    + self.tokenizer.prefix().len()
                    + self.tokenizer.suffix().len(),
                budget: self.max_tokens,
            });
        };
        let mut cut = text[kept..].iter().copied().peekable();
        let mut i = 0;
        tokens.ids.retain(|_| {
            let drop = cut.next_if_eq(&i).is_some();
            i += 1;
            !drop
        });
        Ok(())
    }
}

/// Characters between two special tokens of the template.
#[derive(Default)]
struct Chunk {
    plain: String,
    /// Bytes of `plain` that are the user's text.
    text: std::ops::Range<usize>,
}

impl Chunk {
    fn push_text(&mut self, text: &str) {
        self.text = self.plain.len()..self.plain.len() + text.len();
        self.plain.push_str(text);
    }
}

#[cfg(test)]
mod tests;
