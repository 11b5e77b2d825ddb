//! What a system is held against, by name.

use crate::runner::System;
use inbedder::Readout;

/// A second system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baseline {
    /// The same model and readout with an empty instruction: the same pattern, nothing asked.
    Empty,
    /// The same model, instructions left in, by another readout, at a layer or the first system's.
    Readout(Readout, Option<usize>),
    /// The same model without its adapter, at its last layer.
    Base,
    /// Another model, by its reference, with its own adapter's readout and layer, or the last.
    Model(String),
}

impl Baseline {
    /// `empty`, `base`, a readout's name with or without `@LAYER` (`avg_ppt`, `fst_gen@20`), or a model.
    pub fn parse(name: &str) -> Self {
        match name {
            "empty" => return Self::Empty,
            "base" => return Self::Base,
            _ => {}
        }
        let (readout, layer) = match name.split_once('@') {
            Some((readout, layer)) => (readout, layer.parse().ok()),
            None => (name, None),
        };
        match readout.parse() {
            Ok(readout) if layer.is_some() == name.contains('@') => Self::Readout(readout, layer),
            _ => Self::Model(name.to_string()),
        }
    }
}

/// What the first model (source 0) is read for, and the systems that come of it; other models' systems
/// are named after their references, sources in the order in which they are given, from 1.
pub fn systems(
    model: &str,
    main: (Readout, usize),
    baselines: &[Baseline],
) -> (Vec<(Readout, usize)>, Vec<System>) {
    let mut readouts = vec![main];
    let name = |(readout, layer): (Readout, usize)| format!("{readout}@{layer}");
    let mut systems = vec![System {
        name: format!("{model} {}", name(main)),
        source: 0,
        reading: 0,
        empty: false,
    }];
    let mut models = 0;
    for baseline in baselines {
        let mut system = System {
            name: "empty".to_string(),
            source: 0,
            reading: 0,
            empty: false,
        };
        match baseline {
            Baseline::Empty => system.empty = true,
            Baseline::Readout(readout, layer) => {
                let readout = (*readout, layer.unwrap_or(main.1));
                system.name = name(readout);
                system.reading = readouts
                    .iter()
                    .position(|known| *known == readout)
                    .unwrap_or_else(|| {
                        readouts.push(readout);
                        readouts.len() - 1
                    });
            }
            Baseline::Base | Baseline::Model(_) => {
                models += 1;
                system.source = models;
                system.name = match baseline {
                    Baseline::Model(reference) => reference.clone(),
                    _ => "base".to_string(),
                };
            }
        }
        systems.push(system);
    }
    (readouts, systems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_empty_instruction_readouts_or_models() {
        let parsed = [
            "empty",
            "avg_ppt",
            "fst_gen@3",
            "fst_gen@x",
            "base",
            "hf:a/b@c",
        ]
        .map(Baseline::parse);
        let expected = [
            Baseline::Empty,
            Baseline::Readout(Readout::AvgPpt, None),
            Baseline::Readout(Readout::FstGen, Some(3)),
            Baseline::Model("fst_gen@x".to_string()),
            Baseline::Base,
            Baseline::Model("hf:a/b@c".to_string()),
        ];
        assert_eq!(parsed, expected);
        let (readouts, found) = systems("m", (Readout::FstGen, 9), &expected);
        let all = [
            (Readout::FstGen, 9),
            (Readout::AvgPpt, 9),
            (Readout::FstGen, 3),
        ];
        assert_eq!(readouts, all);
        let places: Vec<_> = found
            .iter()
            .map(|s| (s.source, s.reading, s.empty))
            .collect();
        let expected = [
            (0, 0, false),
            (0, 0, true),
            (0, 1, false),
            (0, 2, false),
            (1, 0, false),
            (2, 0, false),
            (3, 0, false),
        ];
        assert_eq!(places, expected);
        assert_eq!(found[0].name, "m fst_gen@9");
    }
}
