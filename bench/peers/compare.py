"""inbedder against PyTorch, onnxruntime and llama.cpp on the same prompts, threads and machine, in turn.

    bench/peers/run MODEL.gguf TEXTS.jsonl[.zst|.gz] [-q QUESTION] [--lengths 16 64-128 400]
        [--threads 2 1] [--limit N] [--rounds N] [--only SYSTEM ...] [--without-scaling]

A length as in 64-128 takes texts that have so many tokens; a single number cuts that many tokens out of
texts put one behind the other. Each round runs one system after the other, so that a change of the
machine's speed meets all. Printed per length and number of threads: prompt tokens (as if each prompt
were read alone) per second, median and best over rounds, the share of the machine's register peak in
the same arithmetic (ours), the cosine of the embeddings to PyTorch's in f32; and ratios, taken round by
round. Then what two threads give over one, and many questions over one.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import weights
from systems import LlamaCpp, Onnx, Ours, Torch

PATTERN = "### Input:\n{input}\n\n### Instruction:\n{instruction}\n\n### Response:"
LLAMA = ["f32", "f16", "bf16", "q8_0", "q4_1"]
# (ours, theirs); a list of theirs means the best of them.
RATIOS = [
    ("inbedder f32", ["PyTorch f32"]),
    ("inbedder f32", ["onnxruntime f32"]),
    ("inbedder bf16", ["PyTorch bf16"]),
    ("inbedder auto", [f"llama.cpp {name}" for name in LLAMA]),
    ("inbedder int8", ["llama.cpp q8_0"]),
    ("inbedder int8", ["onnxruntime int8"]),
]


def read_texts(path):
    raw = Path(path).read_bytes()
    if path.endswith(".zst"):
        raw = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    elif path.endswith(".gz"):
        import gzip

        raw = gzip.decompress(raw)
    return [json.loads(line)["text"] for line in raw.decode().splitlines() if line.strip()]


def of_length(texts, tokenizer, length, limit):
    """Texts that have, or are cut to, so many tokens."""
    if "-" in length:
        least, most = map(int, length.split("-"))
        return [text for text in texts if least <= len(tokenizer(text)["input_ids"]) <= most][:limit]
    ids = tokenizer(" ".join(texts))["input_ids"]
    size = int(length)
    pieces = (ids[begin : begin + size] for begin in range(0, len(ids) - size, size))
    cut = (tokenizer.decode(piece).replace("\ufffd", "").strip() for piece in pieces)
    return [text for _, text in zip(range(limit), cut)]


def work(texts, question, tokenizer, file):
    """What a system may want of some prompts."""
    with open(file, "w") as out:
        out.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    prompts = [PATTERN.format(input=text, instruction=question) for text in texts]
    ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    return {"prompts": prompts, "ids": ids, "file": file, "questions": [question]}


def systems(args, folder, threads):
    """Name → how to load it."""
    dense = weights.dense(args.model, folder)
    all = {f"inbedder {p}": lambda p=p: Ours(args, p, threads) for p in ["f32", "bf16", "int8", "auto"]}
    for name, dtype in [("f32", "float32"), ("bf16", "bfloat16")]:
        all[f"PyTorch {name}"] = lambda dtype=dtype: Torch(dense, dtype, threads)
    for name, make in [("f32", weights.onnx_f32), ("int8", weights.onnx_int8)]:
        all[f"onnxruntime {name}"] = lambda make=make: Onnx(make(args.model, folder), threads)
    for name in LLAMA:
        # The default model's file holds Q4_1 blocks: that one as it is.
        def path(name=name):
            return args.model if name == "q4_1" else weights.quantised(args.model, folder, name)

        all[f"llama.cpp {name}"] = lambda path=path: LlamaCpp(path(), threads)
    return {name: load for name, load in all.items() if not args.only or name.split()[0] in args.only}


def load_all(systems):
    """Those that can be loaded; of the others it is said that they are missing."""
    loaded = {}
    for name, load in systems.items():
        try:
            loaded[name] = load()
        except Exception as problem:
            print(f"{name} is left out, it cannot be loaded: {problem}", flush=True)
    return loaded


def cosines(a, b):
    import numpy as np

    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def compare(args, loaded, todo, folder, title):
    """Rounds of all systems over one piece of work, and its table."""
    tokens = sum(map(len, todo["ids"]))
    trial = dict(todo, prompts=todo["prompts"][:8], ids=todo["ids"][:8])
    sizes, speeds, shares, states = {}, {}, {}, {}
    for name, system in loaded.items():
        sizes[name] = system.sizes[0]
        if len(system.sizes) > 1:
            system.run(trial, system.sizes[0])
            sizes[name] = min(system.sizes, key=lambda size: system.run(trial, size)[0])
        speeds[name], shares[name] = [], []
    for _ in range(args.rounds):
        for name, system in loaded.items():
            time.sleep(0.1)
            seconds, found = system.run(todo, sizes[name])
            speeds[name].append(tokens / seconds)
            if isinstance(system, Ours):
                shares[name].append(system.share())
            else:
                states[name] = found
    ours = [(name, system) for name, system in loaded.items() if isinstance(system, Ours)]
    for name, system in ours:
        states[name] = system.states(todo, folder)
    level = ours[0][1].reports[-1]["instruction_set"] if ours else ""
    print(f"\n### {title}: {len(todo['ids'])} prompts, {tokens} prompt tokens\n", flush=True)
    print(f"Batch sizes that were fastest: { {n: s for n, s in sizes.items() if s} }\n")
    print_speeds(level, speeds, shares, states)
    print_ratios(speeds)


def print_speeds(level, speeds, shares, states):
    print(f"| {level}, prompt tokens/s | median | best | of the peak | cosine min | mean |")
    print("|---|---|---|---|---|---|")
    for name, values in speeds.items():
        share = f"{100 * statistics.median(shares[name]):.0f} %" if shares[name] else ""
        near = ["", ""]
        if "PyTorch f32" in states:
            close = cosines(states[name], states["PyTorch f32"])
            near = [f"{close.min():.6f}", f"{close.mean():.6f}"]
        print(f"| {name} | {statistics.median(values):.0f} | {max(values):.0f} | {share} | {near[0]} | {near[1]} |")


def print_ratios(speeds):
    print("\n| ratio of a round | median | least | most |\n|---|---|---|---|")
    for ours, theirs in RATIOS:
        theirs = [name for name in theirs if name in speeds]
        if ours in speeds and theirs:
            best = max(theirs, key=lambda name: statistics.median(speeds[name]))
            ratios = [a / b for a, b in zip(speeds[ours], speeds[best])]
            print(f"| {ours} to {best} | {statistics.median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} |")


def bench(args, file, questions, threads, more):
    line = [args.binary, "bench", file, "--model", args.model, "--threads", str(threads), "--json", *more]
    for question in questions:
        line += ["-q", question]
    return json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


def scaling(args, texts, tokenizer, folder):
    """Two threads against one, and many questions against one; turn about, medians of the rounds."""
    print("\n### Two threads against one, and many questions\n")
    print("| inbedder auto | first, s | second, s | ratio |\n|---|---|---|---|")

    def row(what, first, second, over, rounds=args.rounds):
        seconds = [[], []]
        for _ in range(rounds):
            for k, (file, questions, threads, more) in enumerate([first, second]):
                seconds[k].append(statistics.median(bench(args, file, questions, threads, more)["seconds"]))
        a, b = map(statistics.median, seconds)
        ratios = [y / x if over else x / y for x, y in zip(*seconds)]
        print(f"| {what} | {a:.3f} | {b:.3f} | {statistics.median(ratios):.2f} |", flush=True)

    def file(name, texts):
        path = os.path.join(folder, name)
        with open(path, "w") as out:
            out.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        return path

    one, once = [args.question], ["--rounds", "1"]
    # 100 tokens with the pattern and the question.
    around = len(tokenizer(PATTERN.format(input="", instruction=args.question))["input_ids"])
    single = file("single.jsonl", of_length(texts, tokenizer, str(100 - around), 1))
    few = ["--rounds", "15"]
    row("one prompt of 100 tokens, 1 thread, 2 threads", (single, one, 1, few), (single, one, 2, few), False)
    many = file("many.jsonl", of_length(texts, tokenizer, "200", 32))
    eight = [f"Which {what} does the author of the text mention first?" for what in
             ["city", "person", "company", "number", "country", "product", "problem", "sport"]]
    size = len(tokenizer(eight[0])["input_ids"])
    row(f"32 texts of 200 tokens, 1 question of {size}, 8 questions", (many, eight[:1], 2, once), (many, eight, 2, once), True)
    words = once + ["--answers", "--max-new-tokens", "4"]
    row("the same with answers of 4 tokens", (many, eight[:1], 2, words), (many, eight, 2, words), True)
    long = file("long.jsonl", texts[:1000])
    row("1,000 texts, 1 thread, 2 threads", (long, one, 1, once), (long, one, 2, once), False, rounds=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("-q", "--question", default="What is the topic of news?")
    parser.add_argument("--lengths", nargs="*", default=["64-128", "16", "400"])
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--limit", type=int, default=2048, help="prompt tokens of text at most, a round and length")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="inbedder, PyTorch, onnxruntime, llama.cpp")
    parser.add_argument("--without-scaling", action="store_true")
    parser.add_argument("--binary", default="target/release/inbedder")
    parser.add_argument("--weights", default="bench/peers/weights", help="folder of the peers' weights")
    args = parser.parse_args()

    os.makedirs(args.weights, exist_ok=True)
    tokenizer = weights.load_tokenizer(args.model)
    texts = read_texts(args.texts)
    with tempfile.TemporaryDirectory() as folder:
        for threads in args.threads:
            loaded = load_all(systems(args, args.weights, threads)) if args.lengths else {}
            for length in args.lengths:
                count = max(4, args.limit // int(length.split("-")[-1]))
                chosen = of_length(texts, tokenizer, length, count)
                todo = work(chosen, args.question, tokenizer, os.path.join(folder, f"{length}.jsonl"))
                compare(args, loaded, todo, folder, f"Texts of {length} tokens, {threads} threads")
        if not args.without_scaling:
            scaling(args, texts, tokenizer, folder)


if __name__ == "__main__":
    main()
