#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Writes ref.json: small cases of ops computed by PyTorch in double, backward passes by its
# autograd, 8-bit codes by bitsandbytes, as an outside measure of the reference kernels.
# Run: make_ref_data.py > ref.json
import json
import sys

import bitsandbytes.functional as B
import torch
import torch.nn.functional as F

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
cases = []


def draw(*shape, scale=1.0):
    """Multiples of 1/64, so that inputs are short texts and exact in f32."""
    return torch.round(torch.randn(*shape) * scale * 64) / 64


def pack(t):
    if t is None:
        return None
    if t.dtype == torch.uint8:
        return {"dtype": "u8", "shape": list(t.shape), "data": t.flatten().tolist()}
    if not torch.is_floating_point(t):
        return {"dtype": "i32", "shape": list(t.shape), "data": t.flatten().tolist()}
    digits = 9 if t.dtype == torch.float32 else 13
    data = [float(f"{x:.{digits}g}") for x in t.detach().flatten().tolist()]
    return {"dtype": "f32", "shape": list(t.shape), "data": [int(x) if x == int(x) else x for x in data]}


def case(op, inputs, outputs, **params):
    cases.append({"op": op, "params": params, "in": [pack(t) for t in inputs], "out": [pack(t) for t in outputs]})


def grads(y, dy, inputs):
    return torch.autograd.grad(y, inputs, dy)


def elementwise():
    a, b = draw(2, 5), draw(5)
    case("add", [a, b], [a + b])
    case("sub", [a, b], [a - b])
    case("mul", [b, a], [a * b])
    case("div", [a, b + 3], [a / (b + 3)])
    case("minimum", [a, b], [torch.minimum(a, b)])
    x = draw(9, scale=3)
    case("affine", [x], [-0.75 * x + 0.5], scale=-0.75, shift=0.5)
    case("sqrt", [x.abs()], [x.abs().sqrt()])
    case("exp", [x], [x.exp()])
    case("expm1", [x / 64], [(x / 64).expm1()])
    case("tanh", [x], [x.tanh()])
    case("sigmoid", [x], [x.sigmoid()])
    case("silu", [x], [F.silu(x)])
    y = draw(2, 3, 4)
    case("sum", [y], [y.sum((0, 2), keepdim=True)], axes=5)


def products():
    for ta in (0, 1):
        for tb in (0, 1):
            a, b = draw(4, 6), draw(6, 5)
            case("matmul", [a.T.contiguous() if ta else a, b.T.contiguous() if tb else b], [a @ b],
                 transpose_a=ta, transpose_b=tb)
    a, b = draw(2, 3, 4), draw(2, 4, 2)
    case("matmul", [a, b.mT.contiguous()], [a @ b], transpose_a=0, transpose_b=1)


def norms():
    x, w, dy = draw(3, 10).requires_grad_(), draw(10), draw(3, 10)
    y = F.rms_norm(x, (10,), w, 0.01)
    case("rms_norm", [x, w], [y], eps=0.01)
    case("rms_norm_backward", [dy, x, w], grads(y, dy, [x]), eps=0.01)


def gates():
    gate, up = draw(2, 9, scale=3).requires_grad_(), draw(2, 9).requires_grad_()
    dy = draw(2, 9)
    y = F.silu(gate) * up
    case("swiglu", [gate, up], [y])
    case("swiglu_backward", [dy, gate, up], grads(y, dy, [gate, up]))


