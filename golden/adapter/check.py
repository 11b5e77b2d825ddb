"""What inbedder writes, read by others: adapters by PEFT, merged models by transformers and gguf-py.

    cargo build --release -p inbedder-cli && cargo build --release -p inbedder --example save_adapter
    python golden/adapter/check.py target/release MODEL.gguf

Adapters that were read and written again must give PEFT the same logits as the originals as halves;
merged folders must give transformers the logits that PEFT has with base and adapter; merged GGUF files
must hold the same numbers, Q8_0 within half a step of a block (0.56, since its scale is a half).
With the default model's file all is done for it too.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
LLAMA = HERE.parent / "llama"
BASES = {"plain": "gqa_tied", "patterns": "bias", "regex": "head_dim", "gguf": "gguf_f32/model.gguf"}
# transformers' reader of GGUF files knows neither biases of this family nor a head size of its own.
UNREAD = ["patterns", "regex"]


def run(*arguments):
    subprocess.run([str(argument) for argument in arguments], check=True, stdout=subprocess.DEVNULL)


def load(path):
    file = dict(gguf_file=path.name) if path.suffix == ".gguf" else {}
    folder = path.parent if file else path
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **file).eval()


def logits(model, ids):
    with torch.no_grad():
        return model(ids[None]).logits[0]


def worst(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


def q8_steps(path, merged):
    """The largest distance of a stored number from the merged one, in steps of its block."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1000)
    # Rows of heads are stored in pairs; compared are the matrices without them.
    ours = {names.get_name(name.removesuffix(".weight")): tensor for name, tensor in merged.items()
            if name.endswith("weight") and not ("q_proj" in name or "k_proj" in name)}
    largest, kinds = 0.0, set()
    for tensor in gguf.GGUFReader(path).tensors:
        name = tensor.name.removesuffix(".weight")
        if name not in ours:
            continue
        kinds.add(tensor.tensor_type.name)
        stored = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        wanted = ours[name].float().numpy().reshape(stored.shape)
        if tensor.tensor_type.name == "Q8_0":
            blocks = wanted.reshape(-1, 32)
            steps = np.abs(blocks).max(1, keepdims=True) / 127 + 1e-12
            largest = max(largest, (np.abs(stored.reshape(-1, 32) - blocks) / steps).max())
        elif tensor.tensor_type.name == "F32":
            assert np.array_equal(stored, wanted), name
    return largest, sorted(kinds)


def rounded(base, adapter):
    """PEFT's own model with the adapter's numbers as halves."""
    model = PeftModel.from_pretrained(load(base), adapter).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(parameter.half().float())
    return model


def check(name, base, binaries, ids):
    adapter = HERE / name
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        tuned = PeftModel.from_pretrained(load(base), adapter).eval()
        expected = logits(tuned, ids)
        run(binaries / "examples" / "save_adapter", base, adapter, folder / "saved")
        again = PeftModel.from_pretrained(load(base), folder / "saved").eval()
        saved = worst(logits(again, ids), logits(rounded(base, adapter), ids))
        del again
        merge = [binaries / "inbedder", "models", "merge", "--model", base, "--adapter", adapter, "-o"]
        run(*merge, folder / "merged", "--dtype", "f32")
        merged = load(folder / "merged")
        plain = worst(logits(merged, ids), expected)
        tokens = AutoTokenizer.from_pretrained(folder / "merged")("the other thing").input_ids
        run(*merge, folder / "merged.gguf")
        steps, kinds = q8_steps(folder / "merged.gguf", merged.state_dict())
        run(*merge, folder / "f32.gguf", "--dtype", "f32")
        read = load(folder / "f32.gguf") if name not in UNREAD else None
        of_gguf = worst(logits(read, ids), expected) if read else float("nan")
    print(f"{name}: saved adapter {saved:.1e}, merged folder {plain:.1e}, merged GGUF {of_gguf:.1e} "
          f"(relative to the largest logit); Q8_0 {steps:.3f} steps, {kinds}; {len(tokens)} tokens")
    assert saved < 1e-6 and plain < 1e-4 and not of_gguf > 1e-4 and steps < 0.57 and tokens


def main():
    binaries = Path(sys.argv[1])
    torch.manual_seed(5)
    for name, base in BASES.items():
        check(name, LLAMA / base, binaries, torch.randint(2, 288, (40,)))
    if len(sys.argv) > 2:
        prompts = json.loads((HERE.parent / "smollm2" / "prompts.json").read_text())
        check("smollm2", Path(sys.argv[2]), binaries, torch.tensor(prompts[0]["ids"]))


if __name__ == "__main__":
    main()
