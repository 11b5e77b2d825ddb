"""The example set of `inbedder eval`: tiny, made up, in the layout of docs/evaluation.md.

    python examples/eval/make.py

Messages to a shop and a library are put together from parts of which the labels are known, so that one
corpus has two labellings (what it is about, how the writer feels), and triplets, pairs and queries follow
from the labels. It shows formats and keeps tests quick; scores on it mean nothing.
"""

import itertools
import json
import random
from pathlib import Path

HERE = Path(__file__).parent
random.seed(3)

THINGS = {
    "delivery": ["the parcel came on Tuesday", "my box was left with the neighbour", "the courier rang twice"],
    "price": ["the lamp cost forty euros", "they took two euros for a bag", "the fee was on the receipt"],
    "staff": ["a man at the desk helped me", "the woman on the phone answered", "their clerk looked it up"],
    "website": ["the page took my order", "the search box found it", "I used the form online"],
}
FEELINGS = {
    "happy": ["I am delighted:", "What a joy,"],
    "angry": ["This makes me furious:", "I am really annoyed,"],
    "worried": ["I am a little anxious,", "This troubles me:"],
}
ABOUT, FEEL = "What is the message about?", "How does the writer feel?"


def text(thing, feeling):
    return f"{feeling} {thing}."


rows = [
    {"text": text(thing, feeling), "about": about, "feeling": name}
    for (about, things), (name, feelings) in itertools.product(THINGS.items(), FEELINGS.items())
    for thing, feeling in [(things[0], feelings[0]), (things[1], feelings[1]), (things[2], feelings[0]),
                           (things[0], feelings[1])]
]
random.shuffle(rows)
# One row that nobody has labelled by feeling.
rows[5]["feeling"] = None


def write(name, rows):
    (HERE / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


labelled = [row for row in rows if row["feeling"]]
triplets = []
for anchor in labelled:
    p = [r for r in labelled if r["about"] == anchor["about"] and r["feeling"] != anchor["feeling"]]
    n = [r for r in labelled if r["about"] != anchor["about"] and r["feeling"] == anchor["feeling"]]
    triplets.append({"anchor": anchor["text"], "p": random.choice(p)["text"], "n": random.choice(n)["text"],
                     "axis_p": "about", "axis_n": "feeling", "instr_p": ABOUT, "instr_n": FEEL})
triplets = triplets[:24]

pairs = []
for _ in range(20):
    a, b = random.sample(labelled, 2)
    question, key = random.choice([(ABOUT, "about"), (FEEL, "feeling")])
    pairs.append({"sentence1": a["text"], "sentence2": b["text"], "instruction": question,
                  "label": int(a[key] == b[key])})
plain = [{"sentence1": p["sentence1"], "sentence2": p["sentence2"],
          "score": round(5 * len(set(p["sentence1"].split()) & set(p["sentence2"].split())) / 12, 2)}
         for p in pairs]

queries = []
for query in random.sample(labelled, 8):
    others = [r for r in labelled if r is not query]
    queries.append({
        "query": query["text"],
        "positive": [r["text"] for r in others if r["about"] == query["about"]][:2],
        "negative": [r["text"] for r in others if r["about"] != query["about"]][:4],
    })

write("corpus.jsonl", rows)
write("triplets.jsonl", triplets)
write("pairs.jsonl", pairs)
write("plain_pairs.jsonl", plain)
write("queries.jsonl", queries)
tasks = [
    {"name": "messages.about", "kind": "clustering", "file": "corpus.jsonl", "label": "about",
     "texts": len(rows), "clusters": 4, "instruction": ABOUT, "robustness": "About"},
    {"name": "messages.feeling", "kind": "clustering", "file": "corpus.jsonl", "label": "feeling",
     "texts": len(labelled), "clusters": 3, "instruction": FEEL},
    {"name": "messages.about-feeling", "kind": "triplets", "file": "triplets.jsonl", "rows": len(triplets),
     "axes": ["about", "feeling"], "instructions": [ABOUT, FEEL]},
    {"name": "pairs.instructed", "kind": "sts", "file": "pairs.jsonl", "rows": len(pairs), "instructed": True},
    {"name": "pairs.plain", "kind": "sts", "file": "plain_pairs.jsonl", "rows": len(plain), "instructed": False},
    {"name": "queries", "kind": "reranking", "file": "queries.jsonl", "rows": len(queries),
     "instruction": ABOUT},
]
(HERE / "tasks.json").write_text(json.dumps(tasks, indent=1) + "\n")
robustness = {"About": {
    "instruction": ABOUT,
    "correct_instructions": [ABOUT, "Name the subject of the message."],
    "implicit_instructions": ["What would you file this under?", "Which desk should read this?"],
    "incorrect_instructions": ["Which planet is the largest?", "How long is a marathon?"],
}}
(HERE / "robustness_instructions.json").write_text(json.dumps(robustness, indent=1) + "\n")
published = {"note": "Made up, to show the format.", "awareness_and_clustering": {
    "a made-up model": {"run": "none", "scores": {"About:v_measure": 0.5, "queries:map": 0.6}}},
    "robustness": {"a made-up model": {"About": {"dci": 0.01, "dii": -0.02}}}}
(HERE / "published.json").write_text(json.dumps(published, indent=1) + "\n")
