//! Reads a LoRA adapter for a model and writes it as a new PEFT folder, in half precision.
//!
//! ```sh
//! cargo run --release -p inbedder --example save_adapter -- MODEL ADAPTER-FOLDER NEW-FOLDER
//! ```

use inbedder::adapter::{AdapterChoice, AdapterDtype, AdapterSource, LoraAdapter, save};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, adapter, output] = arguments.as_slice() else {
        return Err("expected a model, an adapter and a new folder".into());
    };
    let files = inbedder::source::resolve(model, &AdapterChoice::None, &())?.files;
    let source = AdapterSource::Folder(PathBuf::from(adapter));
    let adapter = LoraAdapter::open(&source, &files.spec()?)?;
    save(output.as_ref(), &adapter, AdapterDtype::F16)?;
    println!("{} layers in {output}", adapter.modules.len());
    Ok(())
}
