//! What is found, for a person (tables) and for a program (clusters.json).

use super::{Corpus, View, one_line};
use crate::args::ClusterArgs;
use crate::error::{Error, Result};
use crate::output::{Metadata, Unfinished};
use anstyle::Style;
use inbedder_cluster::{Agreement, Cluster, Contingency};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Answer words shown of a cluster.
const WORDS: usize = 6;
/// Columns of a contingency table that is printed.
const COLUMNS: usize = 20;

pub(super) struct Report<'a> {
    pub(super) args: &'a ClusterArgs,
    pub(super) corpus: &'a Corpus,
    pub(super) metadata: &'a Metadata,
    pub(super) views: &'a [View],
}

impl View {
    /// A cluster's name by its number.
    pub(super) fn name(&self, cluster: usize) -> &str {
        let clusters = &self.description.clusters;
        let found = clusters
            .iter()
            .find(|described| described.cluster == cluster);
        found.map_or("", |described| &described.name)
    }

    /// The names of a contingency table's rows or columns of this question.
    fn names(&self) -> Vec<String> {
        let outliers = (self.description.outliers > 0).then(|| "outliers".to_string());
        let clusters = 0..self.found.partition.members().len();
        let names = clusters.map(|cluster| self.name(cluster).to_string());
        outliers.into_iter().chain(names).collect()
    }
}

impl Report<'_> {
    /// Each two questions.
    fn pairs(&self) -> impl Iterator<Item = (&View, &View)> {
        let views = self.views.iter().enumerate();
        views.flat_map(|(i, a)| self.views[i + 1..].iter().map(move |b| (a, b)))
    }

    /// # Errors
    /// A file that cannot be written.
    pub(super) fn write_json(&self, path: &Path) -> Result<()> {
        let mut cross = Vec::new();
        for (a, b) in self.pairs() {
            let table = a.cross(b)?;
            cross.push(json!({
                "questions": [a.question, b.question],
                "normalized_mutual_information": table.normalized_mutual_information(),
                "adjusted_rand": table.adjusted_rand(),
                "rows": a.names(),
                "columns": b.names(),
                "table": cells(&table),
            }));
        }
        let questions: Vec<Value> = self.views.iter().map(|view| self.question(view)).collect();
        let report = json!({
            "method": name(self.args.method),
            "seed": self.args.seed,
            "labels": self.args.labels,
            "embedding": self.metadata,
            "questions": questions,
            "cross": cross,
        });
        let mut file = Unfinished::new(path)?;
        let failed = |cause| Error::write(path, cause);
        let text = format!("{report:#}\n");
        file.file.write_all(text.as_bytes()).map_err(failed)?;
        file.persist()
    }

    fn question(&self, view: &View) -> Value {
        let texts: Vec<&str> = self.corpus.texts().collect();
        let clusters = view.description.clusters.iter().map(|cluster| {
            let mut described = json!(cluster);
            let near = cluster.nearest.iter().map(
                |near| json!({"row": near.row, "distance": near.distance, "text": texts[near.row]}),
            );
            described["nearest"] = near.collect();
            described
        });
        let merges = view.found.dendrogram.as_ref().map(|tree| {
            let row = |m: &inbedder_cluster::Merge| json!([m.a, m.b, m.distance, m.size]);
            tree.merges.iter().map(row).collect::<Value>()
        });
        json!({
            "question": view.question,
            "k": view.found.k,
            "choice": view.found.choice,
            "inertia": view.found.inertia,
            "outliers": view.description.outliers,
            "agreement": view.description.agreement,
            "clusters": clusters.collect::<Value>(),
            "dendrogram": merges,
        })
    }

    /// # Errors
    /// None that can be met: the questions are of one corpus.
    pub(super) fn tables(&self) -> Result<String> {
        let mut out = String::new();
        for view in self.views {
            self.table(view, &mut out);
        }
        if self.args.cross {
            for (a, b) in self.pairs() {
                cross_table(a, b, &a.cross(b)?, &mut out);
            }
        }
        Ok(out)
    }

    fn table(&self, view: &View, out: &mut String) {
        let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
        let texts: Vec<&str> = self.corpus.texts().collect();
        let clusters = &view.description.clusters;
        push(out, format_args!("{bold}{}{bold:#}\n", view.question));
        let outliers = match view.description.outliers {
            0 => String::new(),
            count => format!(", {count} outliers"),
        };
        let count = clusters.len();
        let what = if count == 1 { "cluster" } else { "clusters" };
        push(
            out,
            format_args!(
                "{} texts, {count} {what}{outliers}, {}\n",
                texts.len(),
                name(self.args.method)
            ),
        );
        curve(view, out);
        if let Some(agreement) = &view.description.agreement {
            push(out, format_args!("{}\n", agreement_line(agreement)));
        }
        let width = clusters.iter().map(|cluster| cluster.name.chars().count());
        let width = width.max().unwrap_or(0).clamp(4, 32);
        for cluster in clusters {
            let name = one_line(&cluster.name, width);
            let words = one_line(&shown_words(cluster), 60);
            push(
                out,
                format_args!(
                    "{:>6}  {bold}{name:<width$}{bold:#}  {words}{}\n",
                    cluster.size,
                    labels(cluster)
                ),
            );
            for near in &cluster.nearest {
                let text = one_line(texts[near.row], 90);
                push(out, format_args!("        {dim}{text}{dim:#}\n"));
            }
        }
        out.push('\n');
    }
}

