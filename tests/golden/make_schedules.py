# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules as transformers computes them, and steps of torch's AdamW.

Makes data/schedules.json (the multiplier of every update) and data/adamw.safetensors (parameters
after each of ten steps on random gradients, with and without clipping).

Run: python make_schedules.py     (versions: data/VERSIONS.txt)
"""

import math
import warnings

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import get_scheduler

import common

# The settings are graft's; `kwargs` are transformers' own. Warm-up is a share where it says ratio.
CASES = [
    ("constant", {"warmup_steps": 3}, {}, 8),
    ("constant_with_warmup", {"warmup_steps": 4}, {}, 10),
    ("constant_with_warmup", {}, {}, 4),
    ("linear", {}, {}, 7),
    ("linear", {"warmup_steps": 3}, {}, 12),
    ("linear", {"warmup_ratio": 0.03}, {}, 40),
    ("linear", {"warmup_steps": 20}, {}, 12),
    ("cosine", {"warmup_ratio": 0.1}, {}, 25),
    ("cosine", {"warmup_steps": 2, "num_cycles": 1.5}, {"num_cycles": 1.5}, 20),
    ("cosine_with_restarts", {"warmup_steps": 2}, {}, 12),
    ("cosine_with_restarts", {"warmup_steps": 2, "num_cycles": 3.0}, {"num_cycles": 3}, 20),
    ("polynomial", {"warmup_steps": 2}, {}, 10),
    ("polynomial", {"warmup_steps": 1, "power": 2.5, "lr_end": 1e-4},
     {"power": 2.5, "lr_end": 1e-4}, 10),
    ("inverse_sqrt", {"warmup_steps": 4}, {}, 12),
    ("inverse_sqrt", {}, {}, 6),
    ("inverse_sqrt", {"warmup_steps": 2, "timescale": 5}, {"timescale": 5}, 10),
    ("cosine_with_min_lr", {"warmup_steps": 2, "min_lr": 2e-4}, {"min_lr": 2e-4}, 12),
    ("cosine_with_min_lr", {"min_lr_rate": 0.1}, {"min_lr_rate": 0.1}, 10),
    ("warmup_stable_decay", {"warmup_steps": 3, "num_decay_steps": 5}, {"num_decay_steps": 5}, 15),
    ("warmup_stable_decay",
     {"warmup_steps": 3, "num_decay_steps": 5, "num_stable_steps": 4, "min_lr_ratio": 0.2,
      "warmup_type": "cosine", "decay_type": "linear"},
     {"num_decay_steps": 5, "num_stable_steps": 4, "min_lr_ratio": 0.2, "warmup_type": "cosine",
      "decay_type": "linear"}, 15),
    ("warmup_stable_decay",
     {"num_decay_steps": 6, "warmup_type": "1-sqrt", "decay_type": "1-sqrt", "warmup_steps": 4},
     {"num_decay_steps": 6, "warmup_type": "1-sqrt", "decay_type": "1-sqrt"}, 14),
    ("warmup_stable_decay", {"warmup_steps": 1, "num_decay_steps": 6, "num_cycles": 1.5},
     {"num_decay_steps": 6, "num_cycles": 1.5}, 12),
]
RATE = 2e-3

ADAMW_STEPS, VALUES, COPIES = 10, 64, 14  # COPIES: a test repeats the values to fill its tensors
ADAMW_RATES = [0.0, 1e-3, 2e-3, 5e-3, 1e-2, 5e-3, 2e-3, 1e-3, 5e-4, 1e-4]
ADAMW_DECAY = 0.1


def multipliers(name, settings, kwargs, total):
    warmup = settings.get("warmup_steps", 0) or \
        math.ceil(total * settings.get("warmup_ratio", 0.0))  # TrainingArguments.get_warmup_steps
    parameter = torch.nn.Parameter(torch.zeros(1))
    schedule = get_scheduler(name, torch.optim.SGD([parameter], lr=RATE), num_warmup_steps=warmup,
                             num_training_steps=total, scheduler_specific_kwargs=kwargs)
    return [schedule.lr_lambdas[0](t) for t in range(total + 2)]


def write_schedules():
    common.write_json_lines(common.DATA / "schedules.json", [
        {"schedule": name, **settings, "total": total, "lr": RATE,
         "multipliers": [float(x) for x in multipliers(name, settings, kwargs, total)]}
        for name, settings, kwargs, total in CASES])


def adamw(start, gradients, max_norm):
    w = torch.nn.Parameter(torch.from_numpy(np.tile(start, COPIES)))
    optimizer = torch.optim.AdamW([w], lr=1.0, weight_decay=ADAMW_DECAY, foreach=False)
    after, norms = [], []
    for rate, gradient in zip(ADAMW_RATES, gradients):
        w.grad = torch.from_numpy(np.tile(gradient, COPIES))
        limit = max_norm if max_norm else math.inf
        norms.append(float(torch.nn.utils.clip_grad_norm_([w], limit, foreach=False)))
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        after.append(w.detach().numpy()[:VALUES].copy())
    return np.stack(after), np.array(norms, dtype=np.float32)


def write_adamw():
    rng = np.random.default_rng(20240612)
    start = rng.standard_normal(VALUES).astype(np.float32)
    size = 10.0 ** rng.uniform(-6, 1, VALUES)  # gradients from tiny to large
    gradients = (rng.standard_normal((ADAMW_STEPS, VALUES)) * size).astype(np.float32)
    gradients[3] = 0
    arrays = {"start": start, "gradients": gradients,
              "rates": np.array(ADAMW_RATES, dtype=np.float64)}
    for name, max_norm in (("free", 0.0), ("clipped", 1.0)):
        arrays[name], arrays[name + "_norms"] = adamw(start, gradients, max_norm)
    save_file(arrays, common.DATA / "adamw.safetensors")


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    write_schedules()
    write_adamw()


if __name__ == "__main__":
    main()
