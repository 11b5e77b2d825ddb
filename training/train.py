"""Trains the adapter on a GPU: many short runs to compare, and the long one that is shipped.

    python training/train.py data.npz MODEL.gguf runs.json -o out [--device cuda] [--seconds N]

`runs.json` is a list of settings, each a dictionary over `DEFAULTS`. A run ends with a line in out/results.jsonl:
settings, curve and scores on held-out rows; with "save" it leaves the adapter as f16 in out/NAME.safetensors,
which `export.py` makes a PEFT folder of. A run that fails is written down, and the next begins.

The loss has parts. `causal` is the trainer's: cross-entropy of the answer's tokens and the end token (`whole` is its
whole-answer, with the answer's tokens as the bag). `near` compares the states where answers begin, at the layer that is to be read: which other rows of the step a row is near
to (a softmax over its cosines) is to be what a teacher says of their answers (the same over the teacher's): a soft
contrast, in which the rows of one text under other questions and of other texts under one question are the negatives.

LoRA is merged anew at every step, W + s·B·A in bf16, as the adapter is merged when it is used; A and B are f32.

Rows of like length make a batch of one of a few shapes, and a whole step over such a batch, optimiser included, is one
CUDA graph: a model of this size is too small for a GPU to wait for Python. On a CPU the same step runs as it is.
"""

import argparse
import itertools
import json
import math
import queue
import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

DEFAULTS = {
    "name": "run", "rank": 16, "alpha": 32, "layers": 30, "from": 0, "learning_rate": 1.5e-3, "warmup": 0.03, "tokens": 24576,
    "steps": 100, "causal": 1.0, "whole": 0.0, "near": 1.0, "kind": "softmax", "temperature": 0.05, "teacher_temperature": 0.05,
    "read": 28, "answers": "answers", "seed": 1, "without": [], "weights": {}, "facet_rows": 4, "save": False, "clip": 1.0,
    "shown": 50,
}
LENGTHS = [48, 64, 96, 128, 192, 384]  # of batches, in tokens
WRITINGS = {"answers": 3, "plain": 4, "full": 5}  # of an answer: columns of the table
TARGETS = 5  # answer tokens of a batch, per row
SIZES = {"hidden": 576, "heads": 9, "kv_heads": 3, "head_dim": 64, "inner": 1536, "layers": 30, "theta": 1e5, "eps": 1e-5}
MODULES = {  # name: (GGUF name, out, in)
    "self_attn.q_proj": ("attn_q", 576, 576), "self_attn.k_proj": ("attn_k", 192, 576),
    "self_attn.v_proj": ("attn_v", 192, 576), "self_attn.o_proj": ("attn_output", 576, 576),
    "mlp.gate_proj": ("ffn_gate", 1536, 576), "mlp.up_proj": ("ffn_up", 1536, 576), "mlp.down_proj": ("ffn_down", 576, 1536),
}
END = 2


def base(path, device):
    """The default model's weights, stacked over layers: {module: [layers, out, in]}, norms, embedding (= head)."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(path)
    fields = {name: reader.get_field(f"llama.{name}") for name in ["rope.freq_base", "attention.layer_norm_rms_epsilon"]}
    for name, size in [("rope.freq_base", "theta"), ("attention.layer_norm_rms_epsilon", "eps")]:
        assert math.isclose(fields[name].contents(), SIZES[size], rel_tol=1e-5), (name, fields[name].contents())
    found = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).astype(np.float32)) for t in reader.tensors}

    def unpermuted(weight, heads):
        """Rotary pairs lie side by side in a GGUF file, half a head apart in Hugging Face's layout, which LoRA is for."""
        return weight.view(heads, 32, 2, -1).transpose(1, 2).reshape(weight.shape)

    stacked = {}
    for name, (short, *_) in MODULES.items():
        each = [found[f"blk.{i}.{short}.weight"] for i in range(SIZES["layers"])]
        heads = {"attn_q": SIZES["heads"], "attn_k": SIZES["kv_heads"]}.get(short)
        stacked[name] = torch.stack([unpermuted(w, heads) if heads else w for w in each]).to(device)
    norms = [torch.stack([found[f"blk.{i}.{n}_norm.weight"] for i in range(SIZES["layers"])]).to(device) for n in ["attn", "ffn"]]
    return {"linear": stacked, "norms": norms, "final": found["output_norm.weight"].to(device), "embedding": found["token_embd.weight"].to(device)}


