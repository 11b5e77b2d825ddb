//! Times k-means on made-up vectors of unit length, crowded as embeddings of one question are:
//!
//! ```sh
//! cargo run --release -p inbedder-cluster --example kmeans -- 100000 576 100 [full|minibatch] [noise]
//! ```
//!
//! `noise` is the vectors' scatter around 200 places, relative to that of the places (1: hardly a
//! cluster to be seen, and so many iterations).

use inbedder_cluster::{KMeans, Vectors};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, otherwise: usize| {
        let given = args.get(i).map(|text| text.parse::<usize>());
        given.unwrap_or(Ok(otherwise))
    };
    let (rows, dim, k) = (number(0, 100_000)?, number(1, 576)?, number(2, 100)?);
    let settings = match args.get(3).map(String::as_str) {
        Some("minibatch") => KMeans::mini_batch(k, 0),
        _ => KMeans::full(k, 0),
    };
    let noise: f32 = args.get(4).map_or(Ok(0.5), |text| text.parse())?;
    let data = made_up(rows, dim, noise);
    let start = Instant::now();
    let found = settings.fit(&Vectors::new(&data, dim)?)?;
    println!(
        "{rows} × {dim} into {k}: {:.2} s with {} threads, inertia {:.4}, {} iterations of the best start",
        start.elapsed().as_secs_f64(),
        rayon::current_num_threads(),
        found.inertia,
        found.iterations
    );
    Ok(())
}

/// Unit vectors around 200 places around one direction.
fn made_up(rows: usize, dim: usize, noise: f32) -> Vec<f32> {
    let mut state = 1u64;
    let mut draw = || {
        // Twelve uniform numbers make a near-normal one (xorshift64*).
        let mut sum = -6.0;
        for _ in 0..12 {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            sum += (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as f32 / (1u64 << 24) as f32;
        }
        sum
    };
    let common: Vec<f32> = (0..dim).map(|_| 4.0 * draw()).collect();
    let places: Vec<f32> = (0..200 * dim).map(|_| draw()).collect();
    let mut data = Vec::with_capacity(rows * dim);
    for i in 0..rows {
        let place = &places[(i * 7919) % 200 * dim..][..dim];
        let row: Vec<f32> = place
            .iter()
            .zip(&common)
            .map(|(p, c)| p + c + noise * draw())
            .collect();
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        data.extend(row.iter().map(|x| x / length));
    }
    data
}
