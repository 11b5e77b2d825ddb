//! Curves of a run as one SVG: loss, exact match, learning rate and gradient over the steps. By hand, for
//! lines, words and a grid are all there is to it; the evaluation's report draws bars and knows no steps.

mod axis;

use crate::metrics::{Record, StepRecord, ValidationRecord};
use crate::{Error, Result};
use axis::Axis;
use std::path::Path;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
/// Of a panel's curves, and of the words above and below them.
const HEIGHT: f64 = 170.0;
const ABOVE: f64 = 34.0;
const BELOW: f64 = 30.0;
/// Points of a curve, at most; more are averaged.
const POINTS: usize = 600;
/// Part of the steps that a smoothed loss is the mean of.
const SMOOTHED: usize = 50;

const PALE: &str = "#b9d2e2";
const BLUE: &str = "#2a6f97";
const ORANGE: &str = "#e07a1f";

type Point = (f64, f64);

struct Curve {
    name: &'static str,
    colour: &'static str,
    points: Vec<Point>,
    /// Few points are shown as dots too.
    dots: bool,
}

struct Panel {
    curves: Vec<Curve>,
}

/// The curves of a `metrics.jsonl`.
///
/// # Errors
/// A file that cannot be read, a line that is no record, no step in it.
pub fn plot(metrics: &Path) -> Result<String> {
    let records = inbedder_rows::rows::<Record>(metrics)?;
    let records: Vec<(u64, Record)> = records.collect::<Result<_, _>>()?;
    let mut steps = Vec::new();
    let mut looks = Vec::new();
    for (_, record) in records {
        match record {
            Record::Step(step) => steps.push(step),
            Record::Validation(look) => looks.push(look),
        }
    }
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        let problem = format!("{} holds no step", metrics.display());
        return Err(Error::setting("metrics", problem));
    };
    let x = Axis::new(
        [first.step as f64, last.step as f64].into_iter(),
        LEFT..WIDTH - RIGHT,
    );
    let panels = panels(&steps, &looks);
    let height = ABOVE + HEIGHT + BELOW;
    let drawn = panels.iter().enumerate();
    let drawn: String = drawn
        .map(|(i, panel)| draw(panel, &x, i as f64 * height))
        .collect();
    let height = height * panels.len() as f64 + 16.0;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{drawn}{}</svg>\n",
        words((LEFT + WIDTH - RIGHT) / 2.0, height - 8.0, "middle", "step")
    ))
}

fn panels(steps: &[StepRecord], looks: &[ValidationRecord]) -> Vec<Panel> {
    let of_steps = |value: fn(&StepRecord) -> f64| -> Vec<Point> {
        let points: Vec<Point> = steps.iter().map(|s| (s.step as f64, value(s))).collect();
        thinned(&points)
    };
    let line = |name, colour, points| Curve {
        name,
        colour,
        points,
        dots: false,
    };
    let looked = |name, colour, points| Curve {
        dots: true,
        ..line(name, colour, points)
    };
    let loss: Vec<Point> = steps.iter().map(|s| (s.step as f64, s.loss)).collect();
    let at = |look: &ValidationRecord| look.step as f64;
    let validation = looks.iter();
    let validation = validation.filter_map(|l| Some((at(l), l.validation_loss?)));
    let validation = validation.collect();
    let matches = looks.iter();
    let matches = matches
        .filter_map(|l| Some((at(l), l.exact_match?)))
        .collect();
    let all = [
        vec![
            line("loss of the step", PALE, thinned(&loss)),
            line("smoothed", BLUE, thinned(&smoothed(&loss))),
            looked("validation loss", ORANGE, validation),
        ],
        vec![looked("exact match of validation answers", ORANGE, matches)],
        vec![line("learning rate", BLUE, of_steps(|s| s.learning_rate))],
        vec![line(
            "length of the gradient",
            BLUE,
            of_steps(|s| s.grad_norm),
        )],
    ];
    let panel = |mut curves: Vec<Curve>| {
        curves.retain(|curve| !curve.points.is_empty());
        (!curves.is_empty()).then_some(Panel { curves })
    };
    all.into_iter().filter_map(panel).collect()
}

/// Each point becomes the mean of those up to it, over one step in [`SMOOTHED`].
fn smoothed(points: &[Point]) -> Vec<Point> {
    let window = (points.len() / SMOOTHED).max(1);
    let mean = |end: usize| {
        let part = &points[end.saturating_sub(window)..end];
        part.iter().map(|(_, y)| y).sum::<f64>() / part.len() as f64
    };
    let ends = points.iter().enumerate();
    ends.map(|(i, (x, _))| (*x, mean(i + 1))).collect()
}

/// Means of neighbours, so that there are at most [`POINTS`].
fn thinned(points: &[Point]) -> Vec<Point> {
    let mean = |part: &[Point]| {
        let count = part.len() as f64;
        let sum = part
            .iter()
            .fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        (sum.0 / count, sum.1 / count)
    };
    let together = points.len().div_ceil(POINTS).max(1);
    points.chunks(together).map(mean).collect()
}

fn draw(panel: &Panel, x: &Axis, top: f64) -> String {
    let (upper, lower) = (top + ABOVE, top + ABOVE + HEIGHT);
    let values = panel.curves.iter().flat_map(|curve| &curve.points);
    let y = Axis::new(values.map(|(_, y)| *y), lower..upper);
    let mut svg = String::new();
    for (value, label) in y.ticks() {
        let at = y.place(value);
        svg += &grid((LEFT, at), (WIDTH - RIGHT, at));
        svg += &words(LEFT - 6.0, at + 4.0, "end", &label);
    }
    for (value, label) in x.ticks() {
        let at = x.place(value);
        svg += &grid((at, upper), (at, lower));
        svg += &words(at, lower + 16.0, "middle", &label);
    }
    let mut right = LEFT;
    for curve in &panel.curves {
        svg += &format!(
            "<rect x=\"{right}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{}\"/>",
            top + 14.0,
            curve.colour
        );
        svg += &words(right + 15.0, top + 23.0, "start", curve.name);
        right += 40.0 + 7.0 * curve.name.len() as f64;
        svg += &path(curve, x, &y);
    }
    svg
}

fn path(curve: &Curve, x: &Axis, y: &Axis) -> String {
    let places = curve.points.iter().map(|(a, b)| (x.place(*a), y.place(*b)));
    let points: Vec<String> = places
        .clone()
        .map(|(a, b)| format!("{a:.1},{b:.1}"))
        .collect();
    let colour = curve.colour;
    let mut svg = format!(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n",
        points.join(" ")
    );
    if curve.dots {
        for (a, b) in places {
            svg += &format!("<circle cx=\"{a:.1}\" cy=\"{b:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
    }
    svg
}

fn grid(from: Point, to: Point) -> String {
    format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#e3e3e3\"/>",
        from.0, from.1, to.0, to.1
    )
}

/// All of it our own words and numbers, nothing to escape.
fn words(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n")
}

#[cfg(test)]
mod tests;
