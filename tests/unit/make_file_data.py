#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/unit/data/file: what the tests of core/file and of kernels/ref/quant.h compare with.

Needs numpy, torch, safetensors, gguf and bitsandbytes (made with gguf 0.19, safetensors 0.8,
bitsandbytes 0.50; any later one should give the same bytes). Run it with the folder as argument.

bitsandbytes runs without its compiled library here: its Python code is the reference, the compiled
CPU code picks the scales' codes from a coarse table and misses the nearest one now and then.
"""
import ctypes
import hashlib
import json
import os
import pathlib
import sys

os.environ["TORCHDYNAMO_DISABLE"] = "1"
load_library = ctypes.cdll.LoadLibrary


def load_without_bitsandbytes(name, *args):
    if "bitsandbytes" in str(name):
        raise OSError("left out on purpose")
    return load_library(name, *args)


ctypes.cdll.LoadLibrary = load_without_bitsandbytes

import bitsandbytes.cextension  # noqa: E402
import bitsandbytes.functional as bnb  # noqa: E402
import gguf  # noqa: E402
import numpy as np  # noqa: E402
import safetensors.numpy  # noqa: E402
import safetensors.torch  # noqa: E402
import torch  # noqa: E402

assert "Mock" in type(bitsandbytes.cextension.lib).__name__
Q = gguf.GGMLQuantizationType
DEQUANTIZED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
QUANTIZED = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
# Where the f16 numbers of a block lie.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def sequence(count, seed):
    """The weights of the NF4 tests: a linear congruential sequence that C repeats exactly."""
    x, out = seed, np.empty(count, np.float32)
    for i in range(count):
        x = (x * 1664525 + 1013904223) % 2**32
        y = (x >> 8) - 2**23
        out[i] = np.float32(y * abs(y)) * np.float32(2.0**-50)
    return out


def random_blocks(rng, name, count):
    block, size = gguf.GGML_QUANT_SIZES[getattr(Q, name)]
    raw = rng.integers(0, 256, (count, size), dtype=np.uint8)
    scales = [0x0001, 0x83FF, 0x2E66, 0xA123, 0x3C00, 0x7BFF]  # subnormal, usual, largest
    for i in range(count):
        for at in HALVES[name]:
            raw[i, at:at + 2] = np.array([scales[(i + at) % len(scales)]], "<u2").view(np.uint8)
    return raw.reshape(1, -1)


def quant(folder):
    rng = np.random.default_rng(20)
    out = {}
    for name in DEQUANTIZED:
        raw = random_blocks(rng, name, 3 if name.endswith("K") else 6)
        out[name + ".raw"] = raw.ravel()
        out[name + ".f32"] = gguf.quants.dequantize(raw, getattr(Q, name)).ravel()
    x = (rng.standard_normal((16, 32)) * np.exp(rng.standard_normal((16, 1)) * 3)).astype(np.float32)
    x[3] = 0
    x[4] = 1.5
    x[5] = np.abs(x[5])
    x[6, ::2] = -x[6, 1::2]
    out["x"] = x.ravel()
    for name in QUANTIZED:
        q = gguf.quants.quantize(x.reshape(1, -1), getattr(Q, name))
        out[name + ".quantized"] = np.ascontiguousarray(q).view(np.uint8).ravel()
    safetensors.numpy.save_file(out, folder / "quant.safetensors")


def nf4(folder):
    """A bitsandbytes checkpoint, and the hash of what bitsandbytes makes of each weight."""
    cases = [("plain", 64, 200, 128, False, 11), ("nested", 128, 96, 64, True, 1),
             ("short", 5, 7, 32, True, 1), ("wide", 600, 32, 64, True, 4)]
    tensors, hashes = {}, {}
    for name, rows, cols, block, nested, seed in cases:
        x = torch.tensor(sequence(rows * cols, seed).reshape(rows, cols))
        if name == "nested":
            x[1, :64] = 0
        packed, state = bnb.quantize_4bit(x, blocksize=block, compress_statistics=nested,
                                          quant_type="nf4")
        weight = f"model.{name}.weight"
        tensors[weight] = packed
        for key, value in state.as_dict(packed=True).items():
            tensors[f"{weight}.{key}"] = value
        dequantized = bnb.dequantize_4bit(packed, state).numpy()
        hashes[name] = hashlib.sha256(dequantized.tobytes()).hexdigest()
        if nested:
            blocks = np.pad(np.abs(x.numpy().ravel()), (0, -x.numel() % block)).reshape(-1, block)
            mean = np.float32(blocks.max(1).astype(np.float64).mean())
            assert mean == np.float32(state.offset.item()), f"{name}: take another seed, the sums differ in their last digit"
    tensors["model.norm.weight"] = torch.arange(4, dtype=torch.bfloat16)
    safetensors.torch.save_file(tensors, folder / "bnb" / "model.safetensors", {"format": "pt"})
    (folder / "bnb" / "hashes.json").write_text(json.dumps(hashes, indent=1) + "\n")
    packed, state = bnb.quantize_4bit(torch.ones(2, 32), blocksize=32, quant_type="fp4")
    tensors = {"a.weight": packed}
    for key, value in state.as_dict(packed=True).items():
        tensors[f"a.weight.{key}"] = value
    safetensors.torch.save_file(tensors, folder / "fp4" / "model.safetensors", {"format": "pt"})


def plain(folder):
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    kinds = {"z.f32": a, "a.f32": a + 1, "scalar": np.float32(3).reshape(()), "half": a.astype(np.float16),
             "bytes": np.arange(5, dtype=np.uint8), "ints": np.arange(3, dtype=np.int32),
             "doubles": a.astype(np.float64), "empty": np.zeros((0, 4), np.float32)}
    kinds = {k: torch.tensor(v) for k, v in kinds.items()}
    kinds["brain"] = torch.arange(7, dtype=torch.bfloat16)
    safetensors.torch.save_file(kinds, folder / "reference.safetensors", {"format": "pt"})
    other = {"flags": torch.tensor([True, False]), "long": torch.tensor([1, -2]),
             "deep": torch.zeros(1, 2, 1, 2, 3)}
    safetensors.torch.save_file(other, folder / "other.safetensors")
    shards = folder / "sharded"
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    one = {"b": torch.tensor([1.0, 2.0]), "d": torch.tensor([[3.0]])}
    two = {"a": torch.tensor([5, 6], dtype=torch.int32), "c": torch.tensor([7.0])}
    safetensors.torch.save_file(one, shards / names[0], {"format": "pt"})
    safetensors.torch.save_file(two, shards / names[1], {"format": "pt"})
    index = {"metadata": {"total_size": 24}, "weight_map": dict.fromkeys(one, names[0])}
    index["weight_map"].update(dict.fromkeys(two, names[1]))
    (shards / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def small_gguf(folder):
    rng = np.random.default_rng(3)
    w = gguf.GGUFWriter(folder / "small.gguf", "llama")
    w.add_uint8("t.u8", 200)
    w.add_int8("t.i8", -5)
    w.add_uint16("t.u16", 65535)
    w.add_int16("t.i16", -300)
    w.add_uint32("t.u32", 4294967295)
    w.add_int32("t.i32", -70000)
    w.add_float32("t.f32", 0.1)
    w.add_bool("t.bool", True)
    w.add_string("t.string", "gr\u00fc\u00dfe")
    w.add_uint64("t.u64", 2**63)
    w.add_int64("t.i64", -2**40)
    w.add_float64("t.f64", 0.1)
    w.add_array("t.strings", ["a", "bc", "d\u00e9"])
    w.add_array("t.ints", [1, -2, 3])
    w.add_array("t.floats", [0.5, 1.5])
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    w.add_tensor("matrix", x)
    w.add_tensor("vector", np.arange(3, dtype=np.float32))
    for name in ("Q8_0", "IQ4_NL"):
        block, size = gguf.GGML_QUANT_SIZES[getattr(Q, name)]
        raw = rng.integers(0, 100, (3, 2 * size), dtype=np.uint8)
        w.add_tensor(name.lower(), raw, raw_dtype=getattr(Q, name))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    folder = pathlib.Path(sys.argv[1])
    for sub in ("bnb", "fp4", "sharded"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    quant(folder)
    nf4(folder)
    plain(folder)
    small_gguf(folder)
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)


main()
