# SPDX-License-Identifier: Apache-2.0
"""Ten steps of training with each method that acts on linear layers, by torch + PEFT; and of
training the model's own weights, by torch alone.

For each case of data/methods: an adapter as PEFT saves it, with every parameter moved off its
initial value so that no gradient is zero, and what the reference computes from there on the rows of
a trace beside it: losses, gradient norms, the adapter at the end. README.md has the formats.

Run: python make_methods.py [case ...]     (versions: data/VERSIONS.txt)
"""

import argparse
import json
import math
import shutil
import types
import warnings

import numpy as np
import peft
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import common
import make_traces

METHODS = common.DATA / "methods"
STEPS, ROWS = 10, make_traces.ROWS

QV = ["q_proj", "v_proj"]
# name: (base, PEFT's config, its arguments); a rate: of B's learning rate over A's
CASES = {
    "ia3": ("llama", peft.IA3Config, {"target_modules": ["k_proj", "v_proj", "down_proj"],
                                      "feedforward_modules": ["down_proj"]}),
    "ia3_pattern": ("qwen2", peft.IA3Config,
                    {"target_modules": ["q_proj", "o_proj", "up_proj", "down_proj"],
                     "feedforward_modules": r".*\.(mlp\.down|self_attn\.o)_proj"}),
    "bitfit": ("llama", peft.BeftConfig, {"target_modules": ["v_proj", "o_proj"]}),
    "miss": ("llama", peft.MissConfig, {"target_modules": QV, "r": 5}),
    "miss_whole": ("qwen2", peft.MissConfig, {"target_modules": ["q_proj", "down_proj"], "r": 8}),
    "loha": ("llama", peft.LoHaConfig,
             {"target_modules": QV, "r": 3, "alpha": 6,
              "rank_pattern": {"layers.1.self_attn.q_proj": 2}}),
    "lokr": ("llama", peft.LoKrConfig, {"target_modules": QV, "r": 2, "alpha": 4,
                                        "decompose_both": True}),
    "lokr_factor": ("qwen2", peft.LoKrConfig, {"target_modules": ["q_proj", "down_proj"], "r": 2,
                                               "alpha": 4, "decompose_factor": 3}),
    "hra": ("llama", peft.HRAConfig, {"target_modules": QV, "r": 4}),
    "hra_orthogonal": ("qwen2", peft.HRAConfig,
                       {"target_modules": ["v_proj", "down_proj"], "r": 3, "apply_GS": True}),
    "vera": ("llama", peft.VeraConfig, {"target_modules": QV, "r": 8}),
    "vera_sizes": ("qwen2", peft.VeraConfig,
                   {"target_modules": ["q_proj", "gate_proj", "down_proj"], "r": 6,
                    "d_initial": 0.3}),
    "oft": ("llama", peft.OFTConfig, {"target_modules": QV, "oft_block_size": 8}),
    "oft_share": ("qwen2", peft.OFTConfig,
                  {"target_modules": ["k_proj", "down_proj"], "r": 3, "oft_block_size": 0,
                   "block_share": True, "num_cayley_neumann_terms": 4}),
    "dora": ("llama", peft.LoraConfig, {"target_modules": QV, "r": 4, "lora_alpha": 8,
                                        "use_dora": True}),
    "dora_bias": ("qwen2", peft.LoraConfig,
                  {"target_modules": ["q_proj", "down_proj"], "r": 2, "lora_alpha": 3,
                   "use_dora": True, "use_rslora": True}),
    # numbers of the model that are trained beside the adapter's
    "bias_all": ("qwen2", peft.LoraConfig, {"target_modules": ["q_proj", "down_proj"], "r": 2,
                                            "lora_alpha": 4, "bias": "all"}),
    "bias_only": ("qwen2", peft.LoraConfig, {"target_modules": ["q_proj", "down_proj"], "r": 2,
                                             "lora_alpha": 4, "bias": "lora_only"}),
    "bias_dora": ("llama3", peft.LoraConfig, {"target_modules": ["q_proj", "o_proj"], "r": 2,
                                              "use_dora": True, "bias": "lora_only"}),
    "bias_vera": ("qwen2", peft.VeraConfig, {"target_modules": QV, "r": 4, "bias": "vera_only"}),
    "save_head": ("llama", peft.LoraConfig, {"target_modules": QV, "r": 2, "lora_alpha": 4,
                                             "modules_to_save": ["lm_head"]}),
    "save_embedding": ("llama", peft.LoraConfig,
                       {"target_modules": "all-linear", "r": 2, "lora_alpha": 4,
                        "modules_to_save": ["embed_tokens", "layers.1.mlp.up_proj"]}),
    "save_norms": ("qwen2", peft.LoraConfig, {"target_modules": ["q_proj", "k_proj"], "r": 2,
                                              "modules_to_save": ["norm", "k_proj"]}),
    "save_ia3": ("qwen2", peft.IA3Config,
                 {"target_modules": ["k_proj", "v_proj", "down_proj"],
                  "feedforward_modules": ["down_proj"],
                  "modules_to_save": ["lm_head", "embed_tokens", "model.norm"]}),
    # factors of the weight to begin with: from there, and not from a file
    "pissa": ("llama", peft.LoraConfig, {"target_modules": QV, "r": 4, "lora_alpha": 8,
                                         "init_lora_weights": "pissa"}),
    "olora": ("qwen2", peft.LoraConfig,
              {"target_modules": ["down_proj", "k_proj"], "r": 3, "lora_alpha": 6,
               "use_rslora": True, "init_lora_weights": "olora"}),
    # as PEFT saves it without a conversion: it factors the base again when it loads it
    "pissa_raw": ("llama", peft.LoraConfig, {"target_modules": QV, "r": 3, "lora_alpha": 6,
                                             "init_lora_weights": "pissa"}),
    "olora_raw": ("qwen2", peft.LoraConfig, {"target_modules": QV, "r": 2, "lora_alpha": 4,
                                             "init_lora_weights": "olora"}),
    # ranks that move: twenty steps, with rankings at 6, 9, 12, 15 and 16; at 3, 4, .. 20
    "adalora": ("llama", peft.AdaLoraConfig,
                {"target_modules": QV, "init_r": 6, "target_r": 2, "lora_alpha": 8, "tinit": 3,
                 "tfinal": 4, "deltaT": 3, "total_step": 20}),
    "adalora_each": ("qwen2", peft.AdaLoraConfig,
                     {"target_modules": ["q_proj", "down_proj"], "init_r": 4, "target_r": 1,
                      "lora_alpha": 6, "tinit": 2, "total_step": 20, "beta1": 0.7, "beta2": 0.6,
                      "orth_reg_weight": 0.1}),
    "loraplus": ("llama", peft.LoraConfig, {"target_modules": QV, "r": 4, "lora_alpha": 8}, 8.0),
}
FRESH = ["pissa", "olora"]
# trained weights of the model: name: (base, the modules)
FULL = {
    "full": ("llama", ["q_proj", "v_proj"]),
    "full_bias": ("qwen2", ["k_proj", "down_proj"]),
    "full_norm": ("llama", ["o_proj", "input_layernorm", "norm"]),
}
# what test_methods.c allows an adapter at the end to differ by, where that is not 1e-4: gradients of
# k's biases nearly cancel, and AdamW divides by their size
BUDGETS = {"bias_all": 1e-3}
# how far parameters are moved; what is not here: 0.1
MOVES = {"vera_lambda_b": 0.5, "hada_w2_b": 0.4, "lokr_w1": 0.4, "ia3_l": 0.2, "hra_u": 0.2,
         "oft_R": 0.15, "lora_B": 0.15}


