"""Scores on held-out rows, for every layer that may be read."""

import itertools
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F

from model import SIZES

POSITIONS = {"facets.opinions.position": "facets.opinions.stance"}  # facets that count by another's answers in triplets
POSITIONED = ["facets.opinions.issue", "facets.opinions.position", "facets.opinions.stance"]


class HeldOut:
    """Held-out rows: facets, of those all about positions, QA, joined, unanswerable, and questions about the subject."""

    def __init__(self, data, most, seed=0):
        draw = np.random.default_rng(seed)
        held = data.table[data.table[:, 0] == 1]
        group = np.array([data.group(s) for s in held[:, -1]])
        pick = lambda which, n: held[which][draw.permutation(which.sum())[:n]]
        self.facets = of_some_texts(held[group == "facets"], 6 * most, np.random.default_rng(seed + 1))
        made = np.isin(group, ["facets", "corpora", "kinds", "about", "joined", "unanswerable"])
        self.qa = pick(~made, most)
        self.joined, self.unknown = pick(group == "joined", most // 2), pick(group == "unanswerable", most // 4)
        self.about = pick(group == "about", most // 2)
        named = np.array([data.sources[s] in POSITIONED for s in held[:, -1]])
        self.positions = held[named]
        self.triplets = {name: facet_triplets(data, rows, most) for name, rows, most in
                         [("facets", self.facets, 200), ("positions", self.positions, len(self.positions))]}

    def score(self, model, data, adapter, run, layers):
        """{kind.loss, kind.right: of the answers; kind.triplets, kind.near: {layer: score}, raw and centred}"""
        scores = {}
        with torch.no_grad():
            weights = model.weights(adapter)
            for name in ["qa", "facets", "positions", "joined", "unknown", "about"]:
                rows = getattr(self, name)
                if not len(rows):
                    continue
                states, scores[f"{name}.loss"], scores[f"{name}.right"] = answered(model, weights, data, rows, run, layers)
                for number, vectors in states.items():
                    for how in ["raw", "centred"]:
                        if name in self.triplets:
                            facets = torch.from_numpy(rows[:, -1].astype(np.int64)).to(vectors.device)
                            found = successes(self.triplets[name], facets, vectors, how == "centred")
                            scores.setdefault(f"{name}.triplets.{how}", {})[number] = found
                        elif name in ("qa", "about"):
                            taught = data.teach[torch.from_numpy(rows[:, -2].astype(np.int64)).to(vectors.device)]
                            v = F.normalize(vectors - vectors.mean(0) if how == "centred" else vectors, dim=-1)
                            scores.setdefault(f"{name}.near.{how}", {})[number] = correlation(v @ v.T, taught @ taught.T)
        return scores


def chosen_by(scores, layer):
    """What an adapter and its layer are chosen by, × 100: the mean of triplets of facets, correlations of QA and subject, and triplets of
    issue and position, all raw; None if one is missing."""
    read = ["facets.triplets", "qa.near", "about.near", "positions.triplets"]
    facets, qa, subject, positions = (scores.get(f"{name}.raw", {}).get(layer) for name in read)
    issues = positions and positions.get("opinions.issue | position")
    parts = [facets and facets["mean"], qa, subject, issues and issues[2]]
    return None if None in parts else 100 * float(np.mean(parts))


def of_some_texts(rows, most, draw):
    """At most so many rows, all those of a text or none."""
    texts, counts = np.unique(rows[:, 1], return_counts=True)
    order = draw.permutation(len(texts))
    kept = texts[order[np.cumsum(counts[order]) <= most]]
    return rows[np.isin(rows[:, 1], kept)]


def answered(model, weights, data, rows, run, layers):
    """States where answers begin {layer: [rows, hidden]}, the mean loss of the answers' tokens, and the share of answers
    that are right to the last token."""
    order, states, losses, right = [], [], [], 0
    for numbers, batch in model.held_out(data, rows, run):
        found, logits = model.forward(weights, batch, set(layers) | {SIZES["layers"]})
        order.append(numbers)
        states.append(found)
        losses.append(F.cross_entropy(logits, batch["targets"], reduction="none"))
        wrong = (logits.argmax(-1) != batch["targets"]).float()
        right += (torch.zeros(len(numbers), device=model.device).index_add(0, batch["owner"], wrong) == 0).sum().item()
    place = torch.from_numpy(np.argsort(np.concatenate(order))).to(model.device)
    whole = {number: torch.cat([found[number] for found in states]).float()[place] for number in layers}
    return whole, torch.cat(losses).mean().item(), right / len(rows)


def correlation(ours, wanted):
    above = torch.triu(torch.ones_like(ours), 1).bool()
    return float(np.corrcoef(ours[above].cpu().numpy(), wanted[above].cpu().numpy())[0, 1])


def facet_triplets(data, rows, most):
    """{pair of facets: rows [triplet, 6]}: an anchor, p with its answer to the first facet and another to the second,
    n the other way round, each under the first facet's question and under the second's. A position ("opposes hunting") counts by its
    stance, which texts on other issues can share."""
    draw = np.random.default_rng(0)
    of_text, pairs, found = defaultdict(dict), defaultdict(list), {}
    for i, row in enumerate(rows):
        of_text[int(row[1])].setdefault(data.sources[row[-1]], i)
    for facets in of_text.values():
        for f, g in itertools.combinations(sorted(facets), 2):
            pairs[f, g].append((facets[f], facets[g]))
    answer = rows[:, 3].copy()
    for facets in of_text.values():
        for name in facets.keys() & POSITIONS.keys():
            answer[facets[name]] = rows[facets[POSITIONS[name]], 3]
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
