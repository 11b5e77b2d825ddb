"""An evaluation of robustness to wording on texts, wordings and questions that are held out.

    python training/wordings.py -o wordings [--texts 150]
    inbedder eval wordings --adapter FOLDER --precision int8 --output wordings.json

A clustering for every facet with labels that several held-out texts share. Its correct instructions are the facet's held-out
wordings, its incorrect ones those of the other facets of its bank, drawn. For the implicit ones, which there are none of, stands one in a frame. Of the
small corpora that are held out, whose questions are not learnt at all, every facet is a clustering of its few texts: one of them says
little, their mean more.
"""

import argparse
import collections
import json
import random
from pathlib import Path

from rows import ABOUT, BANKS, Bank, corpora, fill

LEAST = 4  # texts of a label
LABELS = 3  # of a facet, at least
INCORRECT = 10  # instructions


def corpus(bank, most, draw):
    """Texts of one bank, each with its labels; those that fewer than `LEAST` texts have are left out."""
    texts = draw.sample(bank.texts, min(most, len(bank.texts)))
    filled = [fill(text["text"], text["facets"], draw) for text in texts]
    rows = [{"text": text} | {f: a.lower() for f, a in facets.items() if isinstance(a, str)} for text, facets in filled]
    counts = collections.Counter((f, a) for row in rows for f, a in row.items() if f != "text")
    return [{f: a for f, a in row.items() if f == "text" or counts[f, a] >= LEAST} for row in rows]


def facets_of(rows):
    """Facets that at least half of the texts are labelled with, with enough labels."""
    names = sorted({facet for row in rows for facet in row} - {"text"})
    labels = {facet: [row[facet] for row in rows if facet in row] for facet in names}
    return [f for f in names if len(labels[f]) >= len(rows) / 2 and len(set(labels[f])) >= LABELS]


def task_of(name, facet, wordings, draw):
    """The clustering by one facet, and its instructions."""
    correct = wordings[facet]
    others = [w for other, found in wordings.items() if other != facet for w in found if "{" not in w]
    task = f"{name}.{facet}"
    return {"name": task, "kind": "clustering", "file": f"{name}.jsonl", "label": facet, "instruction": correct[0], "robustness": task}, {
        "correct_instructions": correct, "implicit_instructions": [draw.choice(ABOUT["frames"]).format(correct[0])],
        "incorrect_instructions": draw.sample(others, min(INCORRECT, len(others))),
    }


def held_out(most):
    """Of every bank, then of every small corpus: name, rows, facets to cluster by, wordings, and what to draw others with."""
    for name in BANKS:
        draw = random.Random(f"wordings {name}")
        bank = Bank(name, True, draw)
        rows = corpus(bank, most, draw)
        # Positions count by their stance, which is a clustering of its own.
        yield name, rows, [f for f in facets_of(rows) if f in bank.wordings and f != "position"], bank.wordings, draw
    for number, small in corpora(True).items():
        rows = [{"text": text["text"]} | text["facets"] for text in small["texts"]]
        facets = [facet for facet in small["facets"] if 1 < len({row[facet] for row in rows}) <= len(rows) / 2]
        yield f"corpora.{number}", rows, facets, small["facets"], random.Random(f"wordings {number}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=150, help="of a bank")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    tasks, robustness = [], {}
    for name, rows, facets, wordings, draw in held_out(args.texts):
        (args.output / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        for facet in facets:
            task, of_facet = task_of(name, facet, wordings, draw)
            tasks.append(task)
            robustness[task["name"]] = of_facet
    (args.output / "tasks.json").write_text(json.dumps(tasks, indent=1))
    (args.output / "robustness_instructions.json").write_text(json.dumps(robustness, indent=1))
    print(f"{len(tasks)} tasks: {', '.join(task['name'] for task in tasks)}")


if __name__ == "__main__":
    main()
