//! Tables of results, and those of one kind of task each; the others are in `overall`. Scores are shown
//! times 100.

use crate::bootstrap::Difference;
use crate::results::{Results, SystemScore, TaskResult};
use crate::tasks::Metric;

/// A table of text; the first column holds names.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// As many cells as columns each.
    pub rows: Vec<Vec<String>>,
    /// How to read it.
    pub note: String,
}

impl Table {
    /// The table with its columns in line, for a terminal.
    pub fn plain(&self) -> String {
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| lines().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..self.header.len()).filter_map(width).collect();
        let mut text = format!("\n{}\n", self.title);
        for row in lines() {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            text.push_str(format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end());
            text.push('\n');
        }
        text
    }
}

/// What was run, in a few lines.
pub fn headline(results: &Results) -> String {
    let settings = &results.settings;
    let sample = settings.max_texts.map_or("all texts".to_string(), |most| {
        format!("a sample of at most {most} texts (rows) of each task")
    });
    let open = if results.open > 0 {
        format!(", {} tasks are still to come", results.open)
    } else {
        String::new()
    };
    format!(
        "inbedder {} on {}: {sample}; k-means `{}`, {} clusterings, seed {}; {} tasks in {:.0} s, of which {:.0} s \
         in the model ({:.0} %){open}. {}",
        results.version,
        results.data,
        settings.protocol,
        settings.clusterings,
        settings.seed,
        results.tasks.len(),
        results.seconds,
        results.model_seconds,
        100.0 * results.model_seconds / results.seconds.max(1e-9),
        if results.failed > 0 {
            format!("{} tasks failed.", results.failed)
        } else {
            "No task failed.".to_string()
        }
    )
}

/// A table for each kind of task.
pub(super) fn of_kinds(results: &Results) -> Vec<Table> {
    let mut kinds: Vec<&str> = Vec::new();
    for task in &results.tasks {
        if !kinds.contains(&task.kind.as_str()) {
            kinds.push(&task.kind);
        }
    }
    kinds.iter().map(|kind| of_kind(results, kind)).collect()
}

/// A fraction times 100, with one decimal.
pub(super) fn score(value: f64) -> String {
    format!("{:.1}", 100.0 * value)
}

pub(super) fn metric(metrics: &[Metric], place: usize) -> String {
    let deviation = |metric: &Metric| metric.deviation.map(|d| format!(" ± {}", score(d)));
    metrics.get(place).map_or("–".to_string(), |metric| {
        format!(
            "{}{}",
            score(metric.value),
            deviation(metric).unwrap_or_default()
        )
    })
}

fn difference(difference: Option<Difference>) -> String {
    difference.map_or("–".to_string(), |d| {
        let signed = |value: f64| format!("{:+.1}", 100.0 * value);
        format!(
            "{} [{}, {}]",
            signed(d.value),
            signed(d.low),
            signed(d.high)
        )
    })
}

pub(super) fn strings(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| cell.to_string()).collect()
}

/// Names of a kind's metrics, as the first score has them.
fn names(tasks: &[&TaskResult]) -> Vec<String> {
    let scores = tasks.iter().flat_map(|task| &task.scores);
    let first = scores.map(|score| &score.raw).find(|raw| !raw.is_empty());
    first.map_or(Vec::new(), |raw| {
        raw.iter().map(|metric| metric.name.clone()).collect()
    })
}

fn of_kind(results: &Results, kind: &str) -> Table {
    let of_kind = |task: &&TaskResult| task.kind == kind;
    let tasks: Vec<&TaskResult> = results.tasks.iter().filter(of_kind).collect();
    let by_axis = kind == "triplets";
    let mut header = strings(&["task", "rows"]);
    for (number, system) in results.systems.iter().enumerate() {
        let name = &system.name;
        header.extend([name.clone(), format!("{name} centred")]);
        if by_axis {
            header.push(format!("{name} by axis, raw / centred"));
        }
        if number > 0 {
            let first = &results.systems[0].name;
            header.extend([format!("{name} − {first}"), "centred".to_string()]);
        }
    }
    let published = results.published.iter();
    header.extend(published.map(|published| format!("published: {}", published.name)));
    let main = names(&tasks).into_iter().next().unwrap_or_default();
    Table {
        title: format!("{kind}: {} × 100", main.replace('_', " ")),
        rows: tasks
            .iter()
            .map(|task| row(results, task, by_axis))
            .collect(),
        header,
        note: note(results),
    }
}

/// A task's scores of all systems, and what others have published.
fn row(results: &Results, task: &TaskResult, by_axis: bool) -> Vec<String> {
    let of = if task.size.rows < task.size.of {
        format!("{} of {}", task.size.rows, task.size.of)
    } else {
        task.size.rows.to_string()
    };
    let mut row = vec![task.name.clone(), of];
    let none = SystemScore::default();
    for number in 0..results.systems.len() {
        let found = task.scores.get(number).unwrap_or(&none);
        let failed = task.error.is_some() || found.error.is_some();
        let cell = |metrics: &[Metric]| match failed {
            true => "failed".to_string(),
            false => metric(metrics, 0),
        };
        row.extend([cell(&found.raw), cell(&found.centred)]);
        if by_axis {
            row.push(axes(found));
        }
        if number > 0 {
            let both = [found.difference, found.difference_centred];
            row.extend(both.map(difference));
        }
    }
    for published in &results.published {
        let found = published.scores.get(&task.name);
        row.push(found.map_or("–".to_string(), |value| score(*value)));
    }
    row
}

fn note(results: &Results) -> String {
    let mut note = String::new();
    if results.systems.len() > 1 {
        note.push_str(&format!(
            "Differences are to {}, with the 95 % interval of a paired bootstrap ({} resamples). ",
            results.systems[0].name, results.settings.resamples
        ));
    }
    if !results.published.is_empty() {
        note.push_str(
            "Published scores go by a task's name; that the texts are the same it does not say.",
        );
    }
    note.trim_end().to_string()
}

/// Both axes of a triplet task: `50.0, 60.0 / 55.0, 62.0`.
fn axes(found: &SystemScore) -> String {
    let both = |metrics: &[Metric]| format!("{}, {}", metric(metrics, 1), metric(metrics, 2));
    format!("{} / {}", both(&found.raw), both(&found.centred))
}
