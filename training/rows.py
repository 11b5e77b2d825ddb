"""Rows to learn from: question–answer data, and questions about the facets of texts.

    python training/rows.py qa.jsonl.zst -o rows --exclude data/eval [--without-sources babi,…]

QA data ask who, what, where and why about facts. What a corpus is explored by is asked there seldom or never: its
topic, the writer's feeling, stance, style or intention. So these are added, each a kind of row of its own:

- `facets/NAME.jsonl`: texts written for this project whose facets are independent of each other (an angry greeting,
  a Polish sermon about football), with many wordings of the question about each facet; a text is asked about all.
- `facets/corpora.jsonl`: small corpora, each with facets and wordings of its own: how to follow a question is learnt from
  many questions.
- `kinds`: which thing of a kind a text names ("Which animal?"), if any.
- `about`: real texts under questions about their subject, and under none at all; what they are to be near to is their
  own text, as a teacher reads it (`teach`), and the answer is the subject that the teacher finds nearest.
- `joined`: two texts in one, and a question about either.
- `unanswerable`: a question that belongs to another text; its answer is "unknown".

OUT/learn.jsonl and OUT/held_out.jsonl get {input, instruction, output, source, teach}: `inbedder train` reads the
first four, once `prepare.py` has filled in the answers about subjects; `teach` is a string, or several whose mean it is.
QA texts are held out by the lot that `inbedder train --held-out 0.05 --seed 42` draws, so that its validation tasks are of
the same texts; of the facets' texts, before their slots are filled, one in ten is, and all of `NAME.validation.jsonl`;
of the corpora one in ten. For those only wordings are used that are not learnt for their facet. `--exclude` drops texts that occur in a folder of
JSON lines, and counts them.
"""

import argparse
import collections
import hashlib
import json
import random
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BANKS = ["dialogue", "incidents", "moments", "styles", "opinions", "posts", "requests", "scenes", "sentences"]
VALIDATION = ".validation"  # texts that are held out, all of them
LONGEST = 1200  # letters of a text
ABOUT = json.loads((HERE / "facets/about.json").read_text())
KINDS = json.loads((HERE / "facets/kinds.json").read_text())
SLOTS = json.loads((HERE / "facets/slots.json").read_text())
UNKNOWN = "unknown"
SEED = 42  # the default of `inbedder train`


def normal(text):
    return " ".join(text.lower().split())


def lot(seed, text):
    """A text's own number from 0 to 1, as `inbedder train` draws it."""
    digest = hashlib.sha256(seed.to_bytes(8, "little") + normal(text).encode()).digest()
    return (int.from_bytes(digest[:8], "little") >> 11) / 2**53


def kept_back(written):
    """Whether a text of the facets, or a corpus by its name, is held out: one in ten is."""
    return lot(SEED, written) < 0.1


def read(path):
    if path.suffix == ".zst":
        lines = subprocess.run(["zstd", "-dc", str(path)], check=True, capture_output=True).stdout.decode()
    else:
        lines = path.read_text()
    return [json.loads(line) for line in lines.splitlines()]


def strings(value):
    """All strings of a JSON value."""
    if isinstance(value, str):
        yield normal(value)
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def row(text, question, answer, source, teach=None):
    return {"input": text, "instruction": question, "output": answer, "source": source, "teach": teach or answer}


