//! How an evaluation is done, as plain values; all of it goes into the results.

use crate::{Error, Result};
use inbedder_cluster::KMeans;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// How corpora are clustered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Full k-means from k-means++, the best of 10 starts.
    #[default]
    Full,
    /// Mini-batch k-means with batches of 500, as mteb and the authors of InBedder.
    Mteb,
}

const PROTOCOLS: [(&str, Protocol); 2] = [("full", Protocol::Full), ("mteb", Protocol::Mteb)];

impl Protocol {
    pub(crate) fn kmeans(self, k: usize, seed: u64) -> KMeans {
        match self {
            Self::Full => KMeans::full(k, seed),
            Self::Mteb => KMeans::mini_batch(k, seed),
        }
    }
}

impl FromStr for Protocol {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        let found = PROTOCOLS.iter().find(|(known, _)| *known == name);
        found.map(|(_, protocol)| *protocol).ok_or(Error::Setting {
            what: "protocol",
            problem: format!("{name:?} is unknown, choose full or mteb"),
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = PROTOCOLS.iter().find(|(_, known)| known == self);
        f.write_str(found.map_or("?", |(name, _)| name))
    }
}

/// How an evaluation is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// At most so many texts (rows of triplets, pairs and queries) of a task, a seeded sample.
    pub max_texts: Option<usize>,
    /// Decides samples, clusterings and resamples.
    pub seed: u64,
    /// Clusterings of a task, with the seeds `seed`, `seed` + 1, …
    pub clusterings: usize,
    /// How corpora are clustered.
    pub protocol: Protocol,
    /// Resamples of a difference's interval.
    pub resamples: usize,
    /// Whether tasks with robustness instructions are run under all of them.
    pub robustness: bool,
    /// At most so many texts of a task under its robustness instructions.
    pub robustness_texts: Option<usize>,
    /// Also judge robustness instructions without labels, as `check` does.
    pub check: Option<CheckSettings>,
}

/// How a question is checked without labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckSettings {
    /// At most so many texts, a seeded sample.
    pub texts: usize,
    /// Rewordings of the question, of those in `paraphrase`.
    pub paraphrases: usize,
    /// Clusters; by default one for 10 texts, 2 to 12.
    pub clusters: Option<usize>,
    /// Decides sample, halves and clusterings.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_texts: None,
            seed: 42,
            clusterings: 3,
            protocol: Protocol::default(),
            resamples: 1000,
            robustness: true,
            robustness_texts: None,
            check: None,
        }
    }
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self {
            texts: 200,
            paraphrases: 2,
            clusters: None,
            seed: 42,
        }
    }
}

impl Settings {
    /// # Errors
    /// [`Error::Setting`] for a zero.
    pub(crate) fn check(&self) -> Result<()> {
        let zero = |number: Option<usize>| number == Some(0);
        let wrong = [
            ("the number of texts", zero(self.max_texts)),
            (
                "the number of robustness texts",
                zero(self.robustness_texts),
            ),
            ("the number of clusterings", self.clusterings == 0),
            ("the number of resamples", self.resamples == 0),
        ];
        match wrong.iter().find(|(_, wrong)| *wrong) {
            Some((what, _)) => Err(Error::Setting {
                what,
                problem: "must be at least 1".to_string(),
            }),
            None => Ok(()),
        }
    }
}
