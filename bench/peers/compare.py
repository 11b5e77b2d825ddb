"""inbedder against PyTorch + transformers on the same prompts, threads and machine, in turn.

    bench/peers/run MODEL.gguf TEXTS.jsonl[.zst|.gz] -q QUESTION [-q ...] [--limit N] [--rounds N]

Both read the same texts under the same questions; each round runs one after the other, so that a
change of the machine's speed meets both. PyTorch gets every help it has without our design:
prompts sorted by length, right-padded batches of the best of several sizes, no gradients, the last
position's state alone kept. Printed: prompt tokens (as if each prompt were read alone) per second,
median and best over rounds, the ratio per round, and the cosine between the two embeddings.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATTERN = "### Input:\n{input}\n\n### Instruction:\n{instruction}\n\n### Response:"


def read_texts(path, limit):
    raw = Path(path).read_bytes()
    if path.endswith(".zst"):
        raw = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    elif path.endswith(".gz"):
        import gzip

        raw = gzip.decompress(raw)
    rows = [json.loads(line)["text"] for line in raw.decode().splitlines() if line.strip()]
    return rows[:limit]


def load_torch(gguf, threads):
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(threads)
    folder, name = os.path.split(os.path.abspath(gguf))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # The model's own tokenizer splits numbers into digits; transformers (5.23) forgets it for GGUF.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    return tokenizer, model.model.eval()


def run_torch(model, prompts, batch_size):
    """Seconds and last-position states of all prompts, in input order."""
    import torch

    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    states = [None] * len(prompts)
    start = time.perf_counter()
    with torch.inference_mode():
        for begin in range(0, len(order), batch_size):
            part = order[begin : begin + batch_size]
            longest = max(len(prompts[i]) for i in part)
            ids = torch.zeros(len(part), longest, dtype=torch.long)
            mask = torch.zeros(len(part), longest, dtype=torch.long)
            for row, i in enumerate(part):
                ids[row, : len(prompts[i])] = torch.tensor(prompts[i])
                mask[row, : len(prompts[i])] = 1
            hidden = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            for row, i in enumerate(part):
                states[i] = hidden[row, len(prompts[i]) - 1].clone()
    return time.perf_counter() - start, torch.stack(states)


def run_ours(binary, gguf, texts_file, questions, threads, out):
    """Seconds of the embedding itself and the vectors, `[question][text][dim]`."""
    import numpy as np

    command = [binary, "embed", texts_file, "--model", gguf, "--threads", str(threads)]
    command += ["--precision", "f32", "-o", out, "--force", "--verbose"]
    for question in questions:
        command += ["-q", question]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = [line for line in done.stderr.splitlines() if "embedded in" in line]
    if not seconds:
        sys.exit(f"no timing in the output of {' '.join(command)}:\n{done.stderr}")
    vectors = np.load(out)
    if len(questions) == 1:
        vectors = vectors[None]
    return float(seconds[-1].split("embedded in")[1].split("s")[0]), vectors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("-q", "--question", action="append", required=True)
    parser.add_argument("--limit", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--binary", default="target/release/inbedder")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 32])
    args = parser.parse_args()

    texts = read_texts(args.texts, args.limit)
    tokenizer, model = load_torch(args.model, args.threads)
    prompts = [
        tokenizer(PATTERN.format(input=text, instruction=question))["input_ids"][-512:]
        for question in args.question
        for text in texts
    ]
    tokens = sum(map(len, prompts))
    trial = prompts[:: max(1, len(prompts) // 32)]
    batch_size = min(args.batch_sizes, key=lambda size: run_torch(model, trial, size)[0])
    print(f"{len(texts)} texts × {len(args.question)} questions, {tokens} prompt tokens, {args.threads} threads")
    print(f"PyTorch batch size: {batch_size} (best of {args.batch_sizes} on {len(trial)} prompts)")

    import numpy as np

    ours, theirs, cosines = [], [], None
    with tempfile.TemporaryDirectory() as folder:
        texts_file = os.path.join(folder, "texts.jsonl")
        with open(texts_file, "w") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        for _ in range(args.rounds):
            seconds, vectors = run_ours(
                args.binary, args.model, texts_file, args.question, args.threads, os.path.join(folder, "out.npy")
            )
            ours.append(tokens / seconds)
            seconds, states = run_torch(model, prompts, batch_size)
            theirs.append(tokens / seconds)
            states = states.numpy()
            flat = vectors.reshape(len(prompts), -1)
            norms = np.linalg.norm(states, axis=1) * np.linalg.norm(flat, axis=1)
            cosines = (states * flat).sum(1) / norms
    for name, values in [("inbedder f32", ours), ("PyTorch f32", theirs)]:
        print(f"{name:14} median {statistics.median(values):7.0f}  best {max(values):7.0f} tokens/s")
    ratios = [a / b for a, b in zip(ours, theirs)]
    print(f"ratio          median {statistics.median(ratios):7.2f}  min {min(ratios):.2f}  max {max(ratios):.2f}")
    print(f"cosine         min {cosines.min():.7f}  mean {cosines.mean():.7f}")


if __name__ == "__main__":
    main()