class Adapter:
    """A and B of all layers: {module: ([layers, rank, in], [layers, out, rank])}."""

    def __init__(self, run, device):
        draw = torch.Generator().manual_seed(run["seed"])
        self.scale = run["alpha"] / run["rank"]
        self.used = torch.zeros(SIZES["layers"], 1, 1, device=device)
        self.used[run["from"]:run["layers"]] = 1
        self.pairs = {}
        for name, (_, out, into) in MODULES.items():
            bound = 1 / math.sqrt(into)
            a = (torch.rand(SIZES["layers"], run["rank"], into, generator=draw) * 2 - 1) * bound
            self.pairs[name] = [a.to(device).requires_grad_(), torch.zeros(SIZES["layers"], out, run["rank"], device=device).requires_grad_()]

    def parameters(self):
        return [p for pair in self.pairs.values() for p in pair]

    def merged(self, linear, dtype):
        """{product: of every layer [out, in]}; what reads the same input is one product."""
        own = {name.split(".")[1].removesuffix("_proj"): (linear[name] + self.used * self.scale * torch.bmm(b, a)).to(dtype) for name, (a, b) in self.pairs.items()}
        products = {"qkv": ["q", "k", "v"], "o": ["o"], "gate_up": ["gate", "up"], "down": ["down"]}
        return {name: torch.cat([own[part] for part in parts], 1).unbind(0) for name, parts in products.items()}


def rotated(x, cos, sin):
    """[batch, heads, length, head_dim]"""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def layer(x, w, norms, cos, sin):
    """One block; x is [batch, length, hidden]."""
    batch, length, hidden = x.shape
    heads, kv_heads = SIZES["heads"], SIZES["kv_heads"]
    h = F.rms_norm(x, (hidden,), norms[0], SIZES["eps"])
    qkv = F.linear(h, w["qkv"]).view(batch, length, -1, SIZES["head_dim"]).transpose(1, 2)
    qk, v = rotated(qkv[:, :heads + kv_heads], cos, sin), qkv[:, heads + kv_heads:]
    q, k = qk[:, :heads], qk[:, heads:]
    k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (k, v))
    a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + F.linear(a.transpose(1, 2).reshape(batch, length, -1), w["o"])
    h = F.rms_norm(x, (hidden,), norms[1], SIZES["eps"])
    gate, up = F.linear(h, w["gate_up"]).chunk(2, -1)
    return x + F.linear(F.silu(gate) * up, w["down"])