def move(model, name):
    """PEFT's initial values, each moved a little."""
    rng = make_traces.rng_of(name, "method")
    for key, p in sorted(model.named_parameters()):
        if p.requires_grad:
            scale = next((s for k, s in MOVES.items() if f".{k}" in key), 0.1)
            noise = rng.standard_normal(tuple(p.shape)).astype(np.float32)
            p.data = p.data + scale * torch.from_numpy(noise)


def save_adapter(model, base, folder):
    for c in model.peft_config.values():
        c.base_model_name_or_path = f"../../../{base}"
    model.save_pretrained(folder)
    tidy(folder)


def tidy(folder):
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"  # sets are saved in hash order: sort them
    saved = json.loads(path.read_text())
    for key, value in saved.items():
        if isinstance(value, list):
            value.sort()
    path.write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")


def full_model(base, targets, dtype=torch.float32):
    model = AutoModelForCausalLM.from_pretrained(common.DATA / base, dtype=dtype,
                                                 attn_implementation="eager")
    for key, p in model.named_parameters():
        p.requires_grad_(key.split(".")[-2] in targets)
    return model


def trained_weights(model):
    return {k: p.detach().contiguous() for k, p in model.named_parameters() if p.requires_grad}


def begin(name, dtype=torch.float32):
    """PEFT's model at the start; factors are of f32 weights whatever the type."""
    base, kind, options = CASES[name][:3]
    torch.manual_seed(20240611)
    model = AutoModelForCausalLM.from_pretrained(common.DATA / base, dtype=torch.float32,
                                                 attn_implementation="eager")
    return peft.get_peft_model(model, kind(task_type="CAUSAL_LM", **options)).to(dtype)


