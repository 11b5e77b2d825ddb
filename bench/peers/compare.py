"""inbedder against PyTorch + transformers on the same prompts, threads and machine, in turn.

    bench/peers/run MODEL.gguf TEXTS.jsonl[.zst|.gz] -q QUESTION [-q ...] [--limit N] [--rounds N]
        [--tokens 64-128] [--threads N]

All systems read the same texts under the same questions; each round runs one after the other, so that
a change of the machine's speed meets all. PyTorch gets every help it has without our design: prompts
sorted by length, right-padded batches of the best of several sizes, no gradients, the last position's
state alone kept. Printed per system: prompt tokens (as if each prompt were read alone) per second,
median and best over rounds, the share of the machine's register peak in the same arithmetic (ours),
the cosine of its embeddings to PyTorch's in f32; and the ratios, taken round by round.
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


def load_tokenizer(gguf):
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    folder, name = os.path.split(os.path.abspath(gguf))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # The model's own tokenizer splits numbers into digits; transformers (5.23) forgets it for GGUF.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def load_torch(gguf, dtype):
    from transformers import AutoModelForCausalLM

    folder, name = os.path.split(os.path.abspath(gguf))
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=dtype)
    return model.model.to(dtype).eval()


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
                states[i] = hidden[row, len(prompts[i]) - 1].float()
    return time.perf_counter() - start, torch.stack(states)


def our_command(args, command, texts_file, precision):
    line = [args.binary, command, texts_file, "--model", args.model, "--threads", str(args.threads)]
    line += ["--precision", precision]
    for question in args.question:
        line += ["-q", question]
    return line


def run_ours(args, texts_file, precision):
    """Seconds of one round of `inbedder bench`, and its report."""
    line = our_command(args, "bench", texts_file, precision) + ["--rounds", "1", "--json"]
    report = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    return report["seconds"][0], report


def our_states(args, texts_file, precision, folder):
    """Embeddings `[question · text][dim]` in the order of the prompts."""
    import numpy as np

    out = os.path.join(folder, f"{precision}.npy")
    line = our_command(args, "embed", texts_file, precision) + ["-o", out, "--force", "--quiet"]
    subprocess.run(line, check=True)
    vectors = np.load(out)
    return vectors.reshape(-1, vectors.shape[-1])


def cosines(a, b):
    import numpy as np

    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("-q", "--question", action="append", required=True)
    parser.add_argument("--limit", type=int, default=256)
    parser.add_argument("--tokens", help="only texts of so many tokens, as in 64-128")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--binary", default="target/release/inbedder")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 32])
    args = parser.parse_args()

    import torch

    torch.set_num_threads(args.threads)
    tokenizer = load_tokenizer(args.model)
    texts = read_texts(args.texts, None)
    if args.tokens:
        least, most = map(int, args.tokens.split("-"))
        texts = [text for text in texts if least <= len(tokenizer(text)["input_ids"]) <= most]
    texts = texts[: args.limit]
    prompts = [
        tokenizer(PATTERN.format(input=text, instruction=question))["input_ids"][-512:]
        for question in args.question
        for text in texts
    ]
    tokens = sum(map(len, prompts))
    print(f"{len(texts)} texts × {len(args.question)} questions, {tokens} prompt tokens, {args.threads} threads")

    models = {"f32": load_torch(args.model, torch.float32), "bf16": load_torch(args.model, torch.bfloat16)}
    trial = prompts[:: max(1, len(prompts) // 32)]
    sizes = {}
    for name, model in models.items():
        run_torch(model, trial[:4], 1)
        sizes[name] = min(args.batch_sizes, key=lambda size: run_torch(model, trial, size)[0])
    print(f"PyTorch batch sizes: {sizes} (best of {args.batch_sizes} on {len(trial)} prompts)")

    with tempfile.TemporaryDirectory() as folder:
        texts_file = os.path.join(folder, "texts.jsonl")
        with open(texts_file, "w") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        ours = ["f32", "bf16", "int8"]
        speeds = {("inbedder", p): [] for p in ours} | {("PyTorch", p): [] for p in models}
        shares, states = {p: [] for p in ours}, {}
        for _ in range(args.rounds):
            for precision in ours:
                seconds, report = run_ours(args, texts_file, precision)
                speeds["inbedder", precision].append(tokens / seconds)
                shares[precision].append(report["operations"] / seconds / report["peak_operations_per_second"])
            for precision, model in models.items():
                seconds, found = run_torch(model, prompts, sizes[precision])
                speeds["PyTorch", precision].append(tokens / seconds)
                states["PyTorch", precision] = found.numpy()
        for precision in ours:
            states["inbedder", precision] = our_states(args, texts_file, precision, folder)
    print_table(report["instruction_set"], speeds, shares, states)


def print_table(instruction_set, speeds, shares, states):
    print(f"\n| {instruction_set}, prompt tokens/s | median | best | of the peak | cosine min | mean |")
    print("|---|---|---|---|---|---|")
    for (system, precision), values in speeds.items():
        share = f"{100 * statistics.median(shares[precision]):.0f} %" if system == "inbedder" else ""
        close = cosines(states[system, precision], states["PyTorch", "f32"])
        print(
            f"| {system} {precision} | {statistics.median(values):.0f} | {max(values):.0f} | {share} "
            f"| {close.min():.6f} | {close.mean():.6f} |"
        )
    print("\n| ratio of a round | median | least | most |\n|---|---|---|---|")
    for ours, theirs in [("f32", "f32"), ("bf16", "bf16"), ("int8", "bf16")]:
        ratios = [a / b for a, b in zip(speeds["inbedder", ours], speeds["PyTorch", theirs])]
        middle = statistics.median(ratios)
        print(f"| our {ours} to PyTorch {theirs} | {middle:.2f} | {min(ratios):.2f} | {max(ratios):.2f} |")


if __name__ == "__main__":
    main()
