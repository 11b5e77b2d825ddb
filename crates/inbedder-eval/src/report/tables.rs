//! The tables of results: one per kind, then pairs, robustness, checks, averages and failures. Scores are
//! shown times 100.

use crate::bootstrap::Difference;
use crate::results::{Results, SystemScore, TaskResult};
use crate::robustness::GROUPS;
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

/// All tables that have a row.
pub fn tables(results: &Results) -> Vec<Table> {
    let mut kinds: Vec<&str> = Vec::new();
    for task in &results.tasks {
        if !kinds.contains(&task.kind.as_str()) {
            kinds.push(&task.kind);
        }
    }
    let mut tables: Vec<Table> = kinds.iter().map(|kind| of_kind(results, kind)).collect();
    tables.extend([
        pairs(results),
        robustness(results),
        validation(results),
        averages(results),
        failures(results),
    ]);
    tables.retain(|table| !table.rows.is_empty());
    tables
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

fn strings(cells: &[&str]) -> Vec<String> {
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
    let tasks: Vec<&TaskResult> = results
        .tasks
        .iter()
        .filter(|task| task.kind == kind)
        .collect();
    let names = names(&tasks);
    let of_axes = kind == "triplets";
    let mut header = strings(&["task", "rows"]);
    for (number, system) in results.systems.iter().enumerate() {
        header.extend([system.name.clone(), format!("{} centred", system.name)]);
        if of_axes {
            header.push(format!("{} by axis, raw / centred", system.name));
        }
        if number > 0 {
            header.extend([
                format!("{} − {}", system.name, results.systems[0].name),
                "centred".to_string(),
            ]);
        }
    }
    header.extend(
        results
            .published
            .iter()
            .map(|published| format!("published: {}", published.name)),
    );
    let rows = tasks.iter().map(|task| {
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
            if of_axes {
                row.push(axes(found));
            }
            if number > 0 {
                row.extend([
                    difference(found.difference),
                    difference(found.difference_centred),
                ]);
            }
        }
        for published in &results.published {
            let found = published.scores.get(&task.name);
            row.push(found.map_or("–".to_string(), |value| score(*value)));
        }
        row
    });
    let main = names
        .first()
        .map_or(String::new(), |name| name.replace('_', " "));
    Table {
        title: format!("{kind}: {main} × 100"),
        rows: rows.collect(),
        header,
        note: note(results),
    }
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

fn by_system(results: &Results, first: &[&str]) -> Vec<String> {
    let mut header = strings(first);
    for system in &results.systems {
        header.extend([system.name.clone(), format!("{} centred", system.name)]);
    }
    header
}

fn pairs(results: &Results) -> Table {
    let rows = results.pairs.iter().map(|pair| {
        let mut row = vec![pair.tasks.join(" + ")];
        for (raw, centred) in pair.raw.iter().zip(&pair.centred) {
            row.extend([raw, centred].map(|value| value.map_or("–".to_string(), score)));
        }
        row
    });
    Table {
        title: "two clusterings of one corpus: harmonic mean of V-measures × 100".to_string(),
        header: by_system(results, &["tasks"]),
        rows: rows.collect(),
        note: String::new(),
    }
}

fn robustness(results: &Results) -> Table {
    let mut header = strings(&["task", "system", "vectors", "DCI", "DII"]);
    header.extend(GROUPS.map(|group| format!("{group}: mean (min to max)")));
    let mut rows = Vec::new();
    for task in &results.tasks {
        for (system, found) in results.systems.iter().zip(&task.scores) {
            let both = [
                ("raw", &found.robustness),
                ("centred", &found.robustness_centred),
            ];
            for (vectors, found) in both {
                let Some(found) = found else { continue };
                let mut row = vec![task.name.clone(), system.name.clone(), vectors.to_string()];
                row.extend([found.dci, found.dii].map(|value| format!("{:+.1}", 100.0 * value)));
                row.extend(found.groups.each_ref().map(|group| {
                    let [mean, min, max] = [group.mean, group.min, group.max].map(score);
                    format!("{mean} ({min} to {max})")
                }));
                rows.push(row);
            }
        }
        for published in &results.published {
            if let Some(dci) = published.robustness.get(&task.name) {
                let mut row = vec![task.name.clone(), format!("published: {}", published.name)];
                row.push("–".to_string());
                row.extend(dci.map(|value| format!("{:+.1}", 100.0 * value)));
                row.extend(strings(&["–", "–", "–"]));
                rows.push(row);
            }
        }
    }
    Table {
        title: "robustness to wording: V-measure × 100".to_string(),
        header,
        rows,
        note: "DCI: lowest correct − highest incorrect; DII: lowest implicit − highest incorrect. One clustering \
               each."
            .to_string(),
    }
}

fn validation(results: &Results) -> Table {
    let mut rows = Vec::new();
    let (mut sum, mut count) = (0.0, 0);
    let cell =
        |value: &Option<f64>| value.map_or("–".to_string(), |value| format!("{value:+.2}"));
    let mut parts: Vec<String> = Vec::new();
    for task in &results.tasks {
        for (system, found) in results.systems.iter().zip(&task.scores) {
            let Some(found) = &found.validation else {
                continue;
            };
            let mut row = vec![
                task.name.clone(),
                system.name.clone(),
                cell(&found.spearman),
            ];
            row.extend(found.parts.values().map(cell));
            parts = found
                .parts
                .keys()
                .map(|name| name.replace('_', " "))
                .collect();
            if let Some(value) = found.spearman {
                (sum, count) = (sum + value, count + 1);
            }
            rows.push(row);
        }
    }
    let mut header = strings(&["task", "system", "score"]);
    header.extend(parts);
    Table {
        title: "check against V-measure: Spearman over the robustness instructions".to_string(),
        header,
        rows,
        note: if count > 0 {
            format!(
                "Mean of the score's correlation: {:+.2} over {count}.",
                sum / f64::from(count)
            )
        } else {
            String::new()
        },
    }
}

fn averages(results: &Results) -> Table {
    let rows = results.averages.iter().map(|average| {
        let mut row = vec![average.kind.clone(), average.tasks.to_string()];
        for (raw, centred) in average.raw.iter().zip(&average.centred) {
            row.extend([score(*raw), score(*centred)]);
        }
        row
    });
    Table {
        title: "averages × 100".to_string(),
        header: by_system(results, &["kind", "tasks"]),
        rows: rows.collect(),
        note: "Over the tasks that every system has a score of.".to_string(),
    }
}

fn failures(results: &Results) -> Table {
    let mut rows = Vec::new();
    for task in &results.tasks {
        if let Some(error) = &task.error {
            rows.push(vec![task.name.clone(), "all".to_string(), error.clone()]);
        }
        for (system, found) in results.systems.iter().zip(&task.scores) {
            if let Some(error) = &found.error {
                rows.push(vec![task.name.clone(), system.name.clone(), error.clone()]);
            }
        }
    }
    Table {
        title: "failures".to_string(),
        header: strings(&["task", "system", "reason"]),
        rows,
        note: String::new(),
    }
}
