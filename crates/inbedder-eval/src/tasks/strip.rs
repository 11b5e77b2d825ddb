//! A clustering task's texts under its robustness instructions: V-measure of each, and what `check`
//! needs to judge each without labels.

use super::clustering::vectors;
use super::{Data, Fetch};
use crate::prompts::Prompts;
use crate::settings::Settings;
use crate::{Error, Result};
use inbedder_cluster::Contingency;
use std::collections::BTreeSet;

/// A task's texts under many instructions.
pub(crate) struct Strip {
    /// Correct, implicit, incorrect: each with its instructions.
    pub(crate) groups: [Vec<Wording>; 3],
    pub(crate) truth: Vec<usize>,
    pub(crate) clusters: usize,
    /// Prompts of the texts under the empty instruction, for checks.
    pub(crate) empty: Vec<usize>,
}

/// An instruction with its prompts.
pub(crate) struct Wording {
    pub(crate) instruction: String,
    /// `[text]`.
    pub(crate) prompts: Vec<usize>,
    /// `[paraphrase][text]`, for checks, of the first texts alone.
    pub(crate) paraphrases: Vec<Vec<usize>>,
}

impl Strip {
    /// Enters the prompts of texts, each with its label, under the robustness instructions `name`.
    pub(super) fn new(
        name: &str,
        data: &Data<'_>,
        (texts, truth): (&[&str], &[usize]),
        prompts: &mut Prompts,
    ) -> Result<Self> {
        let wordings = data.robustness.get(name);
        let wordings =
            wordings.ok_or_else(|| format!("there are no robustness instructions {name:?}"));
        let wordings = wordings.and_then(|wordings| {
            wordings.check()?;
            Ok(wordings)
        });
        let wordings = wordings.map_err(|problem| Error::data(data.path, problem))?;
        // A seeded part of the sample: chosen by place, so that it is a sample itself.
        let random = crate::random::Random::new(data.settings.seed, data.file);
        let most = data.settings.robustness_texts;
        let used = random.choose(texts.len(), most, |_| true);
        let texts: Vec<&str> = used.iter().map(|i| texts[*i]).collect();
        let truth: Vec<usize> = used.iter().map(|i| truth[*i]).collect();
        let check = data.settings.check.as_ref();
        let checked = check.map_or(0, |check| check.texts.min(texts.len()));
        let mut asked = Asked {
            checked: &texts[..checked],
            texts: &texts,
            rewordings: check.map_or(0, |check| check.paraphrases),
            prompts,
        };
        let groups = [
            asked.group(&wordings.correct)?,
            asked.group(&wordings.implicit)?,
            asked.group(&wordings.incorrect)?,
        ];
        let empty = asked.ask(&texts[..checked], "");
        Ok(Self {
            groups,
            clusters: truth.iter().collect::<BTreeSet<_>>().len(),
            empty,
            truth,
        })
    }

    /// V-measure of each instruction, in the order of the groups; one clustering each.
    pub(crate) fn scores(
        &self,
        fetch: Fetch<'_>,
        centred: bool,
        settings: &Settings,
    ) -> Result<[(Vec<String>, Vec<f64>); 3]> {
        let kmeans = settings.protocol.kmeans(self.clusters, settings.seed);
        let mut found = [const { (Vec::new(), Vec::new()) }; 3];
        for (group, (instructions, scores)) in self.groups.iter().zip(&mut found) {
            for wording in group {
                let matrix = vectors(fetch, &wording.prompts, centred)?;
                let labels = kmeans.fit(&matrix.view()?)?.labels;
                scores.push(Contingency::new(&self.truth, &labels)?.v_measure().v);
                instructions.push(wording.instruction.clone());
            }
        }
        Ok(found)
    }
}

/// What is asked under every instruction.
struct Asked<'a> {
    texts: &'a [&'a str],
    /// The first of them, which are asked the rewordings too.
    checked: &'a [&'a str],
    rewordings: usize,
    prompts: &'a mut Prompts,
}

impl Asked<'_> {
    fn group(&mut self, instructions: &[String]) -> Result<Vec<Wording>> {
        let (texts, checked) = (self.texts, self.checked);
        let wording = |instruction: &String| {
            let reworded = crate::paraphrase::rewordings(instruction, self.rewordings)?;
            let paraphrases = reworded.iter();
            Ok(Wording {
                instruction: instruction.clone(),
                prompts: self.ask(texts, instruction),
                paraphrases: paraphrases.map(|w| self.ask(checked, w)).collect(),
            })
        };
        instructions.iter().map(wording).collect()
    }

    fn ask(&mut self, texts: &[&str], instruction: &str) -> Vec<usize> {
        let numbers = texts.iter().map(|text| self.prompts.add(text, instruction));
        numbers.collect()
    }
}