def rotary():
    """Written as transformers writes it: rotate_half for Llama, repeat_interleave for the paper's."""
    positions, frequencies = torch.tensor([0, 3, 1000], dtype=torch.int32), torch.tensor([1.0, 0.125, 1 / 64])
    angle = positions[:, None] * frequencies
    table = 1.25 * torch.cat([angle.cos(), angle.sin()], 1)
    case("rope_table", [positions, frequencies], [table], factor=1.25)
    heads, size, rotary = 2, 8, 6
    x = draw(3, heads * size)
    cos, sin = table[:, :3], table[:, 3:]
    for interleaved in (0, 1):
        part, rest = x.view(3, heads, size)[..., :rotary], x.view(3, heads, size)[..., rotary:]
        if interleaved:
            turned = torch.stack([-part[..., 1::2], part[..., ::2]], -1).flatten(-2)
            c, s = cos.repeat_interleave(2, 1), sin.repeat_interleave(2, 1)
        else:
            turned = torch.cat([-part[..., 3:], part[..., :3]], -1)
            c, s = torch.cat([cos, cos], 1), torch.cat([sin, sin], 1)
        y = torch.cat([part * c[:, None] + turned * s[:, None], rest], -1).reshape(3, -1)
        case("rope", [x, table], [y], head_size=size, rotary=rotary, interleaved=interleaved, inverse=0)
        # 1.25^2 times the identity takes the inverse back.
        case("rope", [y, table / 1.25**2], [x], head_size=size, rotary=rotary, interleaved=interleaved, inverse=1)
        cases[-1]["out"][0] = pack(torch.cat([x.view(3, heads, size)[..., :rotary], rest], -1).reshape(3, -1))


