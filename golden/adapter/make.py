"""LoRA adapters with random weights, and what PEFT makes of the tiny checkpoints with them.

    python golden/adapter/make.py [MODEL.gguf]

One folder per variant: a PEFT folder and expected.safetensors, whose layout is in golden/README.md.
With the default model's file its variant is made too. Every adapter changes the logits visibly, so
that a test cannot pass without it.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
LLAMA = HERE.parent / "llama"
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# name: (checkpoint, settings, number format)
VARIANTS = {
    "plain": ("gqa_tied", dict(r=4, lora_alpha=8, target_modules=ALL), torch.float32),
    "patterns": (
        "bias",
        dict(r=4, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "v_proj", "mlp.down_proj"],
             layers_to_transform=[1], rank_pattern={"q_proj": 2}, alpha_pattern={"down_proj": 3}),
        torch.float16,
    ),
    "regex": (
        "head_dim",
        dict(r=3, lora_alpha=4, target_modules=r"model\.layers\.\d+\.(?!mlp).*_proj",
             exclude_modules=["v_proj"]),
        torch.bfloat16,
    ),
    "gguf": ("gguf_f32", dict(r=2, lora_alpha=4, target_modules="all-linear"), torch.float32),
}
DEFAULT = dict(r=1, lora_alpha=1, target_modules=["q_proj", "k_proj", "down_proj"])
LENGTHS = [1, 13]
NEW_TOKENS = 6


def base(checkpoint):
    folder = LLAMA / checkpoint
    file = {"gguf_file": "model.gguf"} if (folder / "model.gguf").exists() else {}
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **file).eval()


def adapted(model, settings, dtype, size):
    """The model with an adapter whose numbers are exact in `dtype`."""
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.1, **settings)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.empty_like(parameter).normal_(0.0, size).to(dtype).float())
    return model


def save(model, folder, dtype, base, targets):
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    # As it was given: PEFT writes "all-linear" out as names.
    config["target_modules"] = targets
    for key in ["target_modules", "exclude_modules"]:
        if isinstance(config[key], list):
            config[key] = sorted(config[key])
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors = {name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def expected(model, plain, ids):
    """States of all layers, logits of the last token and the greedy continuation."""
    with torch.no_grad():
        out = model(ids[None], output_hidden_states=True)
        with model.disable_adapter():
            without = model(ids[None]).logits[0, -1]
        assert (out.logits[0, -1] - without).abs().max() > plain, "the adapter changes nothing"
        new = ids.tolist()
        for _ in range(NEW_TOKENS):
            new.append(model(torch.tensor([new])).logits[0, -1].argmax().item())
    return {
        "ids": ids.to(torch.int32),
        "states": torch.stack(out.hidden_states)[:, 0].contiguous(),
        "logits": out.logits[0, -1].contiguous(),
        "continuation": torch.tensor(new[len(ids):], dtype=torch.int32),
    }


def tiny():
    generator = torch.Generator().manual_seed(11)
    for seed, (name, (checkpoint, settings, dtype)) in enumerate(VARIANTS.items()):
        torch.manual_seed(100 + seed)
        model = adapted(base(checkpoint), dict(settings), dtype, 0.3)
        save(model, HERE / name, dtype, checkpoint, settings["target_modules"])
        tensors = {}
        for i, length in enumerate(LENGTHS):
            ids = torch.randint(2, model.config.vocab_size, (length,), generator=generator)
            of_prompt = expected(model, 0.1, ids)
            tensors.update({f"{i}.{key}": value for key, value in of_prompt.items()})
        save_file(tensors, HERE / name / "expected.safetensors")
        print(name, sum(f.stat().st_size for f in (HERE / name).iterdir()))
    weights = (LLAMA / "gqa_tied" / "model.safetensors").read_bytes()
    defaults = dict(
        version=1, base=dict(name="gqa_tied", sha256=[hashlib.sha256(weights).hexdigest()]),
        template="alpaca", readout="avg_ppt", layer=1, center=True,
    )
    (HERE / "plain" / "inbedder.json").write_text(json.dumps(defaults, indent=1) + "\n")


def default(path):
    """The default model: the state of the last token at every tenth layer, for prompts of smollm2."""
    torch.manual_seed(200)
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    model = adapted(model, DEFAULT, torch.float16, 0.1)
    save(model, HERE / "smollm2", torch.float16, "default", DEFAULT["target_modules"])
    prompts = json.loads((HERE.parent / "smollm2" / "prompts.json").read_text())
    tensors = {}
    for i, prompt in enumerate(prompts[:6]):
        out = expected(model, 0.1, torch.tensor(prompt["ids"]))
        tensors[f"{i}.states"] = out["states"][::10, -1].contiguous()
        tensors[f"{i}.continuation"] = out["continuation"]
    save_file(tensors, HERE / "smollm2" / "expected.safetensors")
    print("smollm2", sum(f.stat().st_size for f in (HERE / "smollm2").iterdir()))


if __name__ == "__main__":
    tiny()
    if len(sys.argv) > 1:
        default(Path(sys.argv[1]))
