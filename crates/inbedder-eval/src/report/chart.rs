//! Charts as inline SVG: bars of scores by task and system, and a strip of every instruction's score. By
//! hand, since a page without a script or a network needs no more than rectangles, circles and words.

use crate::results::{Results, TaskResult};
use crate::robustness::{GROUPS, Robustness};

const COLOURS: [&str; 6] = [
    "#2a6f97", "#e07a1f", "#4c956c", "#9a4c95", "#8d6e63", "#607d8b",
];
const LEFT: usize = 250;
const WIDTH: usize = 420;
const BAR: usize = 12;

/// Text that is safe in HTML and SVG.
pub(super) fn escape(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
}

fn frame(height: usize, label: &str, content: &str) -> String {
    let width = LEFT + WIDTH + 60;
    format!(
        "<svg role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">{content}</svg>\n",
        escape(label)
    )
}

fn words(x: usize, y: usize, anchor: &str, text: &str) -> String {
    format!(
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
        escape(text)
    )
}

/// Scores of a kind's tasks, a bar per system; bars below zero have no length.
pub(super) fn bars(results: &Results, kind: &str) -> String {
    let tasks: Vec<&TaskResult> = results
        .tasks
        .iter()
        .filter(|task| task.kind == kind)
        .collect();
    let block = results.systems.len() * BAR + 8;
    let mut content = String::new();
    for (i, task) in tasks.iter().enumerate() {
        let top = i * block + 4;
        content.push_str(&words(LEFT - 8, top + block / 2, "end", &task.name));
        for (s, found) in task.scores.iter().enumerate() {
            let Some([raw, _]) = found.main() else {
                continue;
            };
            let (y, length) = (top + s * BAR, raw.clamp(0.0, 1.0) * WIDTH as f64);
            let colour = COLOURS[s % COLOURS.len()];
            content.push_str(&format!(
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>",
                BAR - 2
            ));
            let end = LEFT + length as usize + 4;
            content.push_str(&words(
                end,
                y + BAR - 3,
                "start",
                &super::tables::score(raw),
            ));
        }
    }
    frame(tasks.len() * block + 8, kind, &content)
}

/// What the bars' colours stand for.
pub(super) fn legend(results: &Results) -> String {
    let entry = |(i, name): (usize, &String)| {
        let colour = COLOURS[i % COLOURS.len()];
        format!(
            "<span><i style=\"background:{colour}\"></i>{}</span> ",
            escape(name)
        )
    };
    let names = results.systems.iter().map(|system| &system.name);
    let names: Vec<&String> = names.collect();
    let entries: String = names.into_iter().enumerate().map(entry).collect();
    format!("<p class=\"legend\">{entries}</p>\n")
}

/// A dot per instruction in three rows; a right wording should lie to the right of every wrong one.
pub(super) fn strip(title: &str, found: &Robustness) -> String {
    let all = || found.groups.iter().flat_map(|group| &group.scores);
    let least = all().copied().fold(f64::INFINITY, f64::min);
    let most = all().copied().fold(f64::NEG_INFINITY, f64::max);
    let span = (most - least).max(1e-9);
    let x = |score: f64| LEFT as f64 + (score - least) / span * WIDTH as f64;
    let mut content = words(LEFT, 12, "start", title);
    for (i, group) in found.groups.iter().enumerate() {
        let y = 30 + 20 * i;
        content.push_str(&words(LEFT - 12, y + 4, "end", GROUPS[i]));
        for score in &group.scores {
            content.push_str(&format!(
                "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"5\" fill=\"{}\" fill-opacity=\"0.6\"><title>{}</title></circle>",
                x(*score),
                COLOURS[i],
                super::tables::score(*score)
            ));
        }
    }
    let (low, high) = (super::tables::score(least), super::tables::score(most));
    content.push_str(&words(LEFT, 94, "start", &low));
    content.push_str(&words(LEFT + WIDTH, 94, "end", &high));
    frame(100, title, &content)
}
