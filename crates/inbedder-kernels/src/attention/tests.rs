//! Attention at every level against a plain loop in f64, over chains of spans.

use super::*;
use crate::isa::Isa;
use crate::simd::tests::{assert_close, noise};
use proptest::prelude::*;

/// Keys (by cache row) that a query of a tile sees, in order of position.
fn chain(tile: &QueryTile, query: usize) -> Vec<usize> {
    let mut keys = Vec::new();
    for span in &tile.spans {
        if span.queries.contains(&query) {
            assert_eq!(span.position, keys.len(), "spans in order of position");
            let visible = span.visible + span.step * (query - span.queries.start);
            keys.extend(span.keys.clone().take(visible));
        }
    }
    keys
}

fn reference(
    heads: Heads,
    rows: &[f32],
    tiles: &[QueryTile],
    keys: &[f32],
    values: &[f32],
) -> Vec<f32> {
    let (width, kv_width) = (heads.query * heads.dim, heads.kv * heads.dim);
    let mut out = rows.to_vec();
    for tile in tiles {
        for (query, row) in tile.rows.clone().enumerate() {
            let seen = chain(tile, query);
            for head in 0..heads.query {
                let kv = head / (heads.query / heads.kv) * heads.dim;
                let q = &rows[row * width + head * heads.dim..][..heads.dim];
                let scores: Vec<f64> = seen
                    .iter()
                    .map(|key| {
                        let k = &keys[key * kv_width + kv..][..heads.dim];
                        let dot: f64 = q
                            .iter()
                            .zip(k)
                            .map(|(a, b)| f64::from(*a) * f64::from(*b))
                            .sum();
                        dot * f64::from(heads.scale)
                    })
                    .collect();
                let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
                let total: f64 = weights.iter().sum();
                for d in 0..heads.dim {
                    let mixed = seen
                        .iter()
                        .zip(&weights)
                        .map(|(key, w)| w * f64::from(values[key * kv_width + kv + d]));
                    out[row * width + head * heads.dim + d] = (mixed.sum::<f64>() / total) as f32;
                }
            }
        }
    }
    out
}

fn run(
    isa: Isa,
    heads: Heads,
    rows: &[f32],
    tiles: &[QueryTile],
    keys: &[f32],
    values: &[f32],
) -> Vec<f32> {
    let kv_width = heads.kv * heads.dim;
    let mut cache = KvCache::new(isa, 2, keys.len() / kv_width, heads.kv, heads.dim);
    for (row, (k, v)) in keys
        .chunks(kv_width)
        .zip(values.chunks(kv_width))
        .enumerate()
    {
        // Another layer's rows must not be seen.
        cache.write(0, row, v, k);
        cache.write(1, row, k, v);
    }
    let mut out = rows.to_vec();
    attention(heads, &mut out, tiles, &cache, 1, Threads::Pool);
    out
}

/// A text of `prefix` rows read once, then children of `child` rows each that see it in full and
/// themselves causally; `gap` unused rows lie between prefix and children.
fn tree(
    prefix: usize,
    children: usize,
    child: usize,
    gap: usize,
    per_tile: usize,
) -> (usize, Vec<QueryTile>) {
    let mut tiles = Vec::new();
    for start in (0..prefix).step_by(per_tile) {
        let end = prefix.min(start + per_tile);
        let own = Span {
            queries: 0..end - start,
            keys: 0..end,
            position: 0,
            visible: start + 1,
            step: 1,
        };
        tiles.push(QueryTile {
            rows: start..end,
            spans: vec![own],
        });
    }
    // One tile over as many children as fit: they share the span of the prefix.
    let first = prefix + gap;
    let mut begin = 0;
    while begin < children {
        let count = (per_tile / child).clamp(1, children - begin);
        let shared = Span {
            queries: 0..count * child,
            keys: 0..prefix,
            position: 0,
            visible: prefix,
            step: 0,
        };
        let mut spans = vec![shared];
        for c in 0..count {
            let keys = first + (begin + c) * child..first + (begin + c + 1) * child;
            spans.push(Span {
                queries: c * child..(c + 1) * child,
                keys,
                position: prefix,
                visible: 1,
                step: 1,
            });
        }
        let rows = first + begin * child..first + (begin + count) * child;
        tiles.push(QueryTile { rows, spans });
        begin += count;
    }
    (first + children * child, tiles)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn trees_equal_the_plain_loop(
        prefix in 1usize..70, children in 0usize..5, child in 1usize..10, gap in 0usize..40,
        kv in 1usize..3, group in 1usize..4, dim in 1usize..40,
    ) {
        let heads = Heads { query: kv * group, kv, dim, scale: 0.3 };
        let (total, tiles) = tree(prefix, children, child, gap, queries_per_tile(heads));
        let rows = noise(total * heads.query * dim, 1);
        let (keys, values) = (noise(total * kv * dim, 2), noise(total * kv * dim, 3));
        let expected = reference(heads, &rows, &tiles, &keys, &values);
        for isa in Isa::available() {
            let out = run(isa, heads, &rows, &tiles, &keys, &values);
            assert_close(isa.name(), &out, &expected, 2e-5);
        }
    }
}

