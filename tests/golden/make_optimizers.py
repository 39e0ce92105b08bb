# SPDX-License-Identifier: Apache-2.0
"""Ten steps of each optimizer on made-up gradients: torch.optim in float64 where it has the method,
the published formula otherwise (lion: Chen et al. 2023, algorithm 2; adamw8bit: Dettmers et al.
2022; muon: github.com/KellerJordan/Muon, in float64 instead of bfloat16). torch.optim.Muon and
bitsandbytes' AdamW8bit must come near.

Numbers are hashes of (seed, index), so that the test makes the same without a file of them."""

import numpy as np
import torch

import bitsandbytes as bnb
from common import DATA, HERE, write_json, write_versions
from safetensors.numpy import save_file

SHAPES = {"w": (6, 10), "tall": (24, 16), "b": (37,)}
STEPS, LR = 10, 0.05
torch.set_num_threads(1)


def numbers(seed, count):
    """Multiples of 2^-23 in [-1, 1), equal in the test's C."""
    h = (np.arange(count, dtype=np.uint64) * 2654435761 + seed * 40503 + 12345) & 0xFFFFFFFF
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = ((h ^ (h >> shift)) * factor) & 0xFFFFFFFF
    h ^= h >> 16
    return ((h >> 8).astype(np.float64) / 8388608.0 - 1.0).astype(np.float32)


def tensor(step, index):
    """Step 0: the parameter's beginning; later: its gradients, of very different sizes."""
    name = list(SHAPES)[index]
    x = numbers(step * 16 + index, int(np.prod(SHAPES[name]))).reshape(SHAPES[name])
    return x if step == 0 else (x * np.float32(2.0 ** (step % 3 - 5))).astype(np.float32)


def rate(step):
    return LR * (1.0 - 0.05 * step)


def run_torch(make, dtype=torch.float64):
    params = [torch.nn.Parameter(torch.tensor(tensor(0, i), dtype=dtype)) for i in range(3)]
    optimizers = make(params)
    for step in range(1, STEPS + 1):
        for i, p in enumerate(params):
            p.grad = torch.tensor(tensor(step, i), dtype=dtype)
        for o in optimizers:
            for group in o.param_groups:
                group["lr"] = rate(step)
            o.step()
    return [p.detach().to(torch.float32).numpy() for p in params], optimizers, params


def lion(wd, b1=0.9, b2=0.99):
    out = []
    for i in range(3):
        p = tensor(0, i).astype(np.float64)
        m = np.zeros_like(p)
        for step in range(1, STEPS + 1):
            g = tensor(step, i).astype(np.float64)
            p -= rate(step) * (np.sign(b1 * m + (1 - b1) * g) + wd * p)
            m = b2 * m + (1 - b2) * g
        out.append(p.astype(np.float32))
    return out


