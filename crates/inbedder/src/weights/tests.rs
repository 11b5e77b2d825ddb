//! Weights against numbers computed by hand, and questions asked wrongly.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use safetensors::tensor::TensorView as Stored;
use tempfile::NamedTempFile;

use super::lies::Random;
use super::*;

pub(super) fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A GGUF file: metadata entries as (key, type code, value bytes), tensors as
/// (name, dimensions in GGUF order, type code, data).
pub(crate) fn gguf_bytes(
    metadata: &[(&str, u32, Vec<u8>)],
    tensors: &[(&str, &[u64], u32, &[u8])],
) -> Vec<u8> {
    let string = |out: &mut Vec<u8>, s: &str| {
        out.extend((s.len() as u64).to_le_bytes());
        out.extend(s.as_bytes());
    };
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, kind, value) in metadata {
        string(&mut out, key);
        out.extend(kind.to_le_bytes());
        out.extend(value);
    }
    let mut data = Vec::new();
    for (name, dims, kind, bytes) in tensors {
        string(&mut out, name);
        out.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
        out.extend(kind.to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        data.extend(*bytes);
        data.resize(data.len().next_multiple_of(32), 0);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
}

pub(crate) fn text(s: &str) -> Vec<u8> {
    let mut out = (s.len() as u64).to_le_bytes().to_vec();
    out.extend(s.as_bytes());
    out
}

pub(crate) fn list(kind: u32, values: &[Vec<u8>]) -> Vec<u8> {
    let mut out = kind.to_le_bytes().to_vec();
    out.extend((values.len() as u64).to_le_bytes());
    values.iter().for_each(|v| out.extend(v));
    out
}

fn half(x: f32) -> [u8; 2] {
    f16::from_f32(x).to_le_bytes()
}

/// Nibble i of a block: low halves hold the first 16 numbers, high halves the others.
fn nibbles() -> [u8; 16] {
    std::array::from_fn(|i| (i as u8) | ((15 - i as u8) << 4))
}

fn nibble(i: usize) -> f32 {
    if i < 16 { i as f32 } else { (31 - i) as f32 }
}

#[test]
fn gguf_blocks_equal_numbers_computed_by_hand() {
    let q4_0: Vec<u8> = [&half(0.5)[..], &nibbles()].concat();
    let q4_1: Vec<u8> = [&half(0.25)[..], &half(-3.0), &nibbles()].concat();
    let bytes: Vec<u8> = (0..32).map(|i| (i * 8 - 128) as i8 as u8).collect();
    let q8_0: Vec<u8> = [&half(2.0)[..], &bytes].concat();
    // Bit i of the third field is the fifth bit of number i; here that of every third.
    let fifth: u32 = (0..32).filter(|i| i % 3 == 0).map(|i| 1 << i).sum();
    let q5_0: Vec<u8> = [&half(1.0)[..], &fifth.to_le_bytes(), &nibbles()].concat();
    let q5_1: Vec<u8> = [&half(0.5)[..], &half(1.0), &fifth.to_le_bytes(), &nibbles()].concat();
    let f16s: Vec<u8> = (0..32).flat_map(|i| half(i as f32 / 8.0)).collect();
    let bf16s: Vec<u8> = (0..32)
        .flat_map(|i| bf16::from_f32(i as f32 * 4.0).to_le_bytes())
        .collect();
    let f32s: Vec<u8> = (0..32)
        .flat_map(|i| (i as f32 / 3.0).to_le_bytes())
        .collect();
    let high = |i: usize| if i.is_multiple_of(3) { 16.0 } else { 0.0 };
    type Case<'a> = (&'a str, u32, &'a [u8], &'a dyn Fn(usize) -> f32);
    let cases: [Case<'_>; 8] = [
        ("f32", 0, &f32s, &|i| i as f32 / 3.0),
        ("f16", 1, &f16s, &|i| i as f32 / 8.0),
        ("bf16", 30, &bf16s, &|i| i as f32 * 4.0),
        ("q4_0", 2, &q4_0, &|i| (nibble(i) - 8.0) * 0.5),
        ("q4_1", 3, &q4_1, &|i| nibble(i) * 0.25 - 3.0),
        ("q5_0", 6, &q5_0, &|i| nibble(i) + high(i) - 16.0),
        ("q5_1", 7, &q5_1, &|i| (nibble(i) + high(i)) * 0.5 + 1.0),
        ("q8_0", 8, &q8_0, &|i| (i as f32 * 8.0 - 128.0) * 2.0),
    ];
    // Each as three rows of two blocks, the second row zero.
    for (name, kind, block, expected) in cases {
        let row = [block, block].concat();
        let data = [row.clone(), vec![0; row.len()], row].concat();
        let file = file(&gguf_bytes(
            &[],
            &[("pad", &[4], 0, &[0; 16]), (name, &[64, 3], kind, &data)],
        ));
        let (weights, _) = Weights::open_gguf(file.path()).unwrap();
        assert_eq!(weights.shape(name).unwrap(), [3, 64], "{name}");
        let mut out = vec![f32::NAN; 64];
        for row in [0, 2] {
            weights.read_rows(name, row..row + 1, &mut out).unwrap();
            for (i, &x) in out.iter().enumerate() {
                assert_eq!(x, expected(i % 32), "{name}, row {row}, number {i}");
            }
        }
        let mut all = vec![f32::NAN; 192];
        weights.read_rows(name, 0..3, &mut all).unwrap();
        assert_eq!(all[128..], out, "{name}, all rows at once");
    }
}