#[test]
fn cutting_the_keys_into_spans_changes_no_bit() {
    let heads = Heads {
        query: 3,
        kv: 1,
        dim: 40,
        scale: 0.2,
    };
    let (rows, keys, values) = (noise(120, 1), noise(90 * 40, 2), noise(90 * 40, 3));
    let whole = vec![Span {
        queries: 0..1,
        keys: 0..90,
        position: 0,
        visible: 90,
        step: 0,
    }];
    for isa in Isa::available() {
        let tile = |spans| [QueryTile { rows: 0..1, spans }];
        let expected = run(isa, heads, &rows, &tile(whole.clone()), &keys, &values);
        for cut in [1, 7, 32, 50, 89] {
            let parts = vec![
                Span {
                    queries: 0..1,
                    keys: 0..cut,
                    position: 0,
                    visible: cut,
                    step: 0,
                },
                Span {
                    queries: 0..1,
                    keys: cut..90,
                    position: cut,
                    visible: 90 - cut,
                    step: 0,
                },
            ];
            assert_eq!(
                run(isa, heads, &rows, &tile(parts), &keys, &values),
                expected,
                "{isa}: cut at {cut}"
            );
        }
    }
}

#[test]
fn nan_in_a_query_stays_in_its_row() {
    let heads = Heads {
        query: 2,
        kv: 1,
        dim: 16,
        scale: 0.25,
    };
    let (total, tiles) = tree(20, 0, 1, 0, queries_per_tile(heads));
    let mut rows = noise(total * 32, 1);
    rows[5 * 32 + 3] = f32::NAN;
    let (keys, values) = (noise(total * 16, 2), noise(total * 16, 3));
    let expected = reference(heads, &rows, &tiles, &keys, &values);
    for isa in Isa::available() {
        let out = run(isa, heads, &rows, &tiles, &keys, &values);
        assert_close(isa.name(), &out, &expected, 2e-5);
        assert!(out[5 * 32..5 * 32 + 16].iter().all(|v| v.is_nan()));
    }
}

/// Gradients by queries, keys and values, by the chain rule in plain loops.
fn reference_backward(
    heads: Heads,
    (rows, keys, values, grads): (&[f32], &[f32], &[f32], &[f32]),
    tiles: &[QueryTile],
) -> [Vec<f32>; 3] {
    let (width, kv_width, dim) = (heads.query * heads.dim, heads.kv * heads.dim, heads.dim);
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let scale = f64::from(heads.scale);
    let mut by_row = rows.iter().map(|row| f64::from(*row)).collect::<Vec<_>>();
    let mut by_key = vec![0.0f64; keys.len()];
    let mut by_value = vec![0.0f64; keys.len()];
    for tile in tiles {
        for (query, row) in tile.rows.clone().enumerate() {
            let seen = chain(tile, query);
            for head in 0..heads.query {
                let at = row * width + head * dim;
                let (q, grad) = (&rows[at..at + dim], &grads[at..at + dim]);
                let kv = |key: usize| key * kv_width + head / (heads.query / heads.kv) * dim;
                let scores = seen
                    .iter()
                    .map(|key| scale * dot(q, &keys[kv(*key)..][..dim]));
                let exps: Vec<f64> = scores.map(f64::exp).collect();
                let total: f64 = exps.iter().sum();
                let slopes: Vec<f64> = seen
                    .iter()
                    .map(|key| dot(grad, &values[kv(*key)..][..dim]))
                    .collect();
                let mean: f64 = exps.iter().zip(&slopes).map(|(e, s)| e / total * s).sum();
                by_row[at..at + dim].fill(0.0);
                for ((key, e), slope) in seen.iter().zip(&exps).zip(&slopes) {
                    let p = e / total;
                    let by_score = p * (slope - mean) * scale;
                    for d in 0..dim {
                        by_value[kv(*key) + d] += p * f64::from(grad[d]);
                        by_row[at + d] += by_score * f64::from(keys[kv(*key) + d]);
                        by_key[kv(*key) + d] += by_score * f64::from(q[d]);
                    }
                }
            }
        }
    }
    [by_row, by_key, by_value].map(|sums| sums.iter().map(|v| *v as f32).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn gradients_over_trees_equal_the_plain_loop(
        prefix in 1usize..70, children in 0usize..5, child in 1usize..10, gap in 0usize..40,
        kv in 1usize..3, group in 1usize..4, dim in 1usize..40,
    ) {
        let heads = Heads { query: kv * group, kv, dim, scale: 0.3 };
        let (total, tiles) = tree(prefix, children, child, gap, queries_per_tile(heads));
        let (width, kv_width) = (heads.query * dim, kv * dim);
        let (rows, grads) = (noise(total * width, 1), noise(total * width, 4));
        let (keys, values) = (noise(total * kv_width, 2), noise(total * kv_width, 3));
        let expected = reference_backward(heads, (&rows, &keys, &values, &grads), &tiles);
        for isa in Isa::available() {
            let outputs = run(isa, heads, &rows, &tiles, &keys, &values);
            let mut cache = KvCache::new(isa, 1, total, kv, dim);
            let mut swapped = KvCache::new(isa, 1, total, kv, dim);
            for (row, (k, v)) in keys.chunks(kv_width).zip(values.chunks(kv_width)).enumerate() {
                cache.write(0, row, k, v);
                swapped.write(0, row, v, k);
            }
            let pass = Backward {
                heads, tiles: &tiles, cache: &cache, swapped: &swapped, layer: 0,
                outputs: &outputs, grads: &grads,
            };
            for threads in [Threads::One, Threads::Pool] {
                let mut by_row = rows.clone();
                let (mut by_key, mut by_value) = (vec![0.0; keys.len()], vec![0.0; keys.len()]);
                attention_backward(pass, &mut by_row, &mut by_key, &mut by_value, threads);
                assert_close(isa.name(), &by_row, &expected[0], 5e-5);
                assert_close(isa.name(), &by_key, &expected[1], 5e-5);
                assert_close(isa.name(), &by_value, &expected[2], 5e-5);
            }
        }
    }
}