class Model:
    def __init__(self, weights, device, dtype):
        self.device, self.dtype = device, dtype
        self.linear = weights["linear"]
        self.norms = [n.to(dtype) for n in weights["norms"]]
        self.final = weights["final"].to(dtype)
        self.embedding = weights["embedding"].to(dtype)
        angles = torch.arange(max(LENGTHS) + 8).outer(SIZES["theta"] ** (-torch.arange(0, 64, 2) / 64))
        self.cos, self.sin = angles.cos().to(device, dtype), angles.sin().to(device, dtype)

    def states(self, merged, ids, keep):
        """Hidden states [batch, length, hidden] of the layers in `keep`; the last one is behind the final norm."""
        x = F.embedding(ids, self.embedding)
        length = ids.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        kept = {}
        top = max(keep)
        for i in range(min(top, SIZES["layers"])):
            x = layer(x, {name: w[i] for name, w in merged.items()}, [n[i] for n in self.norms], cos, sin)
            if i + 1 in keep and i + 1 < SIZES["layers"]:
                kept[i + 1] = x
        if top == SIZES["layers"]:
            kept[top] = F.rms_norm(x, (x.shape[-1],), self.final, SIZES["eps"])
        return kept


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
        return prompt, np.append(self.tokens(answers, row[WRITINGS[answers]]), END).astype(np.int64)

    def group(self, source):
        return self.sources[source].split(".")[0]

    def length(self, rows, answers="answers"):
        """Tokens that are read of each row: all but the end token."""
        columns = {"texts": 1, "questions": 2, answers: WRITINGS[answers]}
        return sum(np.diff(self.arrays[f"{name}_at"])[rows[:, column]] for name, column in columns.items())

    def epochs(self, run, seed):
        """Rows text by text, all of a text's questions together (at most `facet_rows` at a time), for ever."""
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
            for number in draw.permutation(len(units)):
                yield units[number]

    def batches(self, run, pin):
        """Batches of the shapes of LENGTHS, `tokens` tokens each, a row in the shortest that holds it."""
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
    word [rows * TARGETS]: places, answer tokens, their row, 1 if there is one, and its share of its row's words; teach,
    text [rows], numbers.
    """

    def __init__(self, data, rows, length, run, pin=False):
        self.rows, self.length = len(rows), length
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
        # A batch with more answer tokens than there are places for leaves its last ones out.
        room = len(rows) * TARGETS
        fit = lambda array: np.resize(np.append(array[:room], np.zeros(max(0, room - len(array)), array.dtype)), room)
        arrays = {
            "ids": ids, "first": first, "at": fit(first[owner] + within), "targets": fit(targets), "owner": fit(owner),
            "counted": fit(np.ones(len(targets), np.float32)), "word": fit(word.astype(np.float32)),
            "teach": rows[:, -2].astype(np.int64), "text": rows[:, 1].astype(np.int64),
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


def forward(model, merged, batch, keep):
    """States where answers begin {layer: [rows, hidden]}, and logits of the answers' tokens [rows * TARGETS, vocabulary]."""
    kept = model.states(merged, batch["ids"], keep)
    states = {number: x.flatten(0, 1).index_select(0, batch["first"]) for number, x in kept.items()}
    if SIZES["layers"] not in keep:
        return states, None
    return states, F.linear(kept[SIZES["layers"]].flatten(0, 1).index_select(0, batch["at"]), model.embedding).float()


def loss_of(model, data, merged, batch, run):
    """The loss, and its parts."""
    keep = {run["read"], SIZES["layers"]} if run["causal"] or run["whole"] else {run["read"]}
    states, logits = forward(model, merged, batch, keep)
    loss = causal = near = torch.zeros((), device=model.device)
    if run["causal"]:
        each = F.cross_entropy(logits, batch["targets"], reduction="none")
        causal = (each * batch["counted"]).sum() / batch["counted"].sum()
        loss = loss + run["causal"] * causal
    if run["whole"]:
        begins = F.linear(states[SIZES["layers"]], model.embedding).float().log_softmax(-1)
        loss = loss - run["whole"] * (begins[batch["owner"], batch["targets"]] * batch["word"]).sum() / len(begins)
    if run["near"]:
        near = near_loss(states[run["read"]], data.teach[batch["teach"]], run)
        loss = loss + run["near"] * near
    return loss, causal, near


def near_loss(states, taught, run):
    """Which rows a row is near to, against what the teacher says; see the head of this file."""
    states = F.normalize(states.float(), dim=-1)
    ours, wanted = states @ states.T, taught @ taught.T
    if run["kind"] == "square":
        off = ours - wanted.clamp(min=0)
        return off.triu(1).square().sum() / (len(states) * (len(states) - 1) / 2) * 10
    alone = torch.eye(len(states), device=states.device, dtype=torch.bool)
    ours = (ours / run["temperature"]).masked_fill(alone, -1e4)
    wanted = (wanted / run["teacher_temperature"]).masked_fill(alone, -1e4)
    return F.kl_div(ours.log_softmax(-1), wanted.log_softmax(-1), reduction="batchmean", log_target=True)


