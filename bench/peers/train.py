"""The trainer's twin in PyTorch + PEFT: the same rows, step by step, from the same adapter.

    python -m venv env && env/bin/pip install -r bench/peers/requirements-train.txt
    inbedder train ROWS … -o start --dump-batches batches.jsonl    # the adapter before the first step
    inbedder train ROWS … -o ours                                  # the losses, in ours/metrics.jsonl
    python bench/peers/train.py run MODEL batches.jsonl --adapter start -o theirs.jsonl [--save FOLDER] …
    python bench/peers/train.py compare ours/metrics.jsonl theirs.jsonl [--steps 200]

MODEL is a GGUF file or a Hugging Face folder, the adapter the PEFT folder that the trainer begins with. `run`
prints a line of JSON per step ({step, loss, learning_rate, grad_norm, seconds}) and, as the last one,
rows and tokens per second and the peak of memory. The loss is the trainer's: the mean of the
cross-entropies of all answer tokens and end tokens of the step (`--causal`), and of the bags of words at
the prompts' last tokens, mean over bags (`--whole-answer`); of a question's answer among those of its batch
(`--answer-contrast`), mean over questions; and of cosines of states that are not those of their answers
(`--answer-cosine`), mean over pairs of a batch. Batches are the trainer's for these two.

PyTorch gets the help that it has without our design: a step's rows are sorted by length and padded on the
right in batches of few tokens, logits are made for the targets alone, no cache is kept. What it has not is
one reading of a text for all its questions. `compare` prints the largest relative difference of the losses
and fails above `--bound`.
"""

import argparse
import json
import math
import os
import resource
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F


def load(args):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    path = Path(args.model)
    if path.suffix == ".gguf":
        model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    else:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, args.adapter, is_trainable=True)
    return model.to(args.device).train()


def batches(rows, tokens):
    """Rows sorted by length, as many at a time as stay below so many tokens with their padding."""
    rows = sorted(rows, key=lambda row: len(row["prompt_ids"]) + len(row["answer_ids"]))
    part, longest = [], 0
    for row in rows:
        length = len(row["prompt_ids"]) + len(row["answer_ids"])
        if part and max(longest, length) * (len(part) + 1) > tokens:
            yield part
            part, longest = [], 0
        part.append(row)
        longest = max(longest, length)
    yield part


def parts(step, args):
    """The trainer's batches if a loss compares their questions, else what is fastest."""
    if not (args.answer_contrast or args.answer_cosine):
        yield from batches(step["rows"], args.batch_tokens)
        return
    at = 0
    for count in step["batches"]:
        if count:
            yield step["rows"][at : at + count]
        at += count


def answer_space(model):
    """The head's rows, less their mean."""
    head = model.get_output_embeddings().weight.detach()
    return head - head.mean(dim=0)


def weights(bags, like):
    """[bag][token]"""
    found = like.new_zeros(len(bags), like.shape[-1])
    for to, bag in zip(found, bags):
        tokens, shares = zip(*bag)
        to[list(tokens)] = torch.tensor(shares, device=like.device)
    return found


def contrast(logits, bags):
    """Every row's own bag among the distinct ones, scored by their mean logits; a sum."""
    answers = []
    for bag in bags:
        if bag not in answers:
            answers.append(bag)
    own = torch.tensor([answers.index(bag) for bag in bags], device=logits.device)
    return F.cross_entropy(logits @ weights(answers, logits).T, own, reduction="sum")


def cosine(states, answers):
    """A sum over pairs."""
    states, answers = F.normalize(states, dim=-1), F.normalize(answers, dim=-1)
    off = states @ states.T - (answers @ answers.T).clamp(min=0)
    return off.triu(diagonal=1).square().sum()


def step_loss(model, rows, scale, space, device):
    """The share of some rows in the loss of their step."""
    # The end token is a target, but never read.
    ids = [row["prompt_ids"] + row["answer_ids"][:-1] for row in rows]
    longest = max(map(len, ids))
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids], device=device)
    inner = model.get_base_model()
    hidden = inner.model(input_ids=padded, attention_mask=mask, use_cache=False).last_hidden_state
    at, targets, bags, asked = [], [], [], {}
    for i, row in enumerate(rows):
        first = len(row["prompt_ids"]) - 1
        bags += [(len(at), token, weight) for token, weight in row.get("bag", [])]
        if row.get("bag"):
            asked[tuple(row["prompt_ids"])] = len(at), row["bag"]
        at += [i * longest + first + j for j in range(len(row["answer_ids"]))]
        targets += row["answer_ids"]
    states = hidden.flatten(0, 1)[torch.tensor(at, device=device)]
    logits = inner.lm_head(states).float()
    loss = logits.new_zeros(())
    if scale["causal"]:
        loss = loss + scale["causal"] * F.cross_entropy(logits, torch.tensor(targets, device=device), reduction="sum")
    if scale["whole_answer"] and bags:
        places, tokens, shares = zip(*bags)
        found = torch.log_softmax(logits, dim=-1)[list(places), list(tokens)]
        loss = loss - scale["whole_answer"] * (found * torch.tensor(shares, device=device)).sum()
    places, answers = [list(part) for part in zip(*asked.values())] or ([], [])
    if scale["contrast"] and places:
        loss = loss + scale["contrast"] * contrast(logits[places], answers)
    if scale["cosine"] and places:
        loss = loss + scale["cosine"] * cosine(states[places], weights(answers, logits.detach()) @ space)
    return loss