def save_converted(model, initial, base, folder):
    """Saved by PEFT as an adapter of the base as it is, of twice the rank."""
    for c in model.peft_config.values():
        c.base_model_name_or_path = f"../../../{base}"
    model.save_pretrained(folder, path_initial_model_for_weight_conversion=initial)
    shutil.rmtree(initial)
    tidy(folder)


def make_adapter(name, folder):
    if name in FULL:
        base, targets = FULL[name]
        model = full_model(base, targets)
        move(model, name)
        save_file({k: v.numpy() for k, v in trained_weights(model).items()},
                  folder / "full.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps({
            "base_model_name_or_path": f"../../../{base}", "graft_method": "full",
            "peft_type": None, "target_modules": targets}, indent=2, sort_keys=True) + "\n")
        return
    if name not in FRESH:
        model = begin(name)
        move(model, name)
        save_adapter(model, CASES[name][0], folder)


def steps_of(name):
    return 2 * STEPS if name.startswith("adalora") else STEPS


def read_rows(base, steps):
    trace = load_file(common.DATA / base / "trace.safetensors")
    ends = np.cumsum(trace["row_lengths"])[:steps * ROWS]
    return [(trace["tokens"][a:b], trace["labels"][a:b])
            for a, b in zip(np.concatenate([[0], ends[:-1]]), ends)]


def make_optimizer(model, ratio):
    groups = {1.0: [], ratio: []}
    for key, p in sorted(model.named_parameters()):
        if p.requires_grad:
            groups[ratio if "lora_B" in key else 1.0].append(p)
    return torch.optim.AdamW([{"params": v, "ratio": k} for k, v in groups.items() if v], lr=1.0,
                             betas=(0.9, 0.999), eps=make_traces.TRAINING["adam_epsilon"],
                             weight_decay=make_traces.TRAINING["weight_decay"], foreach=False)


def penalty(model):
    """What AdaLoRA adds to a loss, by PEFT's own forward over a model that has none."""
    inner = model.base_model.model
    inner.forward = lambda: types.SimpleNamespace(loss=torch.zeros((), dtype=torch.float64))
    loss = model.base_model().loss
    del inner.forward
    return loss


def closest(model, step):
    """The gap between the last entry that is pruned and the first that stays, over their size."""
    ranks = model.base_model.rankallocator
    seen = []
    kthvalue = torch.kthvalue
    torch.kthvalue = lambda x, k: (seen.append((x, k)), kthvalue(x, k))[1]
    model.base_model.update_and_allocate(step)
    torch.kthvalue = kthvalue
    gaps = [1.0]
    for x, k in seen:
        x = x.sort().values
        gaps.append(float((x[k] - x[k - 1]) / x[k]))
    return min(gaps)


