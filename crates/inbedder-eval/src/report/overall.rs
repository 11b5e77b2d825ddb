//! All tables, and those that are not of one kind: pairs of clusterings, robustness, checks, averages, failures.

use super::tables::{Table, of_kinds, score, strings};
use crate::results::{Average, Results, SystemInfo};
use crate::robustness::GROUPS;

/// All tables that have a row.
pub fn tables(results: &Results) -> Vec<Table> {
    let mut tables = of_kinds(results);
    tables.extend(overall(results));
    tables
}

/// The tables that are not of one kind, as far as they have a row.
pub(super) fn overall(results: &Results) -> Vec<Table> {
    let mut tables = vec![
        pairs(results),
        robustness(results),
        validation(results),
        averages(results),
        failures(results),
    ];
    tables.retain(|table| table.header.len() > 1 && !table.rows.is_empty());
    tables
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

/// A row per system, so that a system more is a row more.
fn averages(results: &Results) -> Table {
    let mut header = strings(&["system"]);
    for average in &results.averages {
        let Average { kind, tasks, .. } = average;
        header.extend([format!("{kind} ({tasks})"), "centred".to_string()]);
    }
    let row = |(number, system): (usize, &SystemInfo)| {
        let mut row = vec![system.name.clone()];
        for average in &results.averages {
            row.extend([&average.raw, &average.centred].map(|list| score(list[number])));
        }
        row
    };
    Table {
        title: "averages × 100".to_string(),
        header,
        rows: results.systems.iter().enumerate().map(row).collect(),
        note: "Over the tasks (their number in brackets) that every system has a score of."
            .to_string(),
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