def scale_of(step, args):
    """Makes sums over a step's rows means."""
    targets = sum(len(row["answer_ids"]) for row in step["rows"])
    bags = sum(bool(row.get("bag")) for row in step["rows"])
    pairs = 0
    if args.answer_cosine:
        counts = [sum(bool(row.get("bag")) for row in part) for part in parts(step, args)]
        pairs = sum(count * (count - 1) // 2 for count in counts)
    return {
        "causal": args.causal / max(targets, 1), "whole_answer": args.whole_answer / max(bags, 1),
        "contrast": args.answer_contrast / max(bags, 1), "cosine": args.answer_cosine / max(pairs, 1),
    }


def learning_rate(args, step, steps):
    warm = math.ceil(args.warmup * steps)
    done = step - 1
    if done < warm:
        return args.learning_rate * (done + 1) / warm
    part = min((done - warm) / max(steps - warm, 1), 1.0)
    fall = {"cosine": 0.5 * (1 + math.cos(math.pi * part)), "linear": 1 - part, "constant": 1.0}
    return args.learning_rate * fall[args.schedule]


def run(args):
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    with open(args.batches) as lines:
        steps = [json.loads(line) for line in lines]
    total = args.total_steps or len(steps)
    steps = steps[: args.steps]
    model = load(args)
    space = answer_space(model) if args.answer_cosine else None
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=args.learning_rate, betas=(args.beta1, args.beta2), eps=args.eps,
        weight_decay=args.weight_decay,
    )
    out = open(args.output, "w") if args.output else sys.stdout
    rows = tokens = 0
    seconds = 0.0
    for step in steps:
        start = time.perf_counter()
        rate = learning_rate(args, step["step"], total)
        for group in optimizer.param_groups:
            group["lr"] = rate
        scale = scale_of(step, args)
        loss = 0.0
        for part in parts(step, args):
            share = step_loss(model, part, scale, space, args.device)
            # Rows without a bag have nothing to say to bags alone.
            if share.requires_grad:
                share.backward()
            loss += share.item()
        norm = torch.nn.utils.clip_grad_norm_(parameters, args.clip).item()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds += time.perf_counter() - start
        rows += len(step["rows"])
        tokens += sum(len(row["prompt_ids"]) + len(row["answer_ids"]) - 1 for row in step["rows"])
        line = {"step": step["step"], "loss": loss, "learning_rate": rate, "grad_norm": norm, "seconds": seconds}
        print(json.dumps(line), file=out, flush=True)
    summary = {
        "rows": rows, "rows_per_second": rows / seconds, "tokens_per_second": tokens / seconds,
        "seconds": seconds, "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "threads": torch.get_num_threads(), "device": args.device, "torch": torch.__version__,
    }
    print(json.dumps(summary), file=out, flush=True)
    if out is not sys.stdout:
        print(json.dumps(summary))
    if args.save:
        model.save_pretrained(args.save)


def losses(path, steps):
    with open(path) as lines:
        found = [json.loads(line) for line in lines]
    return {line["step"]: line["loss"] for line in found if "loss" in line and line["step"] <= steps}


def compare(args):
    ours, theirs = losses(args.ours, args.steps), losses(args.theirs, args.steps)
    common = sorted(set(ours) & set(theirs))
    if not common:
        sys.exit("no step is in both files")
    differences = {step: abs(ours[step] - theirs[step]) / abs(theirs[step]) for step in common}
    worst = max(common, key=differences.get)
    print(f"{len(common)} steps ({common[0]} to {common[-1]}), largest relative difference of the loss "
          f"{differences[worst]:.2e} at step {worst} ({ours[worst]:.6f} and {theirs[worst]:.6f}), "
          f"mean {sum(differences.values()) / len(common):.2e}")
    if differences[worst] > args.bound:
        sys.exit(f"above {args.bound}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    peer = commands.add_parser("run")
    peer.set_defaults(action=run)
    peer.add_argument("model")
    peer.add_argument("batches")
    peer.add_argument("--adapter", required=True)
    peer.add_argument("-o", "--output")
    peer.add_argument("--save", help="folder for the adapter that comes out")
    peer.add_argument("--steps", type=int, help="end after so many steps; the schedule goes on")
    peer.add_argument("--total-steps", type=int, help="of the schedule, if the file holds fewer")
    peer.add_argument("--batch-tokens", type=int, default=2048, help="tokens of a padded batch")
    peer.add_argument("--causal", type=float, default=1.0)
    peer.add_argument("--whole-answer", type=float, default=0.0)
    peer.add_argument("--answer-contrast", type=float, default=0.0)
    peer.add_argument("--answer-cosine", type=float, default=0.0)
    peer.add_argument("--learning-rate", type=float, default=4e-4)
    peer.add_argument("--schedule", choices=["cosine", "linear", "constant"], default="cosine")
    peer.add_argument("--warmup", type=float, default=0.03)
    peer.add_argument("--weight-decay", type=float, default=0.0)
    peer.add_argument("--beta1", type=float, default=0.9)
    peer.add_argument("--beta2", type=float, default=0.999)
    peer.add_argument("--eps", type=float, default=1e-8)
    peer.add_argument("--clip", type=float, default=1.0)
    peer.add_argument("--seed", type=int, default=42, help="of dropout")
    peer.add_argument("--threads", type=int, default=os.cpu_count())
    peer.add_argument("--device", default="cpu")
    check = commands.add_parser("compare")
    check.set_defaults(action=compare)
    check.add_argument("ours")
    check.add_argument("theirs")
    check.add_argument("--steps", type=int, default=200)
    check.add_argument("--bound", type=float, default=0.01)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = arguments()
    arguments.action(arguments)
