//! What a check without labels is worth: does it foresee the V-measures of robustness instructions?

use crate::Result;
use crate::check::{self, Measures, Wordings};
use crate::metrics::spearman;
use crate::settings::CheckSettings;
use crate::tasks::{Fetch, Strip};
use serde::Serialize;
use std::collections::BTreeMap;

/// Rank correlation, over the instructions of a task, of what `check` says with the V-measure; `None`
/// where one of them is constant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validation {
    /// Of the verdict's score.
    pub spearman: Option<f64>,
    /// Of every measured part.
    pub parts: BTreeMap<String, Option<f64>>,
    /// What was measured of each instruction: correct, implicit, incorrect ones.
    pub measures: Vec<Measures>,
}

impl Validation {
    /// Checks every instruction of a strip; `scores` are their V-measures.
    pub(crate) fn new(
        strip: &Strip,
        fetch: Fetch<'_>,
        settings: &CheckSettings,
        scores: &[f64],
    ) -> Result<Self> {
        let mut found: Vec<Measures> = Vec::new();
        for wording in strip.groups.iter().flatten() {
            let paraphrases = wording.paraphrases.iter().map(|prompts| fetch(prompts));
            let wordings = Wordings {
                own: fetch(&wording.prompts[..strip.empty.len()])?,
                paraphrases: paraphrases.collect::<Result<_>>()?,
                empty: fetch(&strip.empty)?,
            };
            found.push(check::measure(&wordings, settings)?);
        }
        let against = |part: fn(&Measures) -> f64| {
            let values: Vec<f64> = found.iter().map(part).collect();
            spearman(&values, scores)
        };
        let parts = [
            ("text_share", against(|m| m.text_share)),
            ("wording_share", against(|m| m.wording_share)),
            ("paraphrase_agreement", against(|m| m.paraphrase_agreement)),
            ("halves_agreement", against(|m| m.halves_agreement)),
            ("empty_agreement", against(|m| m.empty_agreement)),
        ];
        let parts: BTreeMap<String, Option<f64>> = parts
            .into_iter()
            .map(|(name, value)| (name.to_string(), value))
            .collect();
        Ok(Self {
            spearman: against(|m| m.score),
            parts,
            measures: found,
        })
    }
}
