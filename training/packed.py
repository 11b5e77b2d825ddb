"""The same steps for a CPU: a text is read once for all its questions, and LoRA stays beside the weights.

A sequence is a text and, one after the other, its questions with their answers; each sees the text and itself alone
and begins at the place where the text ends, so that its states are those of a prompt of its own (`inbedder` reads a
text once for many questions in the same way). Weights and states are bf16: with AMX a processor multiplies it eight
times as fast as f32. The sequences of a batch are of one of a few shapes, for each of which a block is compiled once
(half a minute, which a C++ compiler is needed for): steps are a third faster than without.
"""

import ctypes

import numpy as np
import torch
import torch.nn.functional as F

from data import END, WRITINGS
from model import MODULES, PRODUCTS, SIZES, rotary, rotated, short

LENGTHS = [48, 64, 96, 128, 160, 192, 256, 384]
LONGEST = 400  # a row with another writing of its answer than the one that rows were cut by
RANKS = 32  # a rank is filled up with zeros to a multiple: thin products are slow


def shape_of(length):
    return next((shape for shape in LENGTHS if length <= shape), None)


class Batch:
    """Texts with their rows (`units`, a table each), one sequence a text.

    ids, positions, segments [texts, length] (segment 0 is the text, -1 padding); the others as in `data.Batch`.
    """

    def __init__(self, data, units, length, run):
        self.rows, self.length = np.concatenate(units), length
        ids, positions = (np.zeros((len(units), length), np.int64) for _ in range(2))
        segments = np.full((len(units), length), -1)
        first, at, targets, counts, self.tokens = [], [], [], [], 0
        for i, rows in enumerate(units):
            text = data.tokens("texts", rows[0][1])
            end = len(text)
            ids[i, :end], positions[i, :end], segments[i, :end] = text, np.arange(end), 0
            for number, row in enumerate(rows, 1):
                question, answer = data.tokens("questions", row[2]), data.answer(row, run["answers"])
                own = slice(end, end + len(question) + len(answer) - 1)
                ids[i, own] = np.concatenate([question, answer[:-1]])
                positions[i, own] = len(text) + np.arange(own.stop - own.start)
                segments[i, own] = number
                first.append(i * length + end + len(question) - 1)
                at.append(first[-1] + np.arange(len(answer)))
                targets.append(answer)
                counts.append(len(answer))
                end = own.stop
            self.tokens += end
        counts, targets = np.array(counts), np.concatenate(targets)
        owner = np.repeat(np.arange(len(counts)), counts)
        arrays = {
            "ids": ids, "positions": positions, "segments": segments, "first": np.array(first), "at": np.concatenate(at),
            "targets": targets, "owner": owner, "counted": np.ones(len(targets), np.float32),
            "word": ((targets != END) / np.maximum(counts - 1, 1)[owner]).astype(np.float32),
            "teach": self.rows[:, -2].astype(np.int64),
        }
        self.tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}


def length_of(data, rows, answers):
    """Tokens of a text with all its rows."""
    each = [len(data.tokens("questions", row[2])) + len(data.tokens(answers, row[WRITINGS[answers]])) for row in rows]
    return len(data.tokens("texts", rows[0][1])) + sum(each)


def batches(data, run):
    """Batches of `tokens` tokens, padding included, each of texts that fit one shape; rows that do not are left out."""
    assert run["tokens"] >= LONGEST, "a batch holds no row of the longest shape"
    waiting = {shape: [] for shape in LENGTHS}
    for rows in data.epochs(run, run["seed"]):
        while len(rows) and (shape := shape_of(length_of(data, rows, run["answers"]))) is None:
            rows = rows[:-1]
        if not len(rows):
            continue
        waiting[shape].append(rows)
        if len(waiting[shape]) == run["tokens"] // shape:
            yield Batch(data, waiting[shape], shape, run)
            waiting[shape] = []


def layer(x, w, lora, norms, cos, sin, mask):
    """One block, as `model.layer`; `lora` are A and B of each product, scaled, those of one input together."""
    batch, length, hidden = x.shape
    heads, kv_heads, size = SIZES["heads"], SIZES["kv_heads"], SIZES["head_dim"]
    h = F.rms_norm(x, (hidden,), norms[0], SIZES["eps"])
    qkv = F.linear(h, w["qkv"]) + torch.cat(low_rank(h, lora["qkv"]), -1)
    qkv = qkv.view(batch, length, -1, size).transpose(1, 2)
    qk, v = rotated(qkv[:, :heads + kv_heads], cos, sin), qkv[:, heads + kv_heads:]
    # The heads that share keys follow each other, so that they are one product.
    q, k = qk[:, :heads].reshape(batch, kv_heads, -1, size) / size**0.5, qk[:, heads:]
    scores = (q @ k.transpose(-1, -2)).view(batch, kv_heads, -1, length, length)
    p = (scores + mask).softmax(-1)
    a = (p.view(batch, kv_heads, -1, length) @ v).view(batch, heads, length, size)
    a = a.transpose(1, 2).reshape(batch, length, -1)
    x = x + F.linear(a, w["o"]) + low_rank(a, lora["o"])[0]
    h = F.rms_norm(x, (hidden,), norms[1], SIZES["eps"])
    (gate, up), (more_gate, more_up) = F.linear(h, w["gate_up"]).chunk(2, -1), low_rank(h, lora["gate_up"])
    m = F.silu(gate + more_gate) * (up + more_up)
    return x + F.linear(m, w["down"]) + low_rank(m, lora["down"])[0]