def attention(tokens, heads, kv_heads, size, starts, window, softcap, prefix=0, alone=False):
    q, k, v = (draw(tokens, n * size).requires_grad_() for n in (heads, kv_heads, kv_heads))
    pk, pv = (draw(prefix, kv_heads * size).requires_grad_() for _ in range(2)) if prefix else (k[:0], v[:0])
    first = torch.zeros(tokens, dtype=torch.int32)
    for s in starts:
        first[s:] = s
    last = torch.arange(tokens, dtype=torch.int32)
    split = lambda x, n: x.view(-1, n, size).transpose(0, 1)
    keys, values = torch.cat([pk, k]), torch.cat([pv, v])
    kk, vv = (split(x, kv_heads).repeat_interleave(heads // kv_heads, 0) for x in (keys, values))
    z = split(q, heads) @ kk.mT * 0.5
    if softcap:
        z = softcap * torch.tanh(z / softcap)
    at = torch.arange(tokens)
    seen = (at[None] >= first[:, None]) & (at[None] <= last[:, None])
    if window:
        seen &= at[None] > last[:, None] - window
    if alone:
        seen[:] = False
    seen = torch.cat([torch.ones(tokens, prefix, dtype=torch.bool), seen], 1)
    z = z.masked_fill(~seen, -torch.inf)
    o = (z.softmax(-1) @ vv).transpose(0, 1).reshape(tokens, -1)
    lse = z.logsumexp(-1).T.contiguous()
    do = draw(tokens, heads * size)
    params = dict(scale=0.5, softcap=softcap, heads=heads, kv_heads=kv_heads, head_size=size, window=window)
    own = [None] * 4 if alone else [k, v, first, last]
    extra = [pk, pv] if prefix else []
    sources = [q] + ([] if alone else [k, v]) + extra
    dq, *rest = grads(o, do, sources)
    case("attention", [q, *own, *extra], [o, lse], **params)
    case("attention_backward", [q, *own, o, lse, do, *extra], [dq] + [None] * 2 * alone + rest, **params)


def losses():
    z = draw(5, 7, scale=3).requires_grad_()
    target = torch.tensor([3, -1, 0, 6, -1], dtype=torch.int32)
    dnll = draw(5)
    nll = F.cross_entropy(z, target.long(), reduction="none", ignore_index=-1)
    case("cross_entropy", [z, target], [nll, z.argmax(1).int()])
    case("cross_entropy_backward", [z, target, dnll], grads(nll, dnll, [z]))
    x, w = draw(5, 6).requires_grad_(), draw(7, 6)
    nll = F.cross_entropy(x @ w.T, target.long(), reduction="none", ignore_index=-1)
    case("head_loss", [x, w, target], [nll, (x @ w.T).argmax(1).int(), grads(nll, torch.ones(5), [x])[0]])


def rows():
    table, ids = draw(5, 3), torch.tensor([4, 0, 4], dtype=torch.int32)
    case("embedding", [ids, table], [F.embedding(ids, table)])
    case("gather_rows", [table, ids], [table[ids.long()]])
    index = torch.tensor([3, 0], dtype=torch.int32)
    x = draw(2, 3)
    case("scatter_rows", [x, index], [torch.zeros(5, 3).index_copy(0, index.long(), x)], capacity=5, kind=0)


def activations():
    x, a, b = draw(24, scale=3), draw(2, 5), draw(5)
    case("maximum", [a, b], [torch.maximum(a, b)])
    case("abs", [x], [x.abs()])
    case("sign", [torch.cat([x, torch.zeros(1)])], [torch.cat([x, torch.zeros(1)]).sign()])
    case("relu", [x], [x.relu()])
    case("gelu", [x], [F.gelu(x)])
    case("gelu_tanh", [x], [F.gelu(x, approximate="tanh")])


def moves():
    x = draw(3, 7, 2)
    case("slice", [x], [x[:, 2:5].contiguous()], axis=1, begin=2, length=3)
    y = torch.zeros(3, 9, 2)
    y[:, 1:8] = x
    case("place", [x], [y], axis=1, begin=1, length=9)
    case("permute", [x], [x.permute(2, 0, 1).contiguous()], axes=[2, 0, 1])
    table, ids, dy = draw(4, 3).requires_grad_(), torch.tensor([6, 9, 3, 6, 20], dtype=torch.int32), draw(5, 3)
    inside = (ids >= 5) & (ids < 9)
    y = F.embedding((ids - 5).clamp(0, 3).long(), table) * inside[:, None]
    case("embedding", [ids, table], [y], first=5)
    case("embedding_backward", [dy, ids], grads(y, dy, [table]), first=5, rows=4)


def skews():
    """As PEFT's OFT makes them: a vector over torch.triu_indices, and its negative below."""
    size = 5
    v, dm = draw(3, size * (size - 1) // 2).requires_grad_(), draw(3, size, size)
    rows, columns = torch.triu_indices(size, size, 1)
    m = torch.zeros(3, size, size)
    m[:, rows, columns] = v
    m = m - m.mT
    case("skew", [v], [m], size=size)
    case("skew_backward", [dm], grads(m, dm, [v]), size=size)


def codes():
    """Through bitsandbytes' path for other types, which takes the nearest code; its fast path for f32 on
    the CPU looks codes up in a coarser table and is off by up to four of them near 0."""
    code_map = B.create_dynamic_map().float()
    spread = torch.logspace(-6, 0, 140, dtype=torch.float32)[torch.randperm(140)]
    x = torch.randn(140, dtype=torch.float32) * spread
    q, absmax = torch.ops.bitsandbytes.quantize_blockwise(x.double(), code_map, 64)
    back = B.dequantize_blockwise(q, absmax=absmax, code=code_map, blocksize=64)
    case("encode", [x, code_map], [q, absmax], block=64)
    case("decode", [q, absmax, code_map], [back], block=64)


elementwise()
products()
norms()
gates()
rotary()
attention(7, 2, 2, 4, [], 0, 0)
attention(9, 4, 2, 3, [2, 6], 0, 0)
attention(8, 3, 1, 4, [5], 2, 0)
attention(8, 2, 1, 4, [], 3, 1.5)
losses()
rows()
activations()
moves()
skews()
attention(4, 4, 2, 2, [2], 0, 0, prefix=3)
attention(5, 2, 1, 3, [], 2, 1.5, prefix=1)
attention(3, 4, 2, 2, [], 0, 0, prefix=5, alone=True)
codes()
json.dump({"torch": torch.__version__.split("+")[0], "cases": cases}, sys.stdout, separators=(",", ":"))
sys.stdout.write("\n")
