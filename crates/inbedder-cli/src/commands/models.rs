//! `inbedder models`: what can be had by name, and fetching it.

use crate::args::{ModelsAction, ModelsArgs};
use crate::error::{Error, Result};
use crate::progress::{FetchBar, catch_interrupts};
use inbedder::source::{BUILTIN, Builtin, Cache};
use std::io::Write;

pub(crate) fn run(args: &ModelsArgs) -> Result<()> {
    let cache = Cache::from_env()?;
    let out = match &args.action {
        None => list(&cache),
        Some(ModelsAction::Pull { name }) => {
            let builtin = Builtin::named(name)?;
            catch_interrupts();
            let path = builtin.pull(&cache, &FetchBar::new())?;
            format!("{}\n", path.display())
        }
    };
    anstream::stdout()
        .write_all(out.as_bytes())
        .map_err(Error::Stdout)
}

fn list(cache: &Cache) -> String {
    let mut out = String::new();
    for model in BUILTIN {
        let state = if model.is_present(cache) {
            model.path(cache).display().to_string()
        } else {
            format!("not here yet: inbedder models pull {}", model.names[0])
        };
        out.push_str(&format!(
            "{}  {}, {}, {} MB\n    {state}\n",
            model.names.join(", "),
            model.description,
            model.licence,
            model.bytes / 1_000_000,
        ));
    }
    out.push_str("Any other: a folder, a .gguf file or hf:owner/name, with --model\n");
    out
}