torch._dynamo.config.recompile_limit = 2 * len(LENGTHS)  # every shape once, and runs of another size after them
compiled_layer = torch.compile(layer, dynamic=False)


def low_rank(x, pair):
    """B·A·x of each product that reads x."""
    a, bs = pair
    return [F.linear(part, b) for part, b in zip(F.linear(x, a).chunk(len(bs), -1), bs)]


def keep_memory():
    """Large tensors come from memory that was used before: to get it from the system anew takes longer than to fill it."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)


class Model:
    """What `model.Model` is for batches of rows."""

    def __init__(self, weights, device, dtype):
        keep_memory()
        self.device, self.dtype = device, dtype
        own = {short(name): weight.to(dtype) for name, weight in weights["linear"].items()}
        stacked = {name: torch.cat([own[part] for part in parts], 1) for name, parts in PRODUCTS.items()}
        self.linear = [{name: weight[i] for name, weight in stacked.items()} for i in range(SIZES["layers"])]
        self.norms = [n.to(dtype) for n in weights["norms"]]
        self.final = weights["final"].to(dtype)
        self.embedding = weights["embedding"].to(dtype)
        self.cos, self.sin = (table.to(device, dtype) for table in rotary(LONGEST))

    def weights(self, adapter):
        """Of every layer {product: (A of its parts, [B of each])}, scaled and filled up."""
        more = -adapter.pairs[next(iter(MODULES))][0].shape[1] % RANKS
        a = {short(name): F.pad(a, (0, 0, 0, more)).to(self.dtype) for name, (a, _) in adapter.pairs.items()}
        b = {
            short(name): F.pad(adapter.used * adapter.scale * b, (0, more)).to(self.dtype).unbind(0)
            for name, (_, b) in adapter.pairs.items()
        }
        whole = {name: torch.cat([a[part] for part in parts], 1).unbind(0) for name, parts in PRODUCTS.items()}
        return [
            {name: (whole[name][i], [b[part][i] for part in parts]) for name, parts in PRODUCTS.items()}
            for i in range(SIZES["layers"])
        ]

    def forward(self, lora, batch, keep):
        """As `model.Model.forward`."""
        segments, places = batch["segments"], batch["positions"]
        seen = (segments[:, None, :] == 0) | (segments[:, None, :] == segments[:, :, None])
        mask = torch.zeros(seen.shape, dtype=self.dtype).masked_fill(~seen.tril(), -1e4)[:, None, None]
        cos, sin = self.cos[places].unsqueeze(1), self.sin[places].unsqueeze(1)
        x, states = F.embedding(batch["ids"], self.embedding), {}
        block = layer
        if torch.is_grad_enabled():
            # The first block is compiled as the others are, whose input has a gradient.
            x, block = x.requires_grad_(), compiled_layer
        for i in range(min(max(keep), SIZES["layers"])):
            x = block(x, self.linear[i], lora[i], [n[i] for n in self.norms], cos, sin, mask)
            if i + 1 in keep and i + 1 < SIZES["layers"]:
                states[i + 1] = x.flatten(0, 1).index_select(0, batch["first"])
        if SIZES["layers"] not in keep:
            return states, None
        x = F.rms_norm(x, (x.shape[-1],), self.final, SIZES["eps"]).flatten(0, 1)
        states[SIZES["layers"]] = x.index_select(0, batch["first"])
        return states, F.linear(x.index_select(0, batch["at"]), self.embedding).float()

    def batches(self, data, run):
        return batches(data, run)

    def held_out(self, data, rows, run):
        """Batches over held-out rows, each with the numbers of its rows."""
        order = np.argsort(rows[:, 1], kind="stable")
        bounds = np.flatnonzero(np.diff(rows[order, 1])) + 1
        shape = lambda unit: shape_of(length_of(data, rows[unit], run["answers"]))
        by_shape = {}
        for text in np.split(order, bounds):
            for unit in [text] if shape(text) else np.split(text, len(text)):
                by_shape.setdefault(shape(unit) or LONGEST, []).append(unit)
        for length, units in by_shape.items():
            size = run["tokens"] // length
            for i in range(0, len(units), size):
                part = units[i:i + size]
                yield np.concatenate(part), Batch(data, [rows[unit] for unit in part], length, run).tensors
