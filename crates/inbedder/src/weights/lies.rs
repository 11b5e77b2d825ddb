//! Weight files that lie: each lie by name, then thousands of files with faults put in at random.
//!
//! The faults are the same in every run. What is asserted is that a file is either read, with
//! tensors that its size can account for, or refused with an error that names it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::tests::{file, gguf_bytes, list, safetensors_bytes, text};
use super::*;

/// Each lie is refused with a message that names it.
#[test]
fn gguf_files_that_lie_are_refused() {
    let alignment = |n: u32| [("general.alignment", 4, n.to_le_bytes().to_vec())];
    let huge = u64::MAX / 2;
    let overlong = [&8u32.to_le_bytes()[..], &huge.to_le_bytes()].concat();
    let many = (8u64 << 20) + 1;
    let mut bytes_list = list(0, &[]);
    bytes_list[4..12].copy_from_slice(&many.to_le_bytes());
    bytes_list.resize(12 + many as usize, 0);
    let whole = gguf_bytes(&alignment(32), &[("w", &[32, 2], 2, &[0; 36])]);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "needs 4 more bytes"),
        (
            b"PK\x03\x04 something else entirely".to_vec(),
            "begin with `GGUF`",
        ),
        (whole[..60].to_vec(), "are left"),
        (whole[..whole.len() - 40].to_vec(), "outside the file"),
        (gguf_bytes(&alignment(0), &[]), "general.alignment"),
        (gguf_bytes(&alignment(1), &[]), "general.alignment"),
        (gguf_bytes(&alignment(48), &[]), "general.alignment"),
        (gguf_bytes(&[("l", 9, overlong)], &[]), "exceed the limit"),
        (gguf_bytes(&[("l", 9, bytes_list)], &[]), "exceed the limit"),
        (gguf_bytes(&[("k", 77, vec![])], &[]), "no value type"),
        (
            gguf_bytes(&[("k", 0, vec![1]), ("k", 0, vec![1])], &[]),
            "key is there twice",
        ),
        (
            gguf_bytes(&[], &[("w", &[huge, 4], 0, &[])]),
            "outside the file",
        ),
        (
            gguf_bytes(&[], &[("w", &[1 << 32, 1 << 32, 1 << 32], 0, &[])]),
            "outside the file",
        ),
        (gguf_bytes(&[], &[("w", &[1; 5], 0, &[])]), "5 dimensions"),
        (
            gguf_bytes(&[], &[("w", &[33], 2, &[0; 36])]),
            "multiple of the 32",
        ),
        (gguf_bytes(&[], &[("w", &[32], 20, &[0; 36])]), "IQ4_NL"),
        (
            gguf_bytes(&[], &[("w", &[1], 0, &[0; 4]), ("w", &[1], 0, &[0; 4])]),
            "tensor is there twice",
        ),
    ];
    for (bytes, problem) in cases {
        let file = file(&bytes);
        let message = Weights::open_gguf(file.path()).unwrap_err().to_string();
        assert!(message.contains(problem), "{message} should say {problem}");
        assert!(message.contains(file.path().to_str().unwrap()), "{message}");
    }
}

