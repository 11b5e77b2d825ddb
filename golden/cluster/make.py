"""Measures of agreement by scikit-learn, linkages by SciPy: metrics.json, linkage.json.

    pip install scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
    python golden/cluster/make.py
"""

import json
import pathlib

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn import metrics

HERE = pathlib.Path(__file__).parent


def case(name, a, b):
    a, b = [int(x) for x in a], [int(x) for x in b]
    homogeneity, completeness, v = metrics.homogeneity_completeness_v_measure(a, b)
    row = {
        "name": name,
        "a": a,
        "b": b,
        "homogeneity": homogeneity,
        "completeness": completeness,
        "v": v,
        "ari": metrics.adjusted_rand_score(a, b),
        "nmi": metrics.normalized_mutual_info_score(a, b),
    }
    if a:
        table = metrics.cluster.contingency_matrix(a, b)
        shares = table / table.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            bits = -np.where(shares > 0, shares * np.log2(shares), 0).sum(axis=0)
        row["purity"] = float(table.max(axis=0).sum() / table.sum())
        row["entropy_bits"] = [float(x) for x in bits]
    return row


def agreement():
    rng = np.random.default_rng(0)
    cases = [
        case("empty", [], []),
        case("one thing", [3], [8]),
        case("one cluster, one label", [1] * 9, [2] * 9),
        case("one cluster", [0, 0, 1, 1, 2, 2], [0] * 6),
        case("one label", [0] * 6, [0, 0, 1, 1, 2, 2]),
        case("all distinct", range(12), range(12)),
        case("all distinct clusters", [0, 0, 1, 1, 2, 2], range(6)),
        case("renamed", [0, 0, 1, 1, 5], [7, 7, 3, 3, 1]),
        case("independent", [0, 0, 1, 1], [0, 1, 0, 1]),
        case("ties", [0, 1, 0, 1, 2, 2], [0, 0, 1, 1, 2, 3]),
    ]
    for n, ka, kb in [(20, 3, 4), (200, 10, 2), (500, 64, 64), (1000, 5, 7)]:
        cases.append(case(f"random {n}", rng.integers(ka, size=n), rng.integers(kb, size=n)))
    a = rng.integers(6, size=400)
    b = np.where(rng.random(400) < 0.8, a, rng.integers(9, size=400))
    cases.append(case("mostly right", a, b))
    return cases


def linkages():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(40, 5)).astype(np.float32)
    points[20:] += 3
    cases = []
    for method in ["ward", "average"]:
        tree = linkage(points.astype(np.float64), method)
        cases.append(
            {
                "method": method,
                "dim": 5,
                "points": [float(x) for x in points.ravel()],
                "merges": tree.tolist(),
                "labels": {str(k): fcluster(tree, k, "maxclust").tolist() for k in [1, 2, 5, 12]},
            }
        )
    return cases


if __name__ == "__main__":
    for name, value in [("metrics", agreement()), ("linkage", linkages())]:
        (HERE / f"{name}.json").write_text(json.dumps(value) + "\n")
