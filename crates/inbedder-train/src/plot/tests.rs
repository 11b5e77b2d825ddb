//! The drawing holds what the file does, and is well-formed.

use super::*;
use std::io::Write;

fn metrics(steps: u64, looks: &[u64]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for step in 1..=steps {
        let loss = 1.0 + 1.0 / step as f64;
        let line = serde_json::to_string(&Record::Step(StepRecord {
            step,
            epoch: 1,
            rows: step,
            tokens: step,
            loss,
            learning_rate: 1e-4,
            grad_norm: loss,
            tokens_per_second: 1.0,
            seconds: 1.0,
        }));
        writeln!(file, "{}", line.unwrap()).unwrap();
        if looks.contains(&step) {
            let line = serde_json::to_string(&Record::Validation(ValidationRecord {
                step,
                validation_loss: Some(loss),
                exact_match: (step > 1).then_some(0.25),
            }));
            writeln!(file, "{}", line.unwrap()).unwrap();
        }
    }
    file
}

/// Points of each curve, and dots.
fn outline(svg: &str) -> (Vec<usize>, usize) {
    let curves = svg.split("<polyline points=\"").skip(1);
    let points = curves.map(|rest| rest.split('"').next().unwrap().split(' ').count());
    (points.collect(), svg.matches("<circle").count())
}

#[test]
fn every_curve_is_drawn_within_the_page() {
    let svg = plot(metrics(30, &[1, 10, 30]).path()).unwrap();
    assert_eq!(outline(&svg), (vec![30, 30, 3, 2, 30, 30], 5));
    for word in [
        "smoothed",
        "validation loss",
        "exact match",
        "learning rate",
        "step",
    ] {
        assert!(svg.contains(word), "{word}");
    }
    let numbers = svg
        .split("points=\"")
        .skip(1)
        .flat_map(|rest| rest.split('"').next().unwrap().split([' ', ',']));
    for number in numbers.map(|number| number.parse::<f64>().unwrap()) {
        assert!((0.0..4.0 * 260.0).contains(&number), "{number}");
    }
    for tag in ["svg", "text"] {
        let opened = svg.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, svg.matches(&format!("</{tag}>")).count());
    }
}

#[test]
fn long_runs_are_thinned_and_short_ones_drawn() {
    let (points, _) = outline(&plot(metrics(1300, &[]).path()).unwrap());
    assert_eq!(points, [434, 434, 434, 434]);
    let (points, _) = outline(&plot(metrics(1, &[]).path()).unwrap());
    assert_eq!(points, [1, 1, 1, 1]);
}

#[test]
fn smoothing_takes_means_and_keeps_the_length() {
    let points: Vec<Point> = (0..200).map(|i| (f64::from(i), f64::from(i % 4))).collect();
    let found = smoothed(&points);
    assert_eq!(found.len(), 200);
    assert_eq!(found[0], (0.0, 0.0));
    assert!(found[3..].iter().all(|(_, y)| *y == 1.5));
}

#[test]
fn what_is_no_metrics_is_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    assert!(
        plot(file.path())
            .unwrap_err()
            .to_string()
            .contains("no step")
    );
    writeln!(file, "{{\"step\": 1}}").unwrap();
    assert!(plot(file.path()).unwrap_err().to_string().contains(":1: "));
}