class Bank:
    """Texts with facets, and the wordings of a question about each."""

    def __init__(self, name, held_out, draw, times=1, outright=0.0, stances=1):
        """`times`: how often texts that are learnt are asked; `outright`: the share whose feeling is also said; `stances`: parts of
        stance to one of issue that a position is taught."""
        self.name, self.held_out, self.outright, self.stances, self.draw = name, held_out, outright, stances, draw
        self.times = 1 if held_out else times
        self.texts = []
        for kind in ["", VALIDATION]:
            path = HERE / f"facets/{name}{kind}.jsonl"
            for text in read(path) if path.exists() else []:
                if (kind == VALIDATION or kept_back(text["text"])) == held_out:
                    self.texts.append({"text": text["text"], "facets": positioned(text["facets"])})
        wordings = json.loads((HERE / f"facets/{name}.questions.json").read_text())
        self.wordings = {facet: kinds["held_out" if held_out else "train"] for facet, kinds in wordings.items()}
        self.common = collections.Counter(
            (facet, thing[-1]) for text in self.texts for facet, answer in text["facets"].items()
            if not isinstance(answer, str) for thing in answer
        )
        self.issues = sorted({text["facets"]["issue"] for text in self.texts if "{" not in text["facets"].get("issue", "{")})

    def rows(self):
        """Every text so many times, with its slots filled anew and all its facets asked."""
        for text in self.texts:
            for _ in range(self.times):
                yield from self.asked(text)

    def asked(self, text):
        source = f"facets.{self.name}"
        filled, facets = fill(text["text"], text["facets"], self.draw)
        if self.outright and self.draw.random() < self.outright:
            filled = said(filled, facets, self.draw)
        if self.draw.random() < 0.1:
            filled = self.draw.choice([filled.lower(), filled.rstrip(".!?"), filled.upper()])
        for facet, answer in facets.items():
            if isinstance(answer, str):
                # Parts of stance to one of issue, which is read more easily.
                teach = [*[facets["stance"]] * self.stances, facets["issue"].lower()] if facet == "position" else None
                yield row(filled, self.question(facet), answer.lower(), f"{source}.{facet}", teach)
                continue
            # Two named things of a text with their types or relations, rare ones first: most names are of cities.
            kept = sorted(answer, key=lambda thing: self.draw.random() * self.common[facet, thing[-1]] ** 0.5)
            for thing in kept[:2]:
                yield self.named(filled, facet, thing, source)
        for facet in UNSAID.get(self.name, []):
            if facet not in facets and self.draw.random() < 0.2:
                yield row(filled, self.question(facet), UNKNOWN, f"{source}.{facet}")
        if "towards" in facets and self.draw.random() < 0.15:
            other = self.draw.choice(self.issues)
            if other != facets["issue"]:
                yield self.named(filled, "towards", [other, UNKNOWN], source)

    def question(self, facet):
        found = self.wordings.get(facet) or PLACE_WORDINGS["held_out" if self.held_out else "train"]
        return self.draw.choice(found)

    def named(self, text, facet, thing, source):
        """A question about something that the text names: named by the question, or at the text's end."""
        *names, answer = thing
        if self.draw.random() < 0.5 and f"{facet}_appended" in self.wordings:
            question = self.draw.choice(self.wordings[f"{facet}_appended"])
            text = f"{text}{self.draw.choice([' ', chr(10), ' | ', ' - '])}{self.draw.choice([', ', ' ', ' ; ']).join(names)}"
        else:
            question = self.draw.choice(self.wordings[facet])
            for slot, name in zip(NAMED[facet], names):
                question = question.replace(slot, name)
        return row(text, question, answer.lower(), f"{source}.{facet}")


def corpora(held_out):
    """Small corpora by number: {"corpus": what it is, "facets": {facet: wordings}, "texts": [{"text", "facets"}]}."""
    return {i: one for i, one in enumerate(read(HERE / "facets/corpora.jsonl")) if kept_back(one["corpus"]) == held_out}


def of_corpora(held_out, times, draw):
    """Every text of the corpora so many times under all its facets."""
    for number, corpus in corpora(held_out).items():
        for text in corpus["texts"] * times:
            for facet, answer in text["facets"].items():
                yield row(text["text"], draw.choice(corpus["facets"][facet]), answer.lower(), f"corpora.{number}.{facet}")


def positioned(facets):
    """A stance is towards something: a question that names it (`towards`) or offers sides or yes and no (`stance`) is answered by the
    stance alone, one that does neither (`position`) by both, "opposes hunting"."""
    if "stance" not in facets or "issue" not in facets:
        return facets
    stance, issue = facets["stance"], facets["issue"]
    return facets | {"position": f"{POSITIONS[stance]} {issue}", "towards": [[issue, stance]]}


UNSAID = {"moments": ["place", "time"], "opinions": ["issue"]}  # facets that a text lacks when it says nothing about them
POSITIONS = {"in favor": "supports", "against": "opposes", "neutral": "undecided"}  # none of them a stop-word
NAMED = {"entities": ["{entity}"], "relations": ["{first}", "{second}"], "triggers": ["{trigger}"], "towards": ["{issue}"]}
PLACE_WORDINGS = ABOUT["place"]


def fill(text, facets, draw):
    """A text with its slots filled, the country of its place among its facets, and in these the surname that it names."""
    if "{surname}" in text:
        surname = draw.choice(SLOTS["surname"])
        text = put(text, "surname", surname, 0)
        facets = json.loads(json.dumps(facets).replace("{surname}", surname))
    for slot in ["person", "org", "product", "date", "number"]:
        while f"{{{slot}}}" in text:
            text = put(text, slot, draw.choice(SLOTS[slot]), 1)
    if "{place}" not in text:
        return text, facets
    country = draw.choice(list(SLOTS["place"]))
    cities = SLOTS["place"][country]
    place = draw.choice([country, *cities, *cities])
    shown = f"{place}, {country}" if place != country and draw.random() < 0.4 else place
    return put(text, "place", place, 0, shown), {**facets, "country": country.lower()}


