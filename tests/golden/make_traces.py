# SPDX-License-Identifier: Apache-2.0
"""Training traces of tiny random models, made by torch + transformers + PEFT.

For each case: a model in Hugging Face form, perhaps the same weights as GGUF, an initial LoRA
adapter saved by PEFT, and what the reference computes from there (logits, losses, gradient norms,
the first gradients, the final adapter). README.md beside this file has the formats.

Run: python make_traces.py [--out DIR] [case ...]     (versions: data/VERSIONS.txt)
The output depends on nothing but the library versions and the CPU's rounding in torch.
"""

import argparse
import json
import math
import shutil
import warnings
import zlib
from pathlib import Path

import gguf
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import common

STEPS, ROWS = 20, 4
FORWARD_STEPS = 2  # steps whose losses a forward-only case has
TRAINING = {
    "rows_per_step": ROWS, "learning_rate": 5e-3, "lr_scheduler_type": "cosine",
    "warmup_steps": 3, "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8,
    "weight_decay": 0.01, "max_grad_norm": 1.0,
}

BASE = {"hidden_act": "silu", "initializer_range": 0.02, "max_position_embeddings": 128,
        "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32", "use_cache": True}


def config(arch, kind, hidden, inter, layers, heads, kv, vocab, tied, **more):
    return {"architectures": [arch], "model_type": kind, "hidden_size": hidden,
            "intermediate_size": inter, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv, "vocab_size": vocab,
            "tie_word_embeddings": tied, "rms_norm_eps": 1e-5, **BASE, **more}


LLAMA = "LlamaForCausalLM"
QV, ALL = ["q_proj", "v_proj"], "all-linear"

# Old and new spellings of the RoPE settings are both used on purpose.
CASES = {
    "llama": {
        "config": config(LLAMA, "llama", 32, 32, 2, 4, 2, 64, True, rope_theta=10000.0,
                         rope_scaling=None, attention_bias=False, mlp_bias=False),
        "lora": {"target_modules": QV}, "gguf": True},
    "llama_rslora": {
        "base": "llama",
        "lora": {"target_modules": ["q_proj", "v_proj", "down_proj"], "use_rslora": True,
                 "rank_pattern": {r"layers\.1\.self_attn\.q_proj": 2, "down_proj": 6},
                 "alpha_pattern": {r"^model\.layers\.0\.self_attn\.v_proj": 3,
                                   r".*\.1\.mlp\.down_proj": 16}}},
    "llama3": {
        "config": config(LLAMA, "llama", 16, 24, 2, 4, 2, 48, False, head_dim=8, rope_theta=500.0,
                         rope_scaling={"rope_type": "llama3", "factor": 8.0,
                                       "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                       "original_max_position_embeddings": 32},
                         attention_bias=True, mlp_bias=False),
        "lora": {"target_modules": ALL}, "gguf": True},
    "yarn": {
        "config": config(LLAMA, "llama", 16, 24, 1, 2, 1, 48, True, head_dim=16, rope_theta=10000.0,
                         rope_scaling={"rope_type": "yarn", "factor": 4.0,
                                       "original_max_position_embeddings": 32},
                         attention_bias=False, mlp_bias=True),
        "lora": {"target_modules": QV}},
    "linear": {
        "config": config(LLAMA, "llama", 16, 12, 1, 2, 1, 48, True, rope_theta=10000.0,
                         rope_scaling={"type": "linear", "factor": 3.0},
                         attention_bias=False, mlp_bias=False),
        "lora": {"target_modules": ["q_proj"]}, "forward_only": True},
    "qwen2": {
        "config": config("Qwen2ForCausalLM", "qwen2", 16, 24, 2, 2, 1, 48, True,
                         rope_theta=1000000.0, use_sliding_window=False, sliding_window=4,
                         max_window_layers=0),
        "lora": {"target_modules": ALL}, "gguf": True},
    "qwen3": {
        "config": config("Qwen3ForCausalLM", "qwen3", 16, 20, 2, 2, 1, 48, True, head_dim=16,
                         rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
                         attention_bias=False, use_sliding_window=False, sliding_window=None),
        "lora": {"target_modules": QV}},
    "mistral": {
        "config": config("MistralForCausalLM", "mistral", 16, 20, 2, 4, 2, 48, False, head_dim=8,
                         rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
                         sliding_window=6),
        "lora": {"target_modules": QV}},
}


def rng_of(*names):
    """A generator that depends on the names alone, so cases do not shift each other."""
    return np.random.default_rng([20240611] + [zlib.crc32(n.encode()) for n in names])


def random_weights(name, cfg):
    """Every tensor of the model, by its Hugging Face name, [out, in]."""
    rng, w = rng_of(name, "weights"), {}
    C, I, V = cfg["hidden_size"], cfg["intermediate_size"], cfg["vocab_size"]
    D = cfg.get("head_dim") or C // cfg["num_attention_heads"]
    Q, K = cfg["num_attention_heads"] * D, cfg["num_key_value_heads"] * D
    attn_bias, mlp_bias = cfg.get("attention_bias", False), cfg.get("mlp_bias", False)
    qwen2 = cfg["model_type"] == "qwen2"

    def put(key, shape, scale, mean=0.0):
        w[key] = (mean + scale * rng.standard_normal(shape)).astype(np.float32)

    def linear(key, rows, cols, bias, gain=1.0):
        put(key + ".weight", (rows, cols), gain / math.sqrt(cols))
        if bias:
            put(key + ".bias", (rows,), 0.2)

    put("model.embed_tokens.weight", (V, C), 0.2)
    for i in range(cfg["num_hidden_layers"]):
        p = f"model.layers.{i}."
        put(p + "input_layernorm.weight", (C,), 0.2, 1.0)
        linear(p + "self_attn.q_proj", Q, C, attn_bias or qwen2, 1.6)
        linear(p + "self_attn.k_proj", K, C, attn_bias or qwen2, 1.6)
        linear(p + "self_attn.v_proj", K, C, attn_bias or qwen2)
        linear(p + "self_attn.o_proj", C, Q, attn_bias)
        if cfg["model_type"] == "qwen3":
            put(p + "self_attn.q_norm.weight", (D,), 0.2, 1.0)
            put(p + "self_attn.k_norm.weight", (D,), 0.2, 1.0)
        put(p + "post_attention_layernorm.weight", (C,), 0.2, 1.0)
        linear(p + "mlp.gate_proj", I, C, mlp_bias)
        linear(p + "mlp.up_proj", I, C, mlp_bias)
        linear(p + "mlp.down_proj", C, I, mlp_bias)
    put("model.norm.weight", (C,), 0.2, 1.0)
    if not cfg["tie_word_embeddings"]:
        linear("lm_head", V, C, False, 0.8)
    return w


def permute_rows(x, heads):
    """Hugging Face row order (halves) to GGUF `llama` order (neighbouring pairs)."""
    halves = x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:])
    return halves.swapaxes(1, 2).reshape(x.shape)


