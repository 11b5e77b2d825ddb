"""The rows of data.npz in epochs, and batches of a few shapes."""

import itertools
import queue
import threading
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F

LENGTHS = [48, 64, 96, 128, 192, 384]  # of batches, in tokens
WRITINGS = {"answers": 3, "plain": 4, "full": 5}  # of an answer: columns of the table
TARGETS = 5  # answer tokens of a batch, per row
END = 2  # the token that ends an answer


class Data:
    """Rows of data.npz: side, text, question, answer (three writings), taught string, source."""

    def __init__(self, path, device):
        arrays = dict(np.load(path))
        self.table, self.sources = arrays["table"], arrays["sources"].tolist()
        self.arrays = arrays
        teach = torch.from_numpy(arrays["teach"].astype(np.float32)).to(device)
        self.teach = F.normalize(teach, dim=-1)

    def tokens(self, name, number):
        at = self.arrays[f"{name}_at"]
        return self.arrays[name][at[number]:at[number + 1]]

    def row(self, row, answers):
        """Prompt ids, and the answer's with the end token."""
        prompt = np.concatenate([self.tokens("texts", row[1]), self.tokens("questions", row[2])]).astype(np.int64)
        return prompt, self.answer(row, answers)

    def answer(self, row, answers):
        """Ids of the answer and the end token."""
        return np.append(self.tokens(answers, row[WRITINGS[answers]]), END).astype(np.int64)

    def group(self, source):
        return self.sources[source].split(".")[0]

    def length(self, rows, answers="answers"):
        """Tokens that are read of each row: all but the end token."""
        columns = {"texts": 1, "questions": 2, answers: WRITINGS[answers]}
        return sum(np.diff(self.arrays[f"{name}_at"])[rows[:, column]] for name, column in columns.items())

    def epochs(self, run, seed):
        """Rows text by text, all of a text's questions together (at most `facet_rows` at a time), and texts of one bank of facets or of
        one corpus together (`together` at a time), for ever. `weights` draw rows, `shares` then such groups of a text's rows."""
        draw = np.random.default_rng(seed)
        rows = self.table[self.table[:, 0] == 0]
        names = [self.sources[s] for s in rows[:, -1]]
        kept = [not any(n == w or n.startswith(w + ".") for w in run["without"]) for n in names]
        rows = rows[kept]
        weight = np.array([run["weights"].get(self.sources[s], run["weights"].get(self.group(s), 1.0)) for s in rows[:, -1]])
        while True:
            times = np.floor(weight + draw.random(len(weight))).astype(int)
            taken = np.repeat(rows, times, 0)
            # A text's place in the epoch is drawn; its rows follow it, shuffled.
            place = draw.random(taken[:, 1].max() + 1)
            order = np.lexsort([draw.random(len(taken)), place[taken[:, 1]]])
            taken = taken[order]
            text = taken[:, 1]
            starts = np.r_[0, np.flatnonzero(np.diff(text)) + 1, len(text)]
            units = []
            for a, b in zip(starts, starts[1:]):
                units += [taken[i:min(i + run["facet_rows"], b)] for i in range(a, b, run["facet_rows"])]
            if run["shares"]:  # else no lot is drawn: runs without shares stay what they were
                units = [unit for unit in units if draw.random() < self.share(unit, run["shares"])]
            shuffled = [units[i] for i in draw.permutation(len(units))]
            yield from itertools.chain.from_iterable(self.clumps(shuffled, run["together"], draw))

    def bank(self, unit):
        """Of a text's rows: the bank of facets or the corpus ("facets.opinions"), else the source."""
        return ".".join(self.sources[unit[0][-1]].split(".")[:2])

    def share(self, unit, shares):
        """Of a bank, else of its group ("facets"), else what stands under ""."""
        bank = self.bank(unit)
        return shares.get(bank, shares.get(bank.split(".")[0], shares.get("", 1.0)))

    def clumps(self, units, most, draw):
        """Lists of units that follow each other: of one bank of facets, or of one corpus, at most so many; any other unit is alone."""
        whole, begun = [], {}
        for unit in units:
            bank = self.bank(unit)
            if not bank.startswith(("facets.", "corpora.")):
                whole.append([unit])
                continue
            clump = begun.setdefault(bank, [])
            clump.append(unit)
            if len(clump) == most:
                whole.append(begun.pop(bank))
        whole += begun.values()
        return [whole[i] for i in draw.permutation(len(whole))]

    def batches(self, run, pin):
        """Batches of the shapes of LENGTHS, `tokens` tokens each, a row in the shortest that holds it."""
        assert run["tokens"] >= max(LENGTHS), "a batch holds no row of the longest shape"
        waiting = defaultdict(list)
        for unit in self.epochs(run, run["seed"]):
            for row, length in zip(unit, self.length(unit, run["answers"])):
                shape = next((l for l in LENGTHS if length <= l), None)
                if shape is None:
                    continue
                waiting[shape].append(row)
                if len(waiting[shape]) == run["tokens"] // shape:
                    yield Batch(self, np.array(waiting.pop(shape)), shape, run, pin)


class Batch:
    """Rows, padded on the right (what is behind a causal row's end changes nothing before it), and their targets.

    ids [rows, length]; first [rows], the place in the flattened ids where the answer begins; at, targets, owner, counted and
    word [rows * TARGETS, or as many as there are]: places, answer tokens, their row, 1 if there is one, and its share of its row's
    words; teach [rows], numbers of vectors.
    """

    def __init__(self, data, rows, length, run, pin=False, all_targets=False):
        self.length = length
        prompts, answers = zip(*(data.row(row, run["answers"]) for row in rows))
        ids = np.zeros((len(rows), length), np.int64)
        for to, p, a in zip(ids, prompts, answers):
            to[:len(p)], to[len(p):len(p) + len(a) - 1] = p, a[:-1]
        self.tokens = sum(map(len, prompts)) + sum(map(len, answers)) - len(rows)
        counts = np.array([len(a) for a in answers])
        first = np.arange(len(rows)) * length + np.array([len(p) - 1 for p in prompts])
        owner = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        targets = np.concatenate(answers)
        word = (targets != END) / np.maximum(counts - 1, 1)[owner]
        # A batch of a shape with more answer tokens than there are places for leaves its last ones out.
        room = counts.sum() if all_targets else len(rows) * TARGETS
        fit = lambda array: np.append(array[:room], np.zeros(max(0, room - len(array)), array.dtype))
        arrays = {
            "ids": ids, "first": first, "at": fit(first[owner] + within), "targets": fit(targets), "owner": fit(owner),
            "counted": fit(np.ones(len(targets), np.float32)), "word": fit(word.astype(np.float32)),
            "teach": rows[:, -2].astype(np.int64),
        }
        self.tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        if pin:
            self.tensors = {name: tensor.pin_memory() for name, tensor in self.tensors.items()}


def ahead(batches, count=16):
    """Makes the next batches while the GPU works."""
    made = queue.Queue(count)

    def work():
        for batch in batches:
            made.put(batch)

    threading.Thread(target=work, daemon=True).start()
    while True:
        yield made.get()
