"""An adapter that `train.py` saved as a PEFT folder with what the default model needs to know.

    python training/export.py out/NAME.safetensors MODEL.gguf --layer 28 [--center] -o models/inbedder-smollm2-135m
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from safetensors import safe_open


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--layer", type=int, required=True, help="that is read")
    parser.add_argument("--center", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    with safe_open(args.adapter, "pt") as file:
        run, names = json.loads(file.metadata()["run"]), list(file.keys())
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
    shutil.copy(args.adapter, args.output / "adapter_model.safetensors")
    for name, content in [("adapter_config.json", config), ("inbedder.json", about)]:
        (args.output / name).write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