GGUF_NAMES = [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"),
              ("lm_head", "output"), ("model.layers.", "blk."), ("input_layernorm", "attn_norm"),
              ("post_attention_layernorm", "ffn_norm"), ("self_attn.q_proj", "attn_q"),
              ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
              ("self_attn.o_proj", "attn_output"), ("mlp.gate_proj", "ffn_gate"),
              ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")]


def llama3_freqs(cfg, D):
    s = cfg["rope_scaling"]
    L0, low, high = (s[k] for k in ("original_max_position_embeddings", "low_freq_factor",
                                    "high_freq_factor"))
    out = []
    for i in range(D // 2):
        wavelength = 2 * math.pi * cfg["rope_theta"] ** (2 * i / D)
        if wavelength < L0 / high:
            out.append(1.0)
        elif wavelength > L0 / low:
            out.append(s["factor"])
        else:
            m = (L0 / wavelength - low) / (high - low)
            out.append(1.0 / ((1 - m) / s["factor"] + m))
    return np.array(out, dtype=np.float32)


def write_gguf(path, cfg, weights):
    arch, V = cfg["model_type"], cfg["vocab_size"]
    D = cfg.get("head_dim") or cfg["hidden_size"] // cfg["num_attention_heads"]
    w = gguf.GGUFWriter(path, arch)
    w.add_name("tiny random " + arch)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_context_length(cfg["max_position_embeddings"])
    w.add_embedding_length(cfg["hidden_size"])
    w.add_block_count(cfg["num_hidden_layers"])
    w.add_feed_forward_length(cfg["intermediate_size"])
    w.add_head_count(cfg["num_attention_heads"])
    w.add_head_count_kv(cfg["num_key_value_heads"])
    w.add_key_length(D)
    w.add_value_length(D)
    w.add_layer_norm_rms_eps(cfg["rms_norm_eps"])
    w.add_rope_dimension_count(D)
    w.add_rope_freq_base(cfg["rope_theta"])
    w.add_vocab_size(V)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    letters = [chr(c) for c in range(0x21, 0x7F)]
    tokens = (["<unk>", "<s>", "</s>", "01"] + letters)[:V]  # a stand-in: no text is encoded
    w.add_token_list(tokens)
    w.add_token_types([2, 3, 3] + [1] * (V - 3))
    w.add_token_merges(["0 1"])
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_add_bos_token(False)
    heads = {"q_proj": cfg["num_attention_heads"], "k_proj": cfg["num_key_value_heads"]}
    for key, x in weights.items():
        module = key.split(".")[-2]
        if arch == "llama" and module in heads:
            x = permute_rows(x, heads[module])
        name = key
        for old, new in GGUF_NAMES:
            name = name.replace(old, new)
        w.add_tensor(name, np.ascontiguousarray(x))
    if (cfg.get("rope_scaling") or {}).get("rope_type") == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_freqs(cfg, D))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_rows(name, V, steps=STEPS):
    """steps * ROWS rows of 5..24 tokens; the trained tokens are few and so can be learned."""
    rng, rows = rng_of(name, "rows"), []
    common_tokens = rng.choice(np.arange(3, V), 6, replace=False)
    for r in range(steps * ROWS):
        n = 18 if r == 0 else int(rng.integers(5, 25, 3).min())
        if r % 29 == 5:
            n = 24
        masked = int(rng.integers(1, max(2, n // 2)))
        ids = rng.integers(3, V, n)
        often = rng.random(n) < 0.9
        ids = np.where((np.arange(n) >= masked) & often, rng.choice(common_tokens, n), ids)
        labels = np.where(np.arange(n) >= masked, ids, -100)
        if n > 12 and r % 3 == 1:  # a second turn: a masked stretch inside
            a = int(rng.integers(masked + 1, n - 4))
            labels[a:a + int(rng.integers(1, 4))] = -100
        rows.append((ids.astype(np.int32), labels.astype(np.int32)))
    return rows


def make_adapter(name, model, lora, base_path, out):
    cfg = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=0.0, **lora)
    cfg.base_model_name_or_path = base_path
    model = get_peft_model(model, cfg)
    rng = rng_of(name, "adapter")
    for key, p in sorted(model.named_parameters()):
        if p.requires_grad:
            x = rng.standard_normal(tuple(p.shape))
            x *= 0.1 if "lora_B" in key else 1.0 / math.sqrt(p.shape[1])
            p.data = torch.from_numpy(x.astype(np.float32))
    for c in model.peft_config.values():
        c.base_model_name_or_path = base_path
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    path = out / "adapter_config.json"  # sets are saved in hash order: sort them
    saved = json.loads(path.read_text())
    if isinstance(saved["target_modules"], list):
        saved["target_modules"].sort()
    path.write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")


def adapter_parameters(model):
    return {k.replace(".default.", "."): p for k, p in sorted(model.named_parameters())
            if p.requires_grad}


def row_loss(model, ids, labels):
    """Sum of the negative log likelihoods of the row's trained predictions, and their number."""
    logits = model(input_ids=torch.tensor(ids[None].astype(np.int64))).logits[0]
    target = torch.tensor(labels[1:].astype(np.int64))
    nll = torch.nn.functional.cross_entropy(logits[:-1], target, ignore_index=-100, reduction="sum")
    return nll, int((target != -100).sum())


def learning_rate(k):
    t, W, T = k, TRAINING["warmup_steps"], STEPS
    if t < W:
        return TRAINING["learning_rate"] * t / W
    return TRAINING["learning_rate"] * max(0.0, 0.5 * (1 + math.cos(math.pi * (t - W) / (T - W))))


def load(base, adapter, dtype):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, attn_implementation="eager")
    model = PeftModel.from_pretrained(model, adapter, is_trainable=True,
                                      autocast_adapter_dtype=False)
    return model.to(dtype).eval()  # no dropout anywhere; eval and train mode are the same


def run(base, adapter, rows, dtype, forward_only=False):
    """The whole trace in the given precision."""
    model, trace = load(base, adapter, dtype), {}
    with torch.no_grad():
        trace["logits"] = model(input_ids=torch.tensor(rows[0][0][None].astype(np.int64))).logits[0]
    if forward_only:
        trace["losses"] = torch.stack([sum_losses(model, rows[s * ROWS:(s + 1) * ROWS])
                                       for s in range(len(rows) // ROWS)])
        return trace
    params = adapter_parameters(model)
    optimizer = torch.optim.AdamW(params.values(), lr=1.0, betas=(0.9, 0.999),
                                  eps=TRAINING["adam_epsilon"],
                                  weight_decay=TRAINING["weight_decay"], foreach=False)
    losses, norms = [], []
    for step in range(STEPS):
        batch = rows[step * ROWS:(step + 1) * ROWS]
        count = sum(int((labels[1:] != -100).sum()) for _, labels in batch)
        total = 0.0
        for ids, labels in batch:
            nll, _ = row_loss(model, ids, labels)
            (nll / count).backward()
            total += nll.item()
        losses.append(total / count)
        if step == 0:
            trace.update({f"grad.{k}": p.grad.clone() for k, p in params.items()})
        norm = torch.nn.utils.clip_grad_norm_(params.values(), TRAINING["max_grad_norm"])
        norms.append(norm.item())
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.step()
        optimizer.zero_grad()
    trace["losses"], trace["grad_norms"] = torch.tensor(losses), torch.tensor(norms)
    trace.update({f"final.{k}": p.detach() for k, p in params.items()})
    return trace


@torch.no_grad()
def sum_losses(model, batch):
    pairs = [row_loss(model, *row) for row in batch]
    return sum(p[0] for p in pairs) / sum(p[1] for p in pairs)


def largest_difference(a, b, prefix):
    keys = [k for k in a if k.startswith(prefix)]
    return max((float((a[k].double() - b[k].double()).abs().max()) for k in keys), default=None)


def make_case(name, spec, out):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    base = out / spec.get("base", name)
    if "config" in spec:
        cfg = spec["config"]
        common.write_json(folder / "config.json", cfg, indent=2)
        weights = random_weights(name, cfg)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        if spec.get("gguf"):
            write_gguf(folder / "model.gguf", cfg, weights)
    cfg = CASES[spec.get("base", name)]["config"]
    only = spec.get("forward_only", False)
    steps = FORWARD_STEPS if only else STEPS
    rows = make_rows(name, cfg["vocab_size"], steps)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32,
                                                 attn_implementation="eager")
    base_path = "../.." + f"/{base.name}" if base != folder else ".."
    make_adapter(name, model, spec["lora"], base_path, folder / "adapter")

    trace = run(base, folder / "adapter", rows, torch.float32, only)
    exact = run(base, folder / "adapter", rows, torch.float64, only)
    arrays = {k: v.to(torch.float32).contiguous().numpy() for k, v in trace.items()}
    arrays["tokens"] = np.concatenate([r[0] for r in rows])
    arrays["labels"] = np.concatenate([r[1] for r in rows])
    arrays["row_lengths"] = np.array([len(r[0]) for r in rows], dtype=np.int32)
    save_file(arrays, folder / "trace.safetensors")
    noise = {k.rstrip("."): largest_difference(trace, exact, k)
             for k in ("logits", "losses", "grad_norms", "grad.", "final.")}
    settings = {
        "base": "." if base == folder else f"../{base.name}", "adapter": "adapter",
        "gguf": "model.gguf" if spec.get("gguf") else None, "forward_only": only,
        **TRAINING, "steps": steps,
        "float64_difference": {k: float(f"{v:.2g}") for k, v in noise.items() if v is not None}}
    common.write_json(folder / "trace.json", settings, indent=2)
    grads = [float(np.abs(v).max()) for k, v in arrays.items() if k.startswith("grad.")]
    print(f"{name}: loss {arrays['losses'][0]:.4f} -> {arrays['losses'][-1]:.4f}, norms "
          f"{[round(float(x), 2) for x in arrays.get('grad_norms', [])]}, smallest max |grad| "
          f"{min(grads, default=0):.2e}, noise {settings['float64_difference']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=common.DATA, help="folder of the cases")
    parser.add_argument("cases", nargs="*", help="cases to make (all)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    for name in args.cases or CASES:
        make_case(name, CASES[name], args.out)
    common.write_versions()


if __name__ == "__main__":
    main()
