//! One HTML file that needs nothing else: no script, no network.

use super::chart::{bars, escape, legend, strip};
use super::overall::tables;
use super::tables::{Table, headline};
use crate::results::Results;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;\
color:#222;background:#fff}table{border-collapse:collapse;display:block;overflow-x:auto}td,th{padding:.25rem \
.6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:\
left}svg{font:11px system-ui,sans-serif;max-width:100%;height:auto}.legend i{display:inline-block;width:1em;\
height:1em;margin:0 .3em 0 1em}pre{white-space:pre-wrap;background:#f5f5f5;padding:1rem}";

/// The results as a page.
pub fn html(results: &Results) -> String {
    let mut body = format!(
        "<h1>inbedder eval</h1>\n<p>{}</p>\n",
        escape(&headline(results))
    );
    let mut kinds: Vec<&str> = Vec::new();
    for task in &results.tasks {
        if !kinds.contains(&task.kind.as_str()) {
            kinds.push(&task.kind);
        }
    }
    for kind in kinds {
        body.push_str(&format!("<h2>{}</h2>\n", escape(kind)));
        body.push_str(&legend(results));
        body.push_str(&bars(results, kind));
    }
    body.push_str(&strips(results));
    for found in tables(results) {
        body.push_str(&table(&found));
    }
    let settings = serde_json::json!({"settings": results.settings, "systems": results.systems});
    let settings = serde_json::to_string_pretty(&settings).unwrap_or_default();
    body.push_str(&format!(
        "<h2>Settings</h2>\n<pre>{}</pre>\n",
        escape(&settings)
    ));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>inbedder eval</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n<body>\n{body}</body>\n\
         </html>\n"
    )
}

fn strips(results: &Results) -> String {
    let mut out = String::new();
    for task in &results.tasks {
        for (system, found) in results.systems.iter().zip(&task.scores) {
            if let Some(found) = &found.robustness {
                out.push_str(&strip(&format!("{}: {}", task.name, system.name), found));
            }
        }
    }
    if out.is_empty() {
        return out;
    }
    format!("<h2>robustness to wording</h2>\n<p>V-measure of every instruction.</p>\n{out}")
}

fn table(table: &Table) -> String {
    let row = |cells: &[String], tag: &str| {
        let cells = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = table.rows.iter().map(|cells| row(cells, "td")).collect();
    format!(
        "<h2>{}</h2>\n<table>\n{}{rows}</table>\n<p>{}</p>\n",
        escape(&table.title),
        row(&table.header, "th"),
        escape(&table.note)
    )
}
