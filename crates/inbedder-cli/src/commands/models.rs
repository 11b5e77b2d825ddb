//! `inbedder models`: what can be had by name, fetching it, and models with an adapter merged in.

use super::adapter;
use crate::args::{MergeModelArgs, ModelsAction, ModelsArgs};
use crate::error::{Error, Result};
use crate::progress::{FetchBar, catch_interrupts};
use inbedder::adapter::AdapterDefaults;
use inbedder::export::export;
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
        Some(ModelsAction::Merge(args)) => merge(args)?,
    };
    anstream::stdout()
        .write_all(out.as_bytes())
        .map_err(Error::Stdout)
}

/// The output's path, and a line of the adapter's defaults, which a plain model cannot carry.
fn merge(args: &MergeModelArgs) -> Result<String> {
    catch_interrupts();
    let (model, adapter) = (&args.model, adapter(args.adapter.as_deref()));
    let resolved = inbedder::source::resolve(model, &adapter, &FetchBar::new())?;
    let adapter = resolved.adapter.as_ref().map(|named| &named.source);
    export(&resolved.files, adapter, &args.output, args.dtype)?;
    if let Some(adapter) = adapter {
        let flags = flags(&adapter.defaults()?);
        if !flags.is_empty() {
            tracing::info!("the adapter was trained to be used with{flags}");
        }
    }
    Ok(format!("{}\n", args.output.display()))
}

/// An adapter's defaults as options of this program.
fn flags(defaults: &AdapterDefaults) -> String {
    let template = defaults.template.as_ref();
    let template = template.map(|template| format!(" --template {:?}", template.to_string()));
    let readout = defaults
        .readout
        .map(|readout| format!(" --readout {readout}"));
    let layer = defaults.layer.map(|layer| format!(" --layer {layer}"));
    let center = defaults.center.filter(|center| *center);
    let center = center.map(|_| " --center".to_string());
    let all = [template, readout, layer, center];
    all.into_iter().flatten().collect()
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
        if let Some(adapter) = model.adapter {
            let name = adapter.name;
            out.push_str(&format!(
                "    with the adapter {name} (--adapter none for the plain model)\n"
            ));
        }
    }
    out.push_str("Any other: a folder, a .gguf file or hf:owner/name, with --model\n");
    out
}
