"""Expected values of crates/inbedder-eval's metrics, by SciPy and scikit-learn.

    python golden/eval/make.py

Writes metrics.json: lists of cases with their inputs and what the libraries say; null where they say NaN.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy.stats import hmean, pearsonr, spearmanr
from sklearn.metrics import average_precision_score

HERE = Path(__file__).parent
warnings.simplefilter("ignore")
rng = np.random.default_rng(5)


def number(value):
    return None if np.isnan(value) else float(value)


def pairs():
    yield rng.normal(size=30), rng.normal(size=30)
    x = rng.normal(size=50)
    yield x, x + 0.3 * rng.normal(size=50)
    yield x, -x
    yield rng.integers(0, 4, 40).astype(float), rng.integers(0, 3, 40).astype(float)
    yield rng.integers(0, 2, 25).astype(float), rng.normal(size=25)
    yield np.ones(6), rng.normal(size=6)
    yield rng.normal(size=6), np.zeros(6)
    yield np.array([1.0, 2.0]), np.array([5.0, 3.0])
    yield 1e6 + rng.normal(size=20), 1e-6 * rng.normal(size=20)


def rankings():
    for count in [2, 5, 30]:
        relevant = rng.integers(0, 2, count)
        relevant[0] = 1
        yield relevant, rng.normal(size=count)
        yield relevant, rng.integers(0, 3, count).astype(float)
    yield np.array([1]), np.array([0.5])
    yield np.ones(4, int), rng.normal(size=4)
    yield np.array([0, 0, 1]), np.ones(3)


correlations = [
    {"a": a.tolist(), "b": b.tolist(),
     "pearson": number(pearsonr(a, b)[0]), "spearman": number(spearmanr(a, b)[0])}
    for a, b in pairs()
]
precisions = [
    {"relevant": [bool(r) for r in relevant], "scores": scores.tolist(),
     "average_precision": number(average_precision_score(relevant, scores))}
    for relevant, scores in rankings()
]
lists = [rng.uniform(0, 1, 2), rng.uniform(0, 1, 5), np.array([0.0, 0.5]), np.array([0.25])]
means = [
    {"values": values.tolist(), "harmonic": number(hmean(values)), "mean": number(values.mean()),
     "deviation": number(values.std()),
     "quantiles": [[q, number(np.quantile(values, q))] for q in [0.0, 0.025, 0.5, 0.975, 1.0]]}
    for values in lists
]
golden = {
    "versions": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
    "correlations": correlations, "precisions": precisions, "means": means,
}
(HERE / "metrics.json").write_text(json.dumps(golden, indent=1) + "\n")
