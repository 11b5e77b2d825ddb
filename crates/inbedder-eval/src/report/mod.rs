//! Results for people: Markdown, and one HTML file. Both show the same tables, made once.

mod chart;
mod html;
mod overall;
mod tables;

pub use html::html;
pub use overall::tables;
pub use tables::{Table, headline};

use crate::results::Results;

/// The tables of results as Markdown.
pub fn markdown(results: &Results) -> String {
    let mut text = format!("{}\n", headline(results));
    for table in tables(results) {
        text.push_str(&format!("\n### {}\n\n", table.title));
        text.push_str(&line(&table.header));
        text.push_str(&format!(
            "|---|{}\n",
            "---:|".repeat(table.header.len() - 1)
        ));
        for row in &table.rows {
            text.push_str(&line(row));
        }
        if !table.note.is_empty() {
            text.push_str(&format!("\n{}\n", table.note));
        }
    }
    text
}

/// What follows from all tasks, for a terminal: headline and the tables that are not of one kind.
pub fn summary(results: &Results) -> String {
    let mut text = format!("\n{}\n", headline(results));
    for table in overall::overall(results) {
        text.push_str(&table.plain());
        if !table.note.is_empty() {
            text.push_str(&format!("  {}\n", table.note));
        }
    }
    text
}

/// The last task in a line per system: name, rows, scores raw and centred.
pub fn last_task(results: &Results) -> String {
    let Some(task) = results.tasks.last() else {
        return String::new();
    };
    let place = results.tasks.len();
    let head = format!(
        "[{place}/{}] {} ({}, {} rows)",
        place + results.open,
        task.name,
        task.kind,
        task.size.rows
    );
    if let Some(error) = &task.error {
        return format!("{head}: failed: {error}\n");
    }
    let mut text = format!("{head}\n");
    for (system, found) in results.systems.iter().zip(&task.scores) {
        let said = match &found.error {
            Some(error) => format!("failed: {error}"),
            None => {
                let [raw, centred] =
                    [&found.raw, &found.centred].map(|list| tables::metric(list, 0));
                format!("{raw:<14} centred {centred}")
            }
        };
        text.push_str(&format!("    {:<28} {said}\n", system.name));
    }
    text
}

fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
        .collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
pub(crate) mod tests;
