//! From values to places in a drawing, with ticks at round numbers.

use std::ops::Range;

/// One direction of a panel.
pub(super) struct Axis {
    least: f64,
    most: f64,
    /// Where the least value lies, and where the greatest does.
    places: Range<f64>,
}

impl Axis {
    /// Holds all values that are numbers; a single one lies in the middle.
    pub(super) fn new(values: impl Iterator<Item = f64>, places: Range<f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            least = least.min(value);
            most = most.max(value);
        }
        if least > most {
            (least, most) = (0.0, 1.0);
        } else if least == most {
            let around = if least == 0.0 { 1.0 } else { least.abs() / 2.0 };
            (least, most) = (least - around, most + around);
        }
        Self {
            least,
            most,
            places,
        }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let part = (value - self.least) / (self.most - self.least);
        self.places.start + part * (self.places.end - self.places.start)
    }

    /// Three to ten round values within, with what is written beside them.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let rough = (self.most - self.least) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0, 10.0].into_iter();
        let step = power
            * round.fold(1.0, |best, step| {
                let off = |step: f64| (step * power / rough).ln().abs();
                if off(step) < off(best) { step } else { best }
            });
        // A tick at either end must not be lost to rounding.
        let first = (self.least / step - 1e-9).ceil() as i64;
        let last = (self.most / step + 1e-9).floor() as i64;
        let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
        let tick = |number: i64| {
            let value = number as f64 * step;
            let label = match (decimals, number) {
                (0..5, _) => format!("{value:.decimals$}"),
                (_, 0) => "0".to_string(),
                _ => format!("{value:.1e}"),
            };
            (value, label)
        };
        (first..=last).map(tick).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(least: f64, most: f64, expected: &[&str]) {
        let axis = Axis::new([most, f64::NAN, least].into_iter(), 0.0..1.0);
        let labels: Vec<String> = axis.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn ticks_are_round_and_within() {
        check(0.0, 1.0, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        check(1.0, 250.0, &["50", "100", "150", "200", "250"]);
        check(1.03, 1.41, &["1.1", "1.2", "1.3", "1.4"]);
        check(
            0.0,
            4e-4,
            &["0.0000", "0.0001", "0.0002", "0.0003", "0.0004"],
        );
        check(0.0, 2e-5, &["0", "5.0e-6", "1.0e-5", "1.5e-5", "2.0e-5"]);
        check(7.0, 7.0, &["4", "5", "6", "7", "8", "9", "10"]);
        check(0.0, 0.0, &["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
    }

    #[test]
    fn places_are_straight_between_the_ends() {
        let axis = Axis::new([2.0, 4.0].into_iter(), 100.0..20.0);
        assert_eq!(
            [2.0, 3.0, 4.0].map(|value| axis.place(value)),
            [100.0, 60.0, 20.0]
        );
        let nothing = Axis::new(std::iter::empty(), 0.0..1.0);
        assert_eq!(nothing.place(0.5), 0.5);
    }
}
