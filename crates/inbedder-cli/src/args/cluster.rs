//! Arguments of `inbedder cluster`.

use super::{CenterArgs, InputArgs, RunArgs};
use clap::{Args, ValueEnum};
use inbedder_cluster::{Finder, Hdbscan, Linkage};
use std::path::PathBuf;

/// Clusters texts under a question, and names the clusters.
///
/// The output holds the input's columns with every text's cluster, its name, the answer and the
/// distance to the centre (numbered by question when there are several); OUT.clusters.json all that
/// is known of the clusters. Clusters are numbered by size from 0; -1 is an outlier of hdbscan. A
/// cluster's name is the answer that a third of its texts (and two) give, else the words that its
/// answers have more often than those of others. Decoded words are what the language-model head makes
/// of its centre minus the mean of all texts, out of the words that texts and answers have; only the
/// last layer has them.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder cluster reviews.jsonl -q \"What is the customer complaining about?\" -k 8 -o topics.jsonl
  inbedder cluster reviews.jsonl -q \"How does the writer feel?\" -k auto --center -o feelings.csv
  inbedder cluster reviews.jsonl -q \"Topic?\" -q \"Feeling?\" -k 8 --cross -o both.parquet
  inbedder cluster reviews.jsonl --embeddings topics.parquet -k 8 --labels about -o topics.jsonl
  inbedder cluster tickets.csv -q \"Which product?\" --method hdbscan -o products.csv")]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// Output file: .jsonl (also .gz, .zst), .csv or .parquet
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Number of clusters; auto takes the best simplified silhouette of 2, 3, 4, 6, 8, 11, … 91
    #[arg(short, default_value = "auto", value_name = "N|auto")]
    pub(crate) k: Count,
    /// How clusters are found
    #[arg(long, value_enum, default_value_t = Method::Kmeans)]
    pub(crate) method: Method,
    /// How near two clusters are (agglomerative)
    #[arg(long, value_enum, default_value_t = LinkageName::Ward)]
    pub(crate) linkage: LinkageName,
    /// Texts that make a cluster, and neighbours that make a dense place (hdbscan)
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) min_cluster_size: usize,
    /// Decides every random choice
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Vectors from an earlier embed of the same texts, instead of embedding them
    #[arg(long, value_name = "FILE")]
    pub(crate) embeddings: Option<PathBuf>,
    /// A field of known labels to compare the clusters with
    #[arg(long, value_name = "FIELD")]
    pub(crate) labels: Option<String>,
    /// Print how the clusters of each two questions fall together
    #[arg(long)]
    pub(crate) cross: bool,
    /// Do not generate answers: names come from decoded words
    #[arg(long)]
    pub(crate) no_answers: bool,
    #[command(flatten)]
    pub(crate) center: CenterArgs,
    /// Replace outputs that exist
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// How many clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Auto,
    Of(usize),
}

impl std::str::FromStr for Count {
    type Err = String;

    /// # Errors
    /// Anything but `auto` or a number from 1.
    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(k)) if k > 0 => Ok(Self::Of(k)),
            _ => Err("expected a number of clusters from 1, or auto".to_string()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// k-means++ with 10 starts
    Kmeans,
    /// Mini-batch k-means, batches of 500
    Minibatch,
    /// As many clusters as there are dense places, and outliers
    Hdbscan,
    /// From single texts upwards, with the dendrogram; 20,000 texts at most
    Agglomerative,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinkageName {
    Ward,
    Average,
}

impl ClusterArgs {
    /// The library's method.
    pub(crate) fn finder(&self) -> Finder {
        let (seed, k) = match self.k {
            Count::Auto => (self.seed, None),
            Count::Of(k) => (self.seed, Some(k)),
        };
        match self.method {
            Method::Kmeans => Finder::KMeans { k, seed },
            Method::Minibatch => Finder::MiniBatch { k, seed },
            Method::Hdbscan => Finder::Hdbscan(Hdbscan {
                min_cluster_size: self.min_cluster_size,
                min_samples: self.min_cluster_size,
            }),
            Method::Agglomerative => {
                let linkage = match self.linkage {
                    LinkageName::Ward => Linkage::Ward,
                    LinkageName::Average => Linkage::Average,
                };
                Finder::Agglomerative { k, seed, linkage }
            }
        }
    }
}
