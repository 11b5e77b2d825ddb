"""A validation set for choosing readout and layer, out of training rows, never out of a test set.

    python bench/evaluation/make_validation.py qa.jsonl.zst validation [--triplets 400] [--seed 7]
    inbedder eval validation --baseline fst_gen@2 --baseline fst_gen@4 …   # one reading for all layers

Rows are `{source, input, instruction, output}`: a text, a question, a short answer. Three kinds of task come
out:

- `clusters.N`: texts that were asked one question, labelled with their answer, where at least five answers
  were given often. V-measure.
- `answers`: pairs under one question that several texts were asked (the questions are those that occur
  most often with several answers); 1 if the answers are the same, else 0. Spearman.
- `questions`: triplets. One text (the anchor) was asked two questions; p has the anchor's answer to
  the first question and another one to the second, n the other way round. As few texts were asked the
  same two questions, the axes are pairs of frequent questions.

Needs the `zstd` command for compressed input.
"""

import argparse
import json
import random
import subprocess
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("rows", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--triplets", type=int, default=400)
parser.add_argument("--pairs", type=int, default=2000)
parser.add_argument("--texts", type=int, default=600, help="texts of a clustering")
parser.add_argument("--seed", type=int, default=7)
args = parser.parse_args()
random.seed(args.seed)

if args.rows.suffix == ".zst":
    content = subprocess.run(["zstd", "-dc", str(args.rows)], check=True, capture_output=True).stdout.decode()
else:
    content = args.rows.read_text()
rows = [json.loads(line) for line in content.splitlines()]


def normal(answer):
    return " ".join("".join(c if c.isalnum() else " " for c in answer.lower()).split())


# question → text → answer
asked = defaultdict(dict)
for row in rows:
    if row["source"] not in ("babi", "privacy_yesno") and len(row["input"]) < 1500:
        asked[row["instruction"]][row["input"]] = normal(row["output"])

pairs = []
usable = []
for question, answers in asked.items():
    groups = defaultdict(list)
    for text, answer in answers.items():
        groups[answer].append(text)
    if len(groups) >= 2 and sum(len(g) >= 2 for g in groups.values()) >= 2:
        usable.append((question, groups))
usable.sort(key=lambda entry: entry[0])
random.shuffle(usable)
while usable and len(pairs) < args.pairs:
    for question, groups in usable:
        several = [g for g in groups.values() if len(g) >= 2]
        a, b = random.sample(random.choice(several), 2)
        pairs.append({"sentence1": a, "sentence2": b, "instruction": question, "label": 1})
        one, other = random.sample(sorted(groups), 2)
        pairs.append({"sentence1": random.choice(groups[one]), "sentence2": random.choice(groups[other]),
                      "instruction": question, "label": 0})
        if len(pairs) >= args.pairs:
            break

# Pairs of questions that many texts were asked both of.
both = Counter()
of_text = defaultdict(list)
for question, answers in asked.items():
    for text in answers:
        of_text[text].append(question)
for questions in of_text.values():
    for pair in combinations(sorted(questions)[:12], 2):
        both[pair] += 1

args.out.mkdir(parents=True, exist_ok=True)
tasks = []
for (first, second), count in both.most_common(40):
    if len(tasks) == 4 or count < 20:
        break
    shared = sorted(set(asked[first]) & set(asked[second]))
    triplets = []
    for anchor in random.sample(shared, len(shared)):
        a, b = asked[first][anchor], asked[second][anchor]
        p = [t for t in shared if t != anchor and asked[first][t] == a and asked[second][t] != b]
        n = [t for t in shared if t != anchor and asked[first][t] != a and asked[second][t] == b]
        if p and n:
            triplets.append({"anchor": anchor, "p": random.choice(p), "n": random.choice(n),
                             "axis_p": first, "axis_n": second, "instr_p": first, "instr_n": second})
    triplets = triplets[: args.triplets]
    if len(triplets) < 20:
        continue
    name = f"triplets{len(tasks) + 1}"
    (args.out / f"{name}.jsonl").write_text("".join(json.dumps(t) + "\n" for t in triplets))
    tasks.append({"name": f"questions.{len(tasks) + 1}", "kind": "triplets", "file": f"{name}.jsonl",
                  "rows": len(triplets), "axes": [first, second], "instructions": [first, second]})
# Questions that got the same answers often.
clusterings = []
for question, answers in sorted(asked.items(), key=lambda entry: (-len(entry[1]), entry[0])):
    groups = defaultdict(list)
    for text, answer in answers.items():
        groups[answer].append(text)
    often = sorted((g for g in groups.items() if len(g[1]) >= 15 and g[0]), key=lambda g: (-len(g[1]), g[0]))[:15]
    if len(often) < 5:
        continue
    size = min(min(args.texts // len(often), 2 * len(often[-1][1])), 60)
    chosen = [{"text": t, "answer": a} for a, texts in often for t in random.sample(texts, min(size, len(texts)))]
    random.shuffle(chosen)
    name = f"clusters{len(clusterings) + 1}"
    (args.out / f"{name}.jsonl").write_text("".join(json.dumps(c) + "\n" for c in chosen))
    clusterings.append({"name": f"clusters.{len(clusterings) + 1}", "kind": "clustering", "file": f"{name}.jsonl",
                        "label": "answer", "instruction": question, "texts": len(chosen), "clusters": len(often)})
    if len(clusterings) == 6:
        break
tasks += clusterings
if pairs:
    (args.out / "pairs.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs))
    tasks.append({"name": "answers", "kind": "sts", "file": "pairs.jsonl", "rows": len(pairs), "instructed": True})
(args.out / "tasks.json").write_text(json.dumps(tasks, indent=1) + "\n")
print("clusterings: " + (", ".join(f"{c['texts']} texts under {c['instruction']}" for c in clusterings) or "none"))
print(f"{len(pairs)} pairs under {len(usable)} questions; triplets: "
      + (", ".join(f"{t['rows']} of {t['axes']}" for t in tasks if t["kind"] == "triplets") or "none"))