def zeropower(g, steps=5):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / max(np.linalg.norm(x), 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if g.shape[0] > g.shape[1] else x


def muon(wd, momentum=0.95, nesterov=True, match=False):
    adamw, _, _ = run_torch(lambda p: [torch.optim.AdamW(p, weight_decay=wd)])
    out = []
    for i in range(2):
        p = tensor(0, i).astype(np.float64)
        m = np.zeros_like(p)
        rows, columns = p.shape
        factor = 0.2 * max(rows, columns) ** 0.5 if match else max(1.0, rows / columns) ** 0.5
        for step in range(1, STEPS + 1):
            g = tensor(step, i).astype(np.float64)
            m = momentum * m + (1 - momentum) * g
            u = (1 - momentum) * g + momentum * m if nesterov else m
            p = p * (1 - rate(step) * wd) - rate(step) * factor * zeropower(u)
        out.append(p.astype(np.float32))
    return out + [adamw[2]]


def check_muon():
    """The published code's bfloat16 is near, and only near."""
    ours = muon(0.1)[:2]
    theirs, _, _ = run_torch(
        lambda p: [torch.optim.Muon(p[:2], weight_decay=0.1)], torch.float32)
    for a, b in zip(ours, theirs):
        assert np.abs(a - b).max() < 0.02, np.abs(a - b).max()


def encode(x, map8):
    """The nearest entry, by the paper; bitsandbytes' CPU code looks tiny numbers up in a coarser
    table and is a few entries off there."""
    codes, scales = np.zeros(x.size, np.uint8), []
    for at in range(0, x.size, 256):
        block = x[at:at + 256]
        scales.append(np.float32(np.abs(block).max()))
        codes[at:at + 256] = np.abs((block / scales[-1])[:, None] - map8).argmin(1)
    return codes, np.array(scales, np.float32)


def eight_bit(wd, tensors, b1=0.9, b2=0.999):
    adamw, _, _ = run_torch(lambda p: [torch.optim.AdamW(p, weight_decay=wd)])
    maps = [bnb.functional.create_dynamic_map(signed=s).double().numpy() for s in (True, False)]
    p = tensor(0, 1).reshape(-1).astype(np.float64)
    m, v = np.zeros_like(p), np.zeros_like(p)
    for step in range(1, STEPS + 1):
        g = tensor(step, 1).reshape(-1).astype(np.float64)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        p *= 1 - rate(step) * wd
        root = np.sqrt(v) / np.sqrt(1 - b2 ** step) + 1e-8
        p -= rate(step) / (1 - b1 ** step) * m / root
        coded = [encode(x, map8) for x, map8 in zip((m, v), maps)]
        m, v = [map8[c] * np.repeat(s, 256)[:c.size] for (c, s), map8 in zip(coded, maps)]
    for name, (codes, scales) in zip(("exp_avg", "exp_avg_sq"), coded):
        tensors[f"adamw8bit.state.{name}"] = codes
        tensors[f"adamw8bit.state.{name}_scale"] = scales
    check_eight_bit(wd, p, [codes for codes, _ in coded])
    return [adamw[0], p.astype(np.float32).reshape(SHAPES["tall"]), adamw[2]]


def check_eight_bit(wd, p, codes):
    params, optimizers, live = run_torch(
        lambda q: [bnb.optim.AdamW8bit(q, weight_decay=wd, min_8bit_size=100)], torch.float32)
    state = optimizers[0].state[live[1]]
    for ours, key in zip(codes, ("state1", "state2")):
        assert (ours == state[key].numpy().reshape(-1)).mean() > 0.98
    assert np.abs(p - params[1].reshape(-1)).max() < 1e-3


def check_maps():
    text = (HERE.parent.parent / "plugins/optimizers/adamw8bit/maps.h").read_text()
    found = [np.float32(word.rstrip("f,")) for line in text.splitlines() if line.startswith("    ")
             for word in line.split()]
    maps = [bnb.functional.create_dynamic_map(signed=s).numpy() for s in (True, False)]
    assert np.array_equal(np.array(found, dtype=np.float32), np.concatenate(maps))


def main():
    optim, eps = torch.optim, 1.1920928955078125e-07
    cases, tensors = [], {}

    def add(name, method, options, wd, params, tolerance=1e-6):
        cases.append({"name": name, "method": method, "options": options, "weight_decay": wd,
                      "tolerance": tolerance})
        for key, value in zip(SHAPES, params):
            tensors[f"{name}.{key}"] = np.ascontiguousarray(value)

    def torch_case(name, method, options, wd, cls, **kwargs):
        add(name, method, options, wd,
            run_torch(lambda p: [cls(p, weight_decay=wd, **kwargs)])[0])

    torch_case("adamw", "adamw", {"beta2": 0.95}, 0.1, optim.AdamW, betas=(0.9, 0.95))
    torch_case("adam", "adam", {"eps": 1e-6}, 0.1, optim.Adam, eps=1e-6)
    torch_case("sgd", "sgd", {}, 0.0, optim.SGD)
    torch_case("sgd_decay", "sgd", {"momentum": 0.9}, 0.1, optim.SGD, momentum=0.9)
    torch_case("sgd_nesterov", "sgd", {"momentum": 0.9, "nesterov": True}, 0.1, optim.SGD,
               momentum=0.9, nesterov=True)
    torch_case("adafactor", "adafactor", {}, 0.1, optim.Adafactor, eps=(eps, 1e-3))
    torch_case("adafactor_d", "adafactor", {"d": 1.5, "beta2_decay": -0.5}, 0.0, optim.Adafactor,
               eps=(eps, 1e-3), d=1.5, beta2_decay=-0.5)
    add("lion", "lion", {}, 0.1, lion(0.1))
    add("muon", "muon", {}, 0.1, muon(0.1))
    add("muon_match", "muon", {"nesterov": False, "adjust_lr_fn": "match_rms_adamw"}, 0.0,
        muon(0.0, nesterov=False, match=True))
    add("adamw8bit", "adamw8bit", {"min_8bit_size": 100}, 0.1, eight_bit(0.1, tensors))
    check_muon()
    check_maps()
    write_json(DATA / "optimizers" / "cases.json",
               {"torch": torch.__version__, "bitsandbytes": bnb.__version__, "steps": STEPS, "lr": LR, "shapes": SHAPES, "cases": cases})
    save_file(tensors, DATA / "optimizers" / "trace.safetensors")
    write_versions()


if __name__ == "__main__":
    main()
