"""An adapter that `train.py` saved as a PEFT folder with what the default model needs to know.

    python training/export.py out/NAME.safetensors MODEL.gguf --layer 28 [--center] [--average] -o FOLDER

With `--average` the numbers of A and B are the means of the adapter's and of those that its run started at ("start" in its settings): what
was learnt last is kept as far as it agrees with what was there (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
"""

import argparse
import hashlib
import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from model import saved


def names_of(start):
    """File names in place of paths; a list is a mean."""
    return [names_of(one) for one in start] if isinstance(start, list) else start and Path(start).name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--layer", type=int, required=True, help="that is read")
    parser.add_argument("--center", action="store_true")
    parser.add_argument("--average", action="store_true", help="with what its run started at")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    with safe_open(args.adapter, "pt") as file:
        metadata, names = file.metadata(), list(file.keys())
    run = json.loads(metadata["run"])
    if args.average and not run["start"]:
        parser.error(f"the run of {args.adapter} started at no adapter")
    metadata["run"] = json.dumps(run | {"start": names_of(run["start"])})
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "default",
        "r": run["rank"], "lora_alpha": run["alpha"], "use_rslora": False,
        "target_modules": sorted({name.split(".")[-3] for name in names}),
        "layers_to_transform": sorted({int(name.split(".")[4]) for name in names}),
        "rank_pattern": {}, "alpha_pattern": {}, "bias": "none", "lora_dropout": 0.0, "fan_in_fan_out": False,
        "init_lora_weights": True, "inference_mode": True, "modules_to_save": None, "use_dora": False,
    }
    about = {
        "version": 1,
        "base": {"name": "default", "sha256": [hashlib.sha256(args.model.read_bytes()).hexdigest()]},
        "template": "inbedder", "readout": "fst_gen", "layer": args.layer, "center": args.center,
    }
    args.output.mkdir(parents=True, exist_ok=True)
    tensors = saved([args.adapter, run["start"]] if args.average else args.adapter)
    tensors = {name: tensor.half() for name, tensor in tensors.items()}
    save_file(tensors, args.output / "adapter_model.safetensors", metadata)
    for name, content in [("adapter_config.json", config), ("inbedder.json", about)]:
        (args.output / name).write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