#[test]
fn tensors_over_many_pieces_equal_their_rows() {
    let mut seed = Random(5);
    let (rows, row_len) = (37, 1024);
    // Q6_K, whose scale lies in the last two bytes of its 210.
    let mut data: Vec<u8> = (0..rows * 4 * 210).map(|_| seed.next() as u8).collect();
    for block in data.chunks_mut(210) {
        block[208..].copy_from_slice(&half(0.01));
    }
    let file = file(&gguf_bytes(
        &[],
        &[("w", &[row_len as u64, rows as u64], 14, &data)],
    ));
    let (weights, _) = Weights::open_gguf(file.path()).unwrap();
    let view = weights.tensor("w").unwrap();
    let mut all = vec![0.0; rows * row_len];
    view.read_rows(0..rows, &mut all).unwrap();
    assert!(all.iter().all(|x| x.is_finite()) && all.iter().any(|&x| x != 0.0));
    let mut row = vec![0.0; row_len];
    for r in 0..rows {
        view.read_rows(r..r + 1, &mut row).unwrap();
        assert_eq!(row, all[r * row_len..][..row_len], "row {r}");
    }
}

#[test]
fn arbitrary_blocks_of_every_type_are_read() {
    let mut seed = Random(11);
    for kind in [0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 30] {
        let dtype = Dtype::from_ggml(kind).unwrap();
        let bytes = 256 * 8 / dtype.block_len() * dtype.block_bytes();
        for _ in 0..50 {
            let data: Vec<u8> = (0..bytes).map(|_| seed.next() as u8).collect();
            let mut out = vec![0.0; 256 * 8];
            dtype.to_f32(&data, &mut out);
        }
    }
}

pub(super) fn safetensors_bytes(
    tensors: &[(&str, safetensors::Dtype, &[usize], &[u8])],
) -> Vec<u8> {
    let views = tensors.iter().map(|&(name, dtype, shape, data)| {
        (name, Stored::new(dtype, shape.to_vec(), data).unwrap())
    });
    safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()
}

