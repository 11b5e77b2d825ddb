//! Reports of made-up results: whatever is in them is shown, and nothing breaks the page.

use super::*;
use crate::results::{SystemInfo, SystemScore, TaskResult};
use crate::robustness::Robustness;
use crate::settings::Settings;
use crate::source::Work;
use crate::tasks::{Metric, Size};
use crate::{Difference, Published, Validation};
use std::collections::BTreeMap;

fn score(value: f64) -> SystemScore {
    let metric = |value| Metric {
        name: "v_measure".to_string(),
        value,
        deviation: Some(0.01),
    };
    SystemScore {
        raw: vec![metric(value)],
        centred: vec![metric(value + 0.1)],
        ..SystemScore::default()
    }
}

fn task(name: &str, scores: Vec<SystemScore>, error: Option<&str>) -> TaskResult {
    TaskResult {
        name: name.to_string(),
        kind: "clustering".to_string(),
        file: "a.jsonl".to_string(),
        file_sha256: None,
        size: Size {
            rows: 50,
            of: 60,
            ..Size::default()
        },
        error: error.map(str::to_string),
        scores,
        work: Work::default(),
        seconds: 1.0,
    }
}

pub(crate) fn results() -> Results {
    let system = |name: &str| SystemInfo {
        name: name.to_string(),
        source: serde_json::json!({"model": "<tiny>"}),
        reading: 0,
        empty: false,
    };
    let mut with_strip = score(0.5);
    with_strip.robustness = Some(Robustness::new(
        [vec![0.5], vec![0.25], vec![0.125, 0.75]].map(|scores| (Vec::new(), scores)),
    ));
    with_strip.validation = Some(Validation {
        spearman: Some(0.25),
        parts: BTreeMap::from([("text_share".to_string(), None)]),
        measures: Vec::new(),
    });
    let mut other = score(0.25);
    other.difference = Some(Difference {
        value: -0.25,
        low: -0.3,
        high: 0.05,
    });
    let mut results = Results {
        version: "0".to_string(),
        data: "data".to_string(),
        manifest_sha256: String::new(),
        settings: Settings::default(),
        systems: vec![system("main"), system("other & <co>")],
        tasks: vec![
            task("a|b", vec![with_strip, other], None),
            task("c", vec![score(0.125), score(0.5)], None),
            task("d", vec![], Some("label missing")),
        ],
        pairs: vec![],
        averages: vec![],
        published: vec![Published {
            name: "big".to_string(),
            scores: BTreeMap::from([("c".to_string(), 0.625)]),
            robustness: BTreeMap::new(),
        }],
        failed: 0,
        open: 2,
        seconds: 10.0,
        model_seconds: 9.0,
    };
    results.conclude();
    results
}

#[test]
fn tables_have_as_many_cells_as_columns_and_show_everything() {
    let results = results();
    for table in tables(&results) {
        for row in &table.rows {
            assert_eq!(row.len(), table.header.len(), "{}", table.title);
        }
    }
    let text = markdown(&results);
    for part in [
        "| a\\|b | 50 of 60 | 50.0 ± 1.0 | 60.0 ± 1.0 | 25.0 ± 1.0 | 35.0 ± 1.0 | -25.0 [-30.0, +5.0] |",
        "62.5",
        "failed",
        "label missing",
        "1 tasks failed",
        "2 tasks are still to come",
        "(90 %)",
        "| a\\|b | main | raw | -25.0 | -50.0 | 50.0 (50.0 to 50.0) |",
        "| a\\|b + c | 20.0 |",
        "| system | clustering (2) | centred |",
        "| main | 31.2 | 41.2 |",
        "+0.25",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn the_page_needs_no_network_and_escapes_what_it_shows() {
    let page = html(&results());
    assert!(
        !page.contains("http") && !page.contains("<script"),
        "{page}"
    );
    assert!(page.contains("other &amp; &lt;co&gt;") && !page.contains("<co>"));
    assert_eq!(page.matches("<circle").count(), 4);
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert_eq!(page.matches("<rect").count(), 4);
}

#[test]
fn what_failed_counts_and_averages_are_over_what_all_have() {
    let results = results();
    assert_eq!((results.failed, results.averages[0].tasks), (1, 2));
    assert_eq!(results.averages[0].raw, [0.3125, 0.375]);
    assert_eq!(results.pairs[0].raw, [Some(0.2), Some(1.0 / 3.0)]);
}