def run(base, adapter, rows, dtype, ratio):
    """Losses, norms and the adapter at the end."""
    if adapter.name in FULL:
        model = full_model(base, FULL[adapter.name][1], dtype)
        model.load_state_dict({k: torch.from_numpy(v).to(dtype) for k, v in
                               load_file(adapter / "full.safetensors").items()}, strict=False)
    elif adapter.name in FRESH:
        model = begin(adapter.name, dtype)
        model.save_pretrained(adapter / "initial")
    else:
        raw = adapter.name.endswith("_raw")  # factored on loading, which wants f32
        model = make_traces.load(common.DATA / base, adapter, torch.float32 if raw else dtype)
        model = model.to(dtype)
    model.train()  # nothing has dropout
    optimizer = make_optimizer(model, ratio)
    params = [p for p in model.parameters() if p.requires_grad]
    losses, norms, first, gap = [], [], None, 1.0
    ranked = hasattr(model, "base_model") and hasattr(model.base_model, "rankallocator")
    for step in range(steps_of(adapter.name)):
        batch = rows[step * ROWS:(step + 1) * ROWS]
        count = sum(int((labels[1:] != -100).sum()) for _, labels in batch)
        total = 0.0
        for ids, labels in batch:
            nll, _ = make_traces.row_loss(model, ids, labels)
            (nll / count).backward()
            total += nll.item()
        if ranked:
            added = penalty(model)
            added.backward()
            total += added.item() * count
        losses.append(total / count)
        first = first or min(float(p.grad.abs().max()) for p in params)
        norms.append(torch.nn.utils.clip_grad_norm_(params,
                                                    make_traces.TRAINING["max_grad_norm"]).item())
        for group in optimizer.param_groups:
            group["lr"] = make_traces.learning_rate(step) * group["ratio"]
        optimizer.step()
        if ranked:
            gap = min(gap, closest(model, step + 1))
        optimizer.zero_grad()
    if ranked:
        print(f"scores are {gap:.1e} apart", flush=True)
    trace = {"losses": torch.tensor(losses), "grad_norms": torch.tensor(norms)}
    final = (trained_weights if adapter.name in FULL else peft.get_peft_model_state_dict)(model)
    trace.update({f"final.{k}": v.detach() for k, v in final.items()
                  if "vera_A" not in k and "vera_B" not in k})
    if adapter.name in FRESH and dtype == torch.float32:
        save_converted(model, adapter / "initial", base, adapter)
        trace = {k: v for k, v in trace.items() if not k.startswith("final.")}
    if ranked:
        pattern = model.peft_config["default"].rank_pattern
        return trace, first, {k.replace(".default", ""): v for k, v in pattern.items()}
    return trace, first, None


def make_case(name):
    base, ratio = FULL[name][0] if name in FULL else CASES[name][0], 1.0
    if name in CASES:
        ratio = (*CASES[name], 1.0)[3]
    folder, rows = METHODS / name, read_rows(base, steps_of(name))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_adapter(name, folder)
    trace, smallest, pattern = run(base, folder, rows, torch.float32, ratio)
    exact, _, same = run(base, folder, rows, torch.float64, ratio)
    shutil.rmtree(folder / "initial", ignore_errors=True)
    assert same == pattern
    arrays = {k: v.to(torch.float32).contiguous().numpy() for k, v in trace.items()}
    save_file(arrays, folder / "trace.safetensors")
    some = {k: v for k, v in trace.items() if v.numel()}  # a rank may have come to 0
    noise = {k.rstrip("."): make_traces.largest_difference(some, exact, k)
             for k in ("losses", "grad_norms", "final.")}
    noise = {k: v for k, v in noise.items() if v is not None}
    common.write_json(folder / "trace.json", {
        "base": base, "rows": base, "steps": steps_of(name), "loraplus_lr_ratio": ratio,
        **({"rank_pattern": pattern} if pattern else {}),
        **({"fresh": CASES[name][2]} if name in FRESH else {}),
        **({"budget": BUDGETS[name]} if name in BUDGETS else {}),
        "float64_difference": {k: float(f"{v:.2g}") for k, v in noise.items()}}, indent=2)
    size = sum(f.stat().st_size for f in folder.iterdir())
    losses = arrays["losses"]
    print(f"{name}: {size} bytes, loss {losses[0]:.4f} -> {losses[-1]:.4f}, smallest max |grad| "
          f"{smallest:.1e}, noise {noise}", flush=True)
    assert smallest > 1e-5 and math.isfinite(losses[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="cases to make (all)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    for name in args.cases or [*CASES, *FULL]:
        make_case(name)


if __name__ == "__main__":
    main()
