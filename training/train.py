"""Trains the adapter: many short runs to compare, and the long ones that are shipped.

    python training/train.py data.npz MODEL.gguf runs.json -o out [--device cpu] [--seconds N]

`runs.json` is a list of settings, each a dictionary over `DEFAULTS`. A run ends with a line in out/results.jsonl:
settings, curve and scores on held-out rows; with "save" it leaves the adapter as f16 in out/NAME.safetensors,
which `export.py` makes a PEFT folder of (until its end it is out/NAME.unfinished). A run that fails is written down, and the next begins.

The loss has parts. `causal` is the trainer's: cross-entropy of the answer's tokens and the end token (`whole` is its
whole-answer, with the answer's tokens as the bag). `near` compares the states where answers begin, at the layer that
is to be read: which other rows of the step a row is near to (a softmax over its cosines) is to be what a teacher says
of their answers (the same over the teacher's). It is a soft contrast, in which the rows of one text under other
questions, and of other texts under one question, are the negatives.

On a GPU, rows of like length make a batch of one of a few shapes, and a whole step over such a batch, optimiser included, is
one CUDA graph: a model of this size is too small for a GPU to wait for Python. LoRA is merged anew at every step, W + s·B·A
in bf16, as the adapter is merged when it is used; A and B are f32. On a CPU, `packed.py` reads a text once for all its questions.

"start" in the settings is an adapter that a run goes on from, with the same rank and alpha, or a list whose mean is one.
"""

import argparse
import itertools
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import packed
from data import LENGTHS, Data, ahead
from model import SIZES, Adapter, Model, base, save
from scores import HeldOut, chosen_by

DEFAULTS = {
    "name": "run", "rank": 16, "alpha": 32, "layers": 30, "from": 0, "learning_rate": 1.5e-3, "warmup": 0.03, "tokens": 24576,
    "steps": 100, "causal": 1.0, "whole": 0.0, "near": 1.0, "kind": "softmax", "temperature": 0.05, "teacher_temperature": 0.05,
    "read": 28, "answers": "answers", "seed": 1, "start": None, "without": [], "weights": {}, "shares": {}, "facet_rows": 4, "together": 1, "save": False, "clip": 1.0,
    "shown": 50,
}


def loss_of(model, data, weights, batch, run):
    """The loss, and its parts."""
    keep = {run["read"], SIZES["layers"]} if run["causal"] or run["whole"] else {run["read"]}
    states, logits = model.forward(weights, batch, keep)
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
        options = {"fused": True, "capturable": self.on_gpu}
        self.optimizer = torch.optim.AdamW(self.parameters, lr=self.rate if self.on_gpu else 0.0, weight_decay=0.0, betas=(0.9, 0.99), **options)
        self.graphs, self.pool = {}, None

    def step(self, batch):
        self.optimizer.zero_grad(set_to_none=True)
        weights = self.model.weights(self.adapter)
        loss, causal, near = loss_of(self.model, self.data, weights, batch, self.run)
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
        if batch.length not in self.graphs:
            self.capture(batch)
        graph, static, found = self.graphs[batch.length]
        for name, tensor in batch.tensors.items():
            static[name].copy_(tensor, non_blocking=True)
        self.rate.fill_(rate)
        graph.replay()
        return found


def train(model, data, run, deadline, unfinished):
    """The adapter at the run's end, and its curve; on the way it is kept as `unfinished`, if the run says "save"."""
    adapter = Adapter(run, model.device)
    steps = Steps(model, data, adapter, run)
    start = time.time()
    if steps.on_gpu:
        # Shapes that are rarer are captured when they come.
        for batch in itertools.islice(data.batches(run | {"seed": 0}, pin=False), 300):
            if batch.length not in steps.graphs:
                steps.capture(batch)
            if len(steps.graphs) == len(LENGTHS):
                break
        print(f"captured in {time.time() - start:.1f} s", flush=True)
    curve, tokens, seen, taken = [], 0, [], 0
    batches = ahead(model.batches(data, run))
    for number in range(run["steps"]):
        # The schedule follows whichever comes first: the steps or the time that is left.
        done = max(number / run["steps"], (time.time() - start) / max(deadline - start, 1e-9) if deadline else 0)
        if done >= 1:
            break
        warm = min(1, (number + 1) / max(1, run["warmup"] * run["steps"]))
        rate = run["learning_rate"] * warm * max(0.01, 0.5 * (1 + math.cos(math.pi * done)))
        batch = next(batches)
        found = steps(batch, rate)
        tokens, taken = tokens + batch.tokens, number + 1
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
            if run["save"]:
                save(adapter, run, unfinished)
    seconds = time.time() - start
    return adapter, {"curve": curve, "steps_done": taken, "seconds": seconds, "tokens_per_second": tokens / seconds, "tokens": tokens}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--seconds", type=float, help="no run begins after so many, and the last ends its schedule by then")
    parser.add_argument("--most", type=int, default=1000, help="held-out rows of a kind")
    args = parser.parse_args()
    start = time.time()
    args.output.mkdir(parents=True, exist_ok=True)
    device = torch.device(args.device)
    data = Data(args.data, device)
    kind = Model if device.type == "cuda" else packed.Model
    model = kind(base(args.model, device), device, {"bf16": torch.bfloat16, "f32": torch.float32}[args.precision])
    held = HeldOut(data, args.most)
    print(f"loaded in {time.time() - start:.1f} s, {(data.table[:, 0] == 0).sum()} rows to learn from", flush=True)
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
            path = args.output / f"{run['name']}.safetensors"
            unfinished = path.with_suffix(".unfinished")
            adapter, curve = train(model, data, run, start + args.seconds if args.seconds else None, unfinished)
            result |= curve
            if run["save"]:
                save(adapter, run, path)
                unfinished.unlink(missing_ok=True)
            layers = sorted({16, 20, 22, 24, 25, 26, 27, 28, 29, 30, run["read"]})
            result["scores"] = scores = held.score(model, data, adapter, run, layers)
            plain = {key: round(value, 3) for key, value in scores.items() if isinstance(value, float)}
            chosen = {layer: round(score, 1) for layer in layers if (score := chosen_by(scores, layer)) is not None}
            print(run["name"], f"{result['tokens_per_second']:.0f} tokens/s", plain, chosen, flush=True)
        except Exception as error:  # a run that fails is a result too
            failed += 1
            result["error"] = repr(error)
            print(run["name"], "failed:", repr(error)[:2000], flush=True)
        with open(args.output / "results.jsonl", "a") as file:
            print(json.dumps(result), file=file)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