def put(text, slot, name, count, shown=None):
    """A name for a slot; in hashtags and handles without spaces and article."""
    glued = name.removeprefix("the ").replace(" ", "")
    inside = rf"(?<=[#@\w]){{{slot}}}|{{{slot}}}(?=\w)"
    text = re.sub(inside, glued, text, count=count)
    return text.replace(f"{{{slot}}}", shown or name, count or -1)


def qa(path, without):
    rows = [r for r in read(path) if r["source"] not in without and len(r["input"]) <= 2200]
    return [row(r["input"].strip(), r["instruction"].strip(), r["output"].strip(), r["source"]) for r in rows]


def reworded(rows, draw, frames, slips):
    """A share of the rows with their question in a frame that does not change what is asked, a share with slips of the pen."""
    for one in rows:
        if one["instruction"] and draw.random() < frames:
            one = one | {"instruction": draw.choice(ABOUT["frames"]).format(one["instruction"])}
        if one["instruction"] and draw.random() < slips:
            one = one | {"instruction": mistyped(one["instruction"], draw)}
        yield one


def mistyped(question, draw):
    """One to three longer words with letters missing, twice or in another order; often no capitals and no full stop."""
    parts = re.split(r"(\w{4,})", question)
    for i in draw.sample(range(1, len(parts), 2), min(draw.randint(1, 3), len(parts) // 2)):
        word, at = parts[i], draw.randrange(1, len(parts[i]) - 1)
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2:]
        parts[i] = draw.choice([word[:at] + word[at + 1:], word[:at] + word[at] + word[at:], swapped])
    question = "".join(parts)
    return question.lower().rstrip(".?") if draw.random() < 0.5 else question


def about(rows, banks, draw, count, questions):
    """Real texts, and real questions as texts, under questions about their subject, or none; texts of the facets under
    none."""
    for bank in banks:
        for text in bank.texts:
            # The teacher reads English alone.
            if text["facets"].get("language", "english") == "english":
                filled, _ = fill(text["text"], text["facets"], draw)
                yield row(filled, "", None, "about.text", filled)
    texts = {r["input"] for r in rows if 20 <= len(r["input"]) <= LONGEST and r["source"] != "wtq"}
    asked = {r["instruction"] for r in rows if 25 <= len(r["instruction"]) <= 120}
    texts, asked = sorted(texts), sorted(asked)
    for text in draw.sample(texts, min(count, len(texts))):
        for question in draw.sample(questions["topic"], 2) + ([""] if draw.random() < 0.5 else []):
            yield row(text, question, None, "about.topic", text)
    for text in draw.sample(asked, min(count // 2, len(asked))):
        question = draw.choice(questions["wanted"] + questions["topic"][:6])
        yield row(text, question, None, "about.wanted", text)


def kinds(banks, draw, count, held_out):
    """Short texts of the facets with a question for a thing of a kind ("Which animal?"): the thing's own name if the text has just one,
    "unknown" if it has none."""
    wordings = KINDS["wordings"]["held_out" if held_out else "train"]
    texts = [text["text"] for bank in banks if bank.name != "styles" for text in bank.texts if "{" not in text["text"]]
    texts = [(text, f" {' '.join(re.findall(r'[a-z]+', text.lower()))} ") for text in texts]
    names_of = list(KINDS["kinds"].items())
    while count:
        (text, spoken), (kind, names) = draw.choice(texts), draw.choice(names_of)
        found = [name for name in names if f" {name} " in spoken or f" {name}s " in spoken]
        # Most texts name nothing of a kind; two of five answers are enough for them.
        if len(found) > 1 or (not found and draw.random() > 0.02):
            continue
        count -= 1
        yield row(text, draw.choice(wordings).format(kind=kind), found[0] if found else UNKNOWN, "kinds")


def said(text, facets, draw):
    """A text whose writer also says the feeling that it shows, "… I am so angry."."""
    if facets.get("emotion") not in ABOUT["said"]["feelings"]:
        return text
    sentence = draw.choice(ABOUT["said"]["sentences"]).format(facets["emotion"])
    return draw.choice([f"{text} {sentence}", f"{text} {sentence}", f"{sentence} {text}"])


def words(text):
    """Its longer words."""
    return set(re.findall(r"[a-z]{5,}", text.lower()))


def joined(rows, draw, count):
    """Two short texts in one, with a question about either that shares words with its own text alone."""
    short = [r for r in rows if 25 <= len(r["input"]) <= 320 and r["source"] in {"qamr", "tweetqa", "torque", "subjqa"}]
    while count and short:
        a, b = draw.sample(short, 2)
        asked, own, other = (words(text) for text in [a["instruction"], a["input"], b["input"]])
        if not asked & own or asked & other:
            continue
        count -= 1
        texts = [a["input"], b["input"]]
        draw.shuffle(texts)
        text = draw.choice(["\n\n", " ", "\n"]).join(texts)
        yield row(text, a["instruction"], a["output"], "joined")


def unanswerable(rows, banks, draw, count, requests):
    """Questions that belong to another text, and requests that belong to none."""
    texts = [r["input"] for r in rows if 20 <= len(r["input"]) <= 600]
    texts += [text["text"] for bank in banks for text in bank.texts if "{" not in text["text"]]
    specific = [r for r in rows if r["source"] in {"qamr", "tweetqa", "qed_nq", "fairytaleqa", "policyqa", "coqa", "cosmosqa"}]
    while count:
        text, other = draw.choice(texts), draw.choice(specific)["instruction"]
        names = words(other) - {"which", "where", "there", "their", "about", "would", "think"}
        if draw.random() < 0.5:
            yield row(text, draw.choice(requests), UNKNOWN, "unanswerable")
        elif len(names) >= 2 and not names & words(text):
            yield row(text, other, UNKNOWN, "unanswerable")
        else:
            continue
        count -= 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("qa", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--without-sources", default="babi,privacy_yesno,dream,quail,c3_en,sciq,mctest,boolq")
    parser.add_argument("--exclude", type=Path, help="texts that occur in a folder's JSON lines are left out")
    parser.add_argument("--held-out", type=float, default=0.05)
    parser.add_argument("--times", type=int, default=4, help="how often texts of the facets are asked")
    parser.add_argument("--corpora", type=int, default=8, help="how often texts of the small corpora are asked")
    parser.add_argument("--framed", type=float, default=0.2, help="share of the questions that are put in a frame")
    parser.add_argument("--slips", type=float, default=0.06, help="share of the questions that are mistyped")
    parser.add_argument("--outright", type=float, default=0.15, help="share of the texts with a feeling that is also said")
    parser.add_argument("--stances", type=int, default=3, help="parts of stance to one of issue that a position is taught")
    parser.add_argument("--kinds", type=int, default=12000, help="questions for a thing of a kind")
    parser.add_argument("--about", type=int, default=20000)
    parser.add_argument("--joined", type=int, default=8000)
    parser.add_argument("--unanswerable", type=int, default=12000)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    rows = qa(args.qa, set(args.without_sources.split(",")))
    sides = {side: [r for r in rows if (lot(SEED, r["input"]) < args.held_out) == side] for side in [False, True]}
    files = sorted(args.exclude.rglob("*.jsonl*")) if args.exclude else []
    excluded = {string for path in files for line in read(path) for string in strings(line)}
    for held_out, own in sides.items():
        draw = random.Random(f"rows {held_out}")
        wordings, share = ("held_out", args.held_out) if held_out else ("train", 1)
        banks = [Bank(name, held_out, draw, args.times, args.outright, args.stances) for name in BANKS]
        questions = {kind: ABOUT[kind][wordings] for kind in ["topic", "wanted", "elsewhere"]}
        made = list(own)
        for bank in banks:
            made += bank.rows()
        made += of_corpora(held_out, 1 if held_out else args.corpora, draw)
        made += kinds(banks, draw, int(args.kinds * share), held_out)
        made += about(own, banks, draw, int(args.about * share), questions)
        made += joined(own, draw, int(args.joined * share))
        made += unanswerable(own, banks, draw, int(args.unanswerable * share), questions["elsewhere"])
        kept = [r for r in made if normal(r["input"]) not in excluded]
        kept = list(kept if held_out else reworded(kept, draw, args.framed, args.slips))
        name = "held_out" if held_out else "learn"
        with open(args.output / f"{name}.jsonl", "w") as file:
            for one in kept:
                print(json.dumps(one, ensure_ascii=False), file=file)
        counts = collections.Counter(r["source"].split(".")[0] for r in kept)
        print(f"{name}: {len(kept)} rows, {len(made) - len(kept)} excluded, {dict(counts.most_common())}")


if __name__ == "__main__":
    main()