class Steps:
    """A step over a batch; on a GPU a graph for every shape, whose inputs, outputs and parameters stay where they are."""

    def __init__(self, model, data, adapter, run):
        self.model, self.data, self.adapter, self.run = model, data, adapter, run
        self.parameters = adapter.parameters()
        self.on_gpu = model.device.type == "cuda"
        self.rate = torch.zeros((), device=model.device)
        options = {"fused": True, "capturable": True} if self.on_gpu else {}
        self.optimizer = torch.optim.AdamW(self.parameters, lr=self.rate if self.on_gpu else 0.0, weight_decay=0.0, betas=(0.9, 0.99), **options)
        self.graphs, self.pool = {}, None

    def step(self, batch):
        self.optimizer.zero_grad(set_to_none=True)
        merged = self.adapter.merged(self.model.linear, self.model.dtype)
        loss, causal, near = loss_of(self.model, self.data, merged, batch, self.run)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.run["clip"])
        self.optimizer.step()
        return torch.stack([causal.detach(), near.detach(), norm])

    def capture(self, batch):
        """Steps at a rate of 0 before the capture; the optimiser forgets them."""
        static = {name: tensor.to(self.model.device) for name, tensor in batch.tensors.items()}
        self.rate.zero_()
        kept = [state.clone() for state in self.state()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                self.step(static)
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        # Other threads may pin memory meanwhile.
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
            found = self.step(static)
        self.pool = self.pool or graph.pool()
        for i, state in enumerate(self.state()):
            state.copy_(kept[i]) if kept else state.zero_()
        self.graphs[batch.length] = graph, static, found

    def state(self):
        return [tensor for state in self.optimizer.state.values() for tensor in state.values() if torch.is_tensor(tensor)]

    def __call__(self, batch, rate):
        """Causal loss, near loss, gradient's norm: a tensor that the next step of the shape writes over."""
        if not self.on_gpu:
            self.optimizer.param_groups[0]["lr"] = rate
            return self.step(batch.tensors)
        graph, static, found = self.graphs[batch.length]
        for name, tensor in batch.tensors.items():
            static[name].copy_(tensor, non_blocking=True)
        self.rate.fill_(rate)
        graph.replay()
        return found


def train(model, data, run, deadline):
    adapter = Adapter(run, model.device)
    steps = Steps(model, data, adapter, run)
    start = time.time()
    if steps.on_gpu:
        shapes = set(LENGTHS)
        for batch in data.batches(run | {"seed": 0}, pin=False):
            if batch.length in shapes:
                steps.capture(batch)
                shapes.remove(batch.length)
            if not shapes:
                break
        print(f"captured in {time.time() - start:.1f} s", flush=True)
    curve, tokens, seen = [], 0, []
    batches = ahead(data.batches(run, pin=steps.on_gpu))
    for number in range(run["steps"]):
        # The schedule follows whichever comes first: the steps or the time that is left.
        done = max(number / run["steps"], (time.time() - start) / max(deadline - start, 1e-9) if deadline else 0)
        if done >= 1:
            break
        warm = min(1, (number + 1) / max(1, run["warmup"] * run["steps"]))
        rate = run["learning_rate"] * warm * max(0.01, 0.5 * (1 + math.cos(math.pi * done)))
        batch = next(batches)
        found = steps(batch, rate)
        tokens += batch.tokens
        shown = number == 0 or (number + 1) % run["shown"] == 0
        if shown or number % 10 == 0:
            seen.append(found.tolist())  # which also keeps Python from running far ahead
        if shown:
            causal, near, norm = np.mean(seen, 0).tolist()
            seen = []
            line = {"step": number + 1, "causal": causal, "near": near, "norm": norm, "seconds": time.time() - start, "tokens": tokens, "rate": rate}
            curve.append(line)
            print(run["name"], {k: round(v, 4) for k, v in line.items()}, flush=True)
            if not math.isfinite(near + norm + causal):
                raise RuntimeError("the loss is no number")
    seconds = time.time() - start
    return adapter, {"curve": curve, "steps_done": number + 1, "seconds": seconds, "tokens_per_second": tokens / seconds, "tokens": tokens}


class HeldOut:
    """Scores on held-out rows, for every layer that may be read."""

    def __init__(self, data, most, seed=0):
        draw = np.random.default_rng(seed)
        held = data.table[data.table[:, 0] == 1]
        group = np.array([data.group(s) for s in held[:, -1]])
        pick = lambda which, n: held[which][draw.permutation(which.sum())[:n]]
        self.facets = held[group == "facets"]
        made = np.isin(group, ["facets", "about", "joined", "unanswerable"])
        self.qa = pick(~made, most)
        self.joined, self.unknown = pick(group == "joined", most // 2), pick(group == "unanswerable", most // 4)
        self.about = pick(group == "about", most // 2)
        self.triplets = facet_triplets(data, self.facets) if len(self.facets) else {}

    def score(self, model, data, adapter, run, layers):
        with torch.no_grad():
            merged = adapter.merged(model.linear, model.dtype)
            scores = {}
            for name in ["qa", "facets", "joined", "unknown", "about"]:
                rows = getattr(self, name)
                if not len(rows):
                    continue
                states, losses, rights = [], [], []
                for i in range(0, len(rows), 256):
                    part = rows[i:i + 256]
                    batch = Batch(data, part, -(-int(data.length(part, run["answers"]).max()) // 8) * 8, run)
                    batch = {key: tensor.to(model.device) for key, tensor in batch.tensors.items()}
                    found, logits = forward(model, merged, batch, set(layers) | {SIZES["layers"]})
                    states.append(found)
                    losses.append(F.cross_entropy(logits, batch["targets"], reduction="none")[batch["counted"] > 0])
                    wrong = (logits.argmax(-1) != batch["targets"]).float() * batch["counted"]
                    rights.append(torch.zeros(len(part), device=model.device).index_add(0, batch["owner"], wrong) == 0)
                scores[f"{name}.loss"] = torch.cat(losses).mean().item()
                scores[f"{name}.right"] = torch.cat(rights).float().mean().item()
                for number in layers:
                    vectors = torch.cat([s[number] for s in states]).float()
                    for how, v in [("raw", vectors), ("centred", vectors - vectors.mean(0))]:
                        v = F.normalize(v, dim=-1)
                        if name == "facets":
                            names = torch.from_numpy(rows[:, -1].astype(np.int64)).to(v.device)
                            scores.setdefault(f"triplets.{how}", {})[number] = successes(self.triplets, names, vectors, how == "centred")
                        elif name in ("qa", "about"):
                            taught = data.teach[torch.from_numpy(rows[:, -2].astype(np.int64)).to(v.device)]
                            scores.setdefault(f"{name}.near.{how}", {})[number] = correlation(v @ v.T, taught @ taught.T)
            return scores


def correlation(ours, wanted):
    above = torch.triu(torch.ones_like(ours), 1).bool()
    return float(np.corrcoef(ours[above].cpu().numpy(), wanted[above].cpu().numpy())[0, 1])


def facet_triplets(data, rows, most=200):
    """{pair of facets: rows [triplet, 6]}: an anchor, p with its answer to the first facet and another to the second,
    n the other way round, each under the first facet's question and under the second's."""
    draw = np.random.default_rng(0)
    of_text, pairs, found = defaultdict(dict), defaultdict(list), {}
    for i, row in enumerate(rows):
        of_text[int(row[1])].setdefault(data.sources[row[-1]], i)
    for facets in of_text.values():
        for f, g in itertools.combinations(sorted(facets), 2):
            pairs[f, g].append((facets[f], facets[g]))
    answer = rows[:, 3]
    for (f, g), texts in sorted(pairs.items()):
        texts = np.array(texts)
        same = answer[texts][:, None] == answer[texts][None, :]
        triplets = []
        for a in draw.permutation(len(texts))[:most]:
            p = np.flatnonzero(same[a, :, 0] & ~same[a, :, 1])
            n = np.flatnonzero(same[a, :, 1] & ~same[a, :, 0])
            if len(p) and len(n):
                p, n = draw.choice(p), draw.choice(n)
                triplets.append([*texts[[a, p, n], 0], *texts[[a, p, n], 1]])
        if len(triplets) >= 20:
            found[f"{f[7:]} | {g.split('.')[-1]}"] = np.array(triplets)
    return found


def successes(triplets, names, vectors, centred):
    """By pair of facets the share of triplets that are right under each question, and their harmonic mean."""
    if centred:
        means = torch.zeros(int(names.max()) + 1, vectors.shape[1], device=vectors.device).index_reduce(0, names, vectors, "mean", include_self=False)
        vectors = vectors - means[names]
    v, found = F.normalize(vectors, dim=-1), {}
    for pair, rows in triplets.items():
        af, pf, nf, ag, pg, ng = v[torch.from_numpy(rows).to(v.device)].unbind(1)
        a = ((af * pf).sum(-1) > (af * nf).sum(-1)).float().mean().item()
        b = ((ag * ng).sum(-1) > (ag * pg).sum(-1)).float().mean().item()
        found[pair] = [a, b, 2 * a * b / max(a + b, 1e-9)]
    found["mean"] = float(np.mean([value[2] for value in found.values()])) if found else None
    return found


def save(adapter, run, path):
    from safetensors.torch import save_file

    tensors = {}
    for name, (a, b) in adapter.pairs.items():
        for i in range(run["from"], run["layers"]):
            for which, tensor in [("A", a), ("B", b)]:
                tensors[f"base_model.model.model.layers.{i}.{name}.lora_{which}.weight"] = tensor[i].detach().to(torch.float16).contiguous().cpu()
    save_file(tensors, path, metadata={"format": "pt", "run": json.dumps(run)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, help="no run begins after so many, and the last ends its schedule by then")
    parser.add_argument("--most", type=int, default=1000, help="held-out rows of a kind")
    args = parser.parse_args()
    start = time.time()
    args.output.mkdir(parents=True, exist_ok=True)
    device = torch.device(args.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    data = Data(args.data, device)
    model = Model(base(args.model, device), device, dtype)
    held = HeldOut(data, args.most)
    print(f"loaded in {time.time() - start:.1f} s, {len(data.table)} rows", flush=True)
    failed = 0
    for changes in json.loads(args.runs.read_text()):
        unknown = set(changes) - set(DEFAULTS)
        assert not unknown, unknown
        run = DEFAULTS | changes
        if args.seconds and time.time() - start > args.seconds - 5:
            print("no time for", run["name"], flush=True)
            continue
        result = {"run": run}
        try:
            adapter, curve = train(model, data, run, start + args.seconds if args.seconds else None)
            result |= curve
            if run["save"]:
                save(adapter, run, args.output / f"{run['name']}.safetensors")
            layers = sorted({16, 20, 22, 24, 25, 26, 27, 28, 29, 30, run["read"]})
            result["scores"] = scores = held.score(model, data, adapter, run, layers)
            plain = {key: round(value, 3) for key, value in scores.items() if isinstance(value, float)}
            triplets = {number: round(value["mean"], 3) for number, value in scores.get("triplets.raw", {}).items()}
            print(run["name"], f"{result['tokens_per_second']:.0f} tokens/s", plain, triplets, flush=True)
        except Exception as error:  # a run that fails is a result too
            failed += 1
            result["error"] = repr(error)
            print(run["name"], "failed:", repr(error)[:2000], flush=True)
        with open(args.output / "results.jsonl", "a") as file:
            print(json.dumps(result), file=file)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
