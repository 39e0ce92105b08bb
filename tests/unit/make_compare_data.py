#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_compare_data.py OUT.h: made-up results of three methods with numpy's bootstrap of them.

Three methods, two seeds (the third method: one), 120 rows. Per row an exact match (0 or 1) and a loss
(sum of nll, tokens). What numpy finds: the figure of each method, its 95 % percentile interval and
that of each pair, drawing seeds and rows with replacement, both shared by the methods. The draws are
numpy's own (200,000 of them), so the test allows for the noise of 10,000 draws.
"""
import sys

import numpy as np

ROWS, DRAWS = 120, 200_000
rng = np.random.default_rng(20251125)

easy = rng.random(ROWS)  # rows that are hard for one method are hard for all
runs = []
for method, (skill, seeds) in enumerate([(0.75, 2), (0.60, 2), (0.72, 1)]):
    for seed in range(seeds):
        exact = (easy + rng.normal(0, 0.25, ROWS) < skill + rng.normal(0, 0.02)).astype(float)
        tokens = rng.integers(5, 40, ROWS).astype(float)
        nll = np.round(tokens * rng.gamma(2.0, 0.02 + 0.1 * easy), 4)
        runs.append((method, exact, nll, tokens))


def exact_of(run, rows):
    return run[1][rows].mean(axis=-1)


def loss_of(run, rows):
    return run[2][rows].sum(axis=-1) / run[3][rows].sum(axis=-1)


def bootstrap(value):
    drawn = {m: [] for m in range(3)}
    for _ in range(DRAWS // 2000):
        rows = rng.integers(0, ROWS, (2000, ROWS))
        seeds = rng.random((2000, 2))
        for m in range(3):
            own = np.stack([value(r, rows) for r in runs if r[0] == m])
            pick = (seeds[:, :len(own)] * len(own)).astype(int)
            drawn[m].append(np.take_along_axis(own.T, pick, axis=1).mean(axis=1))
    drawn = [np.concatenate(drawn[m]) for m in range(3)]
    means = [np.mean([value(r, np.arange(ROWS)) for r in runs if r[0] == m]) for m in range(3)]
    out = []
    for m in range(3):
        out.append((means[m], *np.percentile(drawn[m], [2.5, 97.5])))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        out.append((means[a] - means[b], *np.percentile(drawn[a] - drawn[b], [2.5, 97.5])))
    return out


def array(name, values, per_line=10):
    lines = [", ".join(f"{v:.10g}" for v in values[i:i + per_line])
             for i in range(0, len(values), per_line)]
    return f"static const double {name}[] = {{\n    " + ",\n    ".join(lines) + "};\n"


with open(sys.argv[1], "w") as out:
    out.write("/* SPDX-License-Identifier: Apache-2.0\n *\n"
              f" * Made by make_compare_data.py with numpy {np.__version__}.\n */\n")
    out.write(f"enum {{ DATA_ROWS = {ROWS}, DATA_RUNS = {len(runs)} }};\n")
    out.write("static const int data_method[] = {" + ", ".join(str(r[0]) for r in runs) + "};\n")
    # pairs, as the metrics of core/eval sum them up: (score, 1), (nll, tokens)
    out.write(array("data_exact", np.stack([np.stack([r[1], np.ones(ROWS)], 1) for r in runs]).ravel()))
    out.write(array("data_loss", np.stack([np.stack([r[2], r[3]], 1) for r in runs]).ravel()))
    out.write("/* mean, low, high of methods 0, 1, 2 and of the pairs 0-1, 0-2, 1-2 */\n")
    out.write(array("numpy_exact", np.array(bootstrap(exact_of)).ravel(), 3))
    out.write(array("numpy_loss", np.array(bootstrap(loss_of)).ravel(), 3))
    sample = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0])
    out.write("/* percentiles 2.5, 50, 90, 100 of 3 1 4 1 5 9 2 6 */\n")
    out.write(array("numpy_percentiles", np.percentile(sample, [2.5, 50, 90, 100]), 4))
