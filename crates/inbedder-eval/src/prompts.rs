//! What is to be embedded for the tasks of one file: distinct texts, distinct instructions, and which
//! is asked about which, each once.

use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A text and an instruction; the empty instruction is that of plain similarity.
pub(crate) type Prompt<'a> = (&'a str, &'a str);

/// Distinct prompts in the order in which they were first wanted.
#[derive(Debug, Default)]
pub(crate) struct Prompts {
    texts: Words,
    instructions: Words,
    pairs: Vec<(usize, usize)>,
    of_pair: HashMap<(usize, usize), usize>,
}

impl Prompts {
    /// The prompt's number.
    pub(crate) fn add(&mut self, text: &str, instruction: &str) -> usize {
        let pair = (self.texts.add(text), self.instructions.add(instruction));
        let next = self.pairs.len();
        let number = *self.of_pair.entry(pair).or_insert(next);
        if number == next {
            self.pairs.push(pair);
        }
        number
    }

    pub(crate) fn get(&self, number: usize) -> Prompt<'_> {
        let (text, instruction) = self.pairs[number];
        (&self.texts.list[text], &self.instructions.list[instruction])
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = Prompt<'_>> {
        (0..self.pairs.len()).map(|number| self.get(number))
    }

    /// All texts under the empty instruction.
    pub(crate) fn without_instruction(&self) -> impl Iterator<Item = Prompt<'_>> {
        self.texts.list.iter().map(|text| (text.as_str(), ""))
    }
}

/// Strings, each once.
#[derive(Debug, Default)]
struct Words {
    list: Vec<String>,
    places: HashMap<String, usize>,
}

impl Words {
    fn add(&mut self, word: &str) -> usize {
        if let Some(place) = self.places.get(word) {
            return *place;
        }
        self.list.push(word.to_string());
        self.places.insert(word.to_string(), self.list.len() - 1);
        self.list.len() - 1
    }
}

/// A prompt's name in stores: 16 bytes of a SHA-256 over both, their lengths included.
pub(crate) fn key((text, instruction): Prompt<'_>) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
    hash.update(instruction);
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_prompts_are_one_and_keys_tell_texts_from_instructions() {
        let mut prompts = Prompts::default();
        let numbers = [("a", "x"), ("a", "y"), ("b", "x"), ("a", "x")];
        let numbers = numbers.map(|(text, instruction)| prompts.add(text, instruction));
        assert_eq!(numbers, [0, 1, 2, 0]);
        assert_eq!(prompts.get(2), ("b", "x"));
        assert_eq!(prompts.without_instruction().count(), 2);
        assert_ne!(key(("ab", "c")), key(("a", "bc")));
    }
}