/// How k was chosen.
fn curve(view: &View, out: &mut String) {
    let Some(choice) = &view.found.choice else {
        return;
    };
    push(
        out,
        format_args!("k = {} by the simplified silhouette:", choice.k),
    );
    for candidate in &choice.curve {
        push(
            out,
            format_args!(" {}: {:.3}", candidate.k, candidate.silhouette),
        );
    }
    out.push('\n');
}

fn agreement_line(agreement: &Agreement) -> String {
    format!(
        "V-measure {:.3} (homogeneity {:.3}, completeness {:.3}), ARI {:.3}, NMI {:.3}, purity {:.3}, {:.2} bits",
        agreement.v_measure,
        agreement.homogeneity,
        agreement.completeness,
        agreement.adjusted_rand,
        agreement.normalized_mutual_information,
        agreement.purity,
        agreement.mean_entropy_bits,
    )
}

/// The answers' words, or where there are none the decoded ones.
fn shown_words(cluster: &Cluster) -> String {
    let words = cluster.words.iter().map(|weighted| weighted.word.as_str());
    let words: Vec<&str> = words.take(WORDS).collect();
    let decoded = cluster.decoded.iter().flatten().map(String::as_str);
    match words.is_empty() {
        false => words.join(", "),
        true => decoded.take(WORDS).collect::<Vec<_>>().join(", "),
    }
}

/// Entropy and the most frequent labels of a cluster.
fn labels(cluster: &Cluster) -> String {
    let (Some(labels), Some(bits)) = (&cluster.labels, cluster.entropy_bits) else {
        return String::new();
    };
    let mut labels: Vec<(&String, &u64)> = labels.iter().collect();
    labels.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shown = labels
        .iter()
        .take(3)
        .map(|(label, count)| format!("{label} {count}"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    format!("  [{bits:.2} bits: {shown}]")
}

fn cross_table(a: &View, b: &View, table: &Contingency, out: &mut String) {
    let bold = Style::new().bold();
    push(
        out,
        format_args!("{bold}{} × {}{bold:#}\n", a.question, b.question),
    );
    let nmi = table.normalized_mutual_information();
    push(
        out,
        format_args!(
            "NMI {nmi:.3}, ARI {:.3} (0: the questions see different things, 1: the same)\n",
            table.adjusted_rand()
        ),
    );
    let (rows, columns) = (a.names(), b.names());
    if columns.len() > COLUMNS {
        push(
            out,
            format_args!(
                "{} × {} clusters: the table is in the .clusters.json file\n\n",
                rows.len(),
                columns.len()
            ),
        );
        return;
    }
    for (c, name) in columns.iter().enumerate() {
        push(out, format_args!("  ({}) {name}\n", c + 1));
    }
    push(out, format_args!("{:24}", ""));
    for c in 0..columns.len() {
        push(out, format_args!("{:>6}", format!("({})", c + 1)));
    }
    out.push('\n');
    for (name, counts) in rows.iter().zip(cells(table)) {
        push(out, format_args!("{:<24}", one_line(name, 24)));
        for count in counts {
            push(out, format_args!("{count:>6}"));
        }
        out.push('\n');
    }
    out.push('\n');
}

fn cells(table: &Contingency) -> Vec<Vec<u64>> {
    let row = |r| {
        (0..table.columns().len())
            .map(|c| table.count(r, c))
            .collect()
    };
    (0..table.rows().len()).map(row).collect()
}

fn name(method: impl clap::ValueEnum) -> String {
    let value = method.to_possible_value();
    value.map_or(String::new(), |value| value.get_name().to_string())
}

/// Adds to a string, which cannot fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