#[test]
fn safetensors_types_and_shards_are_read() {
    use safetensors::Dtype::{BF16, F16, F32, I64};
    let numbers = [0.0, -1.5, 3.25, 1e-3, 65504.0, -0.0];
    let f32s: Vec<u8> = numbers.iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
    let f16s: Vec<u8> = numbers.iter().flat_map(|&x| half(x)).collect();
    let bf16s: Vec<u8> = numbers
        .iter()
        .flat_map(|&x| bf16::from_f32(x).to_le_bytes())
        .collect();
    // The odd tail keeps the f32 that follow from an aligned offset.
    let first = file(&safetensors_bytes(&[
        ("a.half", F16, &[3, 2], &f16s),
        ("z.ids", I64, &[1], &[0; 8]),
    ]));
    let second = file(&safetensors_bytes(&[
        ("b.brain", BF16, &[2, 3], &bf16s),
        ("c.single", F32, &[6], &f32s),
        ("d.scalar", F32, &[], &f32s[4..8]),
        ("e.none", F32, &[0, 5], &[]),
    ]));
    let paths = [first.path().to_owned(), second.path().to_owned()];
    let weights = Arc::new(Weights::open_safetensors(&paths).unwrap());
    assert_eq!(weights.names().count(), 6);
    let mut out = [f32::NAN; 6];
    weights.read_rows("a.half", 0..3, &mut out).unwrap();
    assert_eq!(out, numbers.map(|x| f16::from_f32(x).to_f32()));
    weights.read_rows("b.brain", 0..2, &mut out).unwrap();
    assert_eq!(out, numbers.map(|x| bf16::from_f32(x).to_f32()));
    weights
        .handle("c.single")
        .unwrap()
        .view()
        .read_rows(0..1, &mut out)
        .unwrap();
    assert_eq!(out, numbers);
    weights.read_rows("d.scalar", 0..1, &mut out[..1]).unwrap();
    assert_eq!(out[0], -1.5);
    weights.read_rows("e.none", 0..0, &mut []).unwrap();
    weights.expect_shape("a.half", &[3, 2]).unwrap();
    // Only asking for a tensor of another type is an error.
    let error = weights.tensor("z.ids").unwrap_err().to_string();
    assert!(error.contains("z.ids") && error.contains("I64"), "{error}");
}

#[test]
fn unaligned_numbers_are_read() {
    let header = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    for pad in 0..4 {
        let mut bytes = (header.len() as u64 + pad).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(vec![b' '; pad as usize]);
        bytes.extend(1.5f32.to_le_bytes());
        bytes.extend(2.5f32.to_le_bytes());
        let file = file(&bytes);
        let weights = Weights::open_safetensors(&[file.path().to_owned()]).unwrap();
        let mut out = [0.0; 2];
        weights.read_rows("a", 0..1, &mut out).unwrap();
        assert_eq!(out, [1.5, 2.5], "header padded by {pad}");
    }
}

#[test]
fn what_a_caller_asks_wrongly_is_an_error() {
    let data = [0; 4 * 6];
    let bytes = safetensors_bytes(&[("w", safetensors::Dtype::F32, &[3, 2], &data)]);
    let (file, twin) = (file(&bytes), file(&bytes));
    let weights = Weights::open_safetensors(&[file.path().to_owned()]).unwrap();
    let name = file.path().display().to_string();
    let mut out = [0.0; 4];
    #[allow(clippy::reversed_empty_ranges)]
    for rows in [
        2..4,
        0..1,
        0..3,
        2..1,
        usize::MAX - 1..usize::MAX,
        0..usize::MAX,
    ] {
        let error = weights.read_rows("w", rows.clone(), &mut out).unwrap_err();
        assert!(
            matches!(error, Error::TensorRows { .. }),
            "{rows:?}: {error}"
        );
        assert!(error.to_string().contains(&name));
    }
    let error = weights.expect_shape("w", &[2, 3]).unwrap_err().to_string();
    assert!(
        error.contains("[3, 2]") && error.contains("[2, 3]"),
        "{error}"
    );
    let error = weights.tensor("v").unwrap_err();
    assert!(matches!(error, Error::TensorMissing { .. }), "{error}");
    let twice = [file.path().to_owned(), twin.path().to_owned()];
    let error = Weights::open_safetensors(&twice).unwrap_err().to_string();
    assert!(error.contains("`w` is there twice"), "{error}");
    assert!(Weights::open_safetensors(&[]).is_err());
    for wrong in [std::env::temp_dir(), PathBuf::from("/no/such/file")] {
        let error = Weights::open_gguf(&wrong).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert!(Weights::open_safetensors(std::slice::from_ref(&wrong)).is_err());
    }
}