#[test]
fn safetensors_files_that_lie_are_refused() {
    let json = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    // Nine tensors whose declared sizes add up to nearly 2^64.
    let eighth = (1u64 << 61) - 1;
    let tensors: Vec<String> = (0..8)
        .map(|i| {
            let (start, end) = (i * eighth, (i + 1) * eighth);
            format!(r#""t{i}":{{"dtype":"U8","shape":[{eighth}],"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "fewer than a header"),
        (vec![0; 7], "fewer than a header"),
        (u64::MAX.to_le_bytes().to_vec(), "but 0 follow"),
        (json("{", 0), "EOF"),
        (json("[1,2]", 0), "header is wrong"),
        (
            json(&format!("{{{}}}", tensors.join(",")), 0),
            "but 0 follow the header",
        ),
        (
            json(
                r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
                7,
            ),
            "but 7 follow",
        ),
        (
            json(
                r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#,
                16,
            ),
            "invalid offset",
        ),
        (
            json(
                r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
                8,
            ),
            "header is wrong",
        ),
        (
            json(
                r#"{"w":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}"#,
                8,
            ),
            "F99",
        ),
        (json(&" ".repeat((8 << 20) + 1), 0), "over the limit"),
    ];
    for (bytes, problem) in cases {
        let file = file(&bytes);
        let error = Weights::open_safetensors(&[file.path().to_owned()]).unwrap_err();
        let message = error.to_string().to_lowercase();
        assert!(
            message.contains(&problem.to_lowercase()),
            "{message} should say {problem}"
        );
        assert!(
            error.to_string().contains(file.path().to_str().unwrap()),
            "{message}"
        );
    }
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// One to three faults: bytes changed, the end cut off, or a number put where one may be read.
pub(crate) fn damage(whole: &[u8], random: &mut Random) -> Vec<u8> {
    let numbers = [
        0,
        1,
        31,
        33,
        1 << 16,
        1 << 31,
        1 << 32,
        1 << 61,
        1 << 63,
        u64::MAX,
    ];
    let mut bytes = whole.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len().max(1));
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.extend([0; 9]),
            2..=4 => {
                let number = numbers[random.below(numbers.len())].to_le_bytes();
                let width = if random.below(2) == 0 { 4 } else { 8 };
                for (byte, new) in bytes.iter_mut().skip(at).zip(&number[..width]) {
                    *byte = *new;
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes
}

/// Opens each damaged file and reads what it then offers. Memory needs no measuring: reading
/// takes a buffer of the caller's, whose size a layout that fits the file bounds, which is asserted.
fn survives(whole: &[u8], rounds: usize, open: impl Fn(&Path) -> Result<Weights>) {
    let mut random = Random(42);
    let (mut opened, mut refused) = (0, 0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    for round in 0..rounds {
        let bytes = damage(whole, &mut random);
        std::fs::write(&path, &bytes).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| match open(&path) {
            Ok(weights) => {
                for name in weights.names() {
                    let Ok(view) = weights.tensor(name) else {
                        continue;
                    };
                    // No type takes less than a quarter of a byte for a number.
                    let numbers = view.rows() * view.row_len();
                    assert!(numbers <= 4 * bytes.len(), "{name} has {numbers} numbers");
                    view.read_rows(0..view.rows(), &mut vec![0.0; numbers])
                        .unwrap();
                }
                true
            }
            Err(error) => {
                assert!(
                    error.to_string().contains(path.to_str().unwrap()),
                    "{error}"
                );
                false
            }
        }));
        match outcome {
            Ok(true) => opened += 1,
            Ok(false) => refused += 1,
            Err(_) => panic!("round {round} panicked on {bytes:?}"),
        }
    }
    assert!(
        opened > rounds / 100 && refused > rounds / 4,
        "{opened} opened, {refused} refused"
    );
}

#[test]
pub(crate) fn damaged_gguf_files_never_panic() {
    let metadata = [
        ("general.alignment", 4, 32u32.to_le_bytes().to_vec()),
        (
            "tokenizer.ggml.tokens",
            9,
            list(8, &[text("a"), text("bc")]),
        ),
        (
            "nested",
            9,
            list(9, &[list(5, &[vec![0; 4]]), list(7, &[vec![1]])]),
        ),
        ("scale", 6, 0.5f32.to_le_bytes().to_vec()),
    ];
    let tensors: [(&str, &[u64], u32, &[u8]); 3] = [
        ("single", &[4, 2], 0, &[63; 32]),
        ("four", &[32, 2], 3, &[60; 40]),
        ("k", &[256], 12, &[50; 144]),
    ];
    survives(&gguf_bytes(&metadata, &tensors), 6000, |path| {
        Weights::open_gguf(path).map(|(weights, _)| weights)
    });
}

#[test]
pub(crate) fn damaged_safetensors_files_never_panic() {
    use safetensors::Dtype::{BF16, F32, I64};
    let whole = safetensors_bytes(&[
        ("single", F32, &[4, 2], &[63; 32]),
        ("brain", BF16, &[5], &[60; 10]),
        ("ids", I64, &[2], &[1; 16]),
    ]);
    survives(&whole, 6000, |path| {
        Weights::open_safetensors(&[path.to_owned()])
    });
}
