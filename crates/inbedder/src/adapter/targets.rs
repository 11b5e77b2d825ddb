//! Which layers an adapter's configuration means, as PEFT's `check_target_module_exists` does.

use crate::model::LinearModule;
use serde_json::Value;

/// `target_modules` or `exclude_modules`.
#[derive(Debug)]
pub(super) enum Names {
    /// `all-linear`: every linear layer but the head.
    AllLinear,
    /// Whole names, or their ends from a dot on.
    List(Vec<String>),
    /// A regular expression that fits the whole name.
    Pattern(Box<fancy_regex::Regex>),
}

/// The layers that an adapter is for.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) targets: Names,
    pub(super) excluded: Option<Names>,
    /// Numbers of layers; `None` is all.
    pub(super) layers: Option<Vec<usize>>,
}

/// A regular expression that fits a whole name, as Python's `re.fullmatch`.
pub(super) fn pattern(text: &str) -> Result<fancy_regex::Regex, String> {
    fancy_regex::Regex::new(&format!("\\A(?:{text})\\z")).map_err(|cause| cause.to_string())
}

impl Names {
    /// # Errors
    /// What is wrong with the value.
    pub(super) fn parse(value: Value) -> Result<Self, String> {
        match value {
            Value::String(name) if name.eq_ignore_ascii_case("all-linear") => Ok(Self::AllLinear),
            Value::String(regex) => pattern(&regex).map(Box::new).map(Self::Pattern),
            list => serde_json::from_value(list)
                .map(Self::List)
                .map_err(|cause| cause.to_string()),
        }
    }

    fn fit(&self, name: &str) -> Result<bool, String> {
        Ok(match self {
            Self::AllLinear => true,
            Self::List(ends) => ends.iter().any(|end| {
                let before = name.strip_suffix(end.as_str());
                before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }),
            Self::Pattern(regex) => regex.is_match(name).map_err(|cause| cause.to_string())?,
        })
    }
}

impl Selection {
    /// Whether a layer is meant.
    ///
    /// # Errors
    /// A regular expression that runs away.
    pub(super) fn takes(&self, module: &LinearModule) -> Result<bool, String> {
        let excluded = match &self.excluded {
            Some(names) => names.fit(&module.name)?,
            None => false,
        };
        let layer = self
            .layers
            .as_ref()
            .is_none_or(|layers| layers.contains(&module.layer));
        Ok(!excluded && layer && self.targets.fit(&module.name)?)
    }
}