#[test]
fn metadata_has_types() {
    let metadata = [
        ("text", 8, text("héllo")),
        ("small", 0, vec![7]),
        ("negative", 5, (-3i32).to_le_bytes().to_vec()),
        ("real", 6, 0.5f32.to_le_bytes().to_vec()),
        ("double", 12, 0.25f64.to_le_bytes().to_vec()),
        ("truth", 7, vec![1]),
        ("words", 9, list(8, &[text("a"), text("bc")])),
        ("numbers", 9, list(5, &[(-3i32).to_le_bytes().to_vec()])),
        ("reals", 9, list(6, &[1.5f32.to_le_bytes().to_vec()])),
    ];
    let file = file(&gguf_bytes(&metadata, &[]));
    let (_, metadata) = Weights::open_gguf(file.path()).unwrap();
    assert_eq!(metadata.str("text").unwrap(), "héllo");
    assert_eq!(metadata.u32("small").unwrap(), 7);
    assert_eq!(metadata.f32("real").unwrap(), 0.5);
    assert_eq!(metadata.f32("double").unwrap(), 0.25);
    assert!(metadata.bool("truth").unwrap());
    assert_eq!(metadata.strings("words").unwrap(), ["a", "bc"]);
    assert_eq!(metadata.i32s("numbers").unwrap(), [-3]);
    assert_eq!(metadata.f32s("reals").unwrap(), [1.5]);
    assert_eq!(metadata.opt_u32("absent").unwrap(), None);
    for (error, words) in [
        (metadata.u32("absent").unwrap_err(), ["absent", "missing"]),
        (metadata.u32("negative").unwrap_err(), ["negative", "-3"]),
        (metadata.opt_u32("text").unwrap_err(), ["text", "héllo"]),
        (metadata.strings("numbers").unwrap_err(), ["numbers", "I32"]),
    ] {
        let message = error.to_string();
        assert!(matches!(error, Error::MetadataKey { .. }));
        for word in words.iter().chain([&file.path().to_str().unwrap()]) {
            assert!(message.contains(word), "{message} should name {word}");
        }
    }
}

/// Against files written by the reference implementation of the format; every tensor of the one
/// holds, as f32, what the other holds in the type that its name tells.
#[test]
fn gguf_types_equal_the_reference_implementation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/gguf");
    let (types, _) = Weights::open_gguf(&folder.join("types.gguf")).unwrap();
    let plain = Weights::open_safetensors(&[folder.join("types.safetensors")]).unwrap();
    let mut seen = BTreeMap::new();
    for name in types.names() {
        let (stored, expected) = (types.tensor(name).unwrap(), plain.tensor(name).unwrap());
        stored.expect_shape(expected.shape()).unwrap();
        let numbers = stored.rows() * stored.row_len();
        let (mut a, mut b) = (vec![0.0; numbers], vec![0.0; numbers]);
        stored.read_rows(0..stored.rows(), &mut a).unwrap();
        expected.read_rows(0..stored.rows(), &mut b).unwrap();
        let most = b.iter().fold(0f32, |m, x| m.max(x.abs()));
        for (i, (a, b)) in a.iter().zip(&b).enumerate() {
            assert!(
                (a - b).abs() <= 1e-6 * most,
                "{name}, number {i}: {a} is not {b}"
            );
        }
        seen.insert(format!("{:?}", stored.dtype()), most);
    }
    assert_eq!(seen.len(), 13, "every supported type is there: {seen:?}");
}
