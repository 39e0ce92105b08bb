# SPDX-License-Identifier: Apache-2.0
"""Ten training steps of the methods that act on other sites than linear ones.

PEFT for prefix tuning, prompt tuning, P-tuning, LLaMA-Adapter and LN tuning; the `adapters` library
for bottleneck adapters. Models and token rows are those of make_traces.py. README.md has the formats.

Run: python make_site_methods.py [case ...]
     python make_site_methods.py --hub [case ...]     (an environment with `adapters`)
"""

import argparse
import json
import math
import shutil
import warnings
import zlib

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

import common

STEPS, ROWS = 10, 4
RATE, DECAY, CLIP = 1e-2, 0.01, 1.0
OUT = common.DATA / "site_methods"

PEFT = {
    "prefix": ("llama", "PrefixTuningConfig", {"num_virtual_tokens": 5}),
    "prefix_qwen2": ("qwen2", "PrefixTuningConfig", {"num_virtual_tokens": 4}),
    "prefix_projection": ("llama", "PrefixTuningConfig",
                          {"num_virtual_tokens": 5, "prefix_projection": True,
                           "encoder_hidden_size": 12}),
    "prompt": ("llama", "PromptTuningConfig", {"num_virtual_tokens": 6}),
    "p_tuning": ("qwen2", "PromptEncoderConfig",
                 {"num_virtual_tokens": 4, "encoder_hidden_size": 8}),
    "llama_adapter": ("llama", "AdaptionPromptConfig", {"adapter_len": 4, "adapter_layers": 1}),
    "ln_tuning": ("llama", "LNTuningConfig", {}),
}
HUB = {
    "bottleneck_houlsby": ("llama", "DoubleSeqBnConfig", {"reduction_factor": 4}),
    "bottleneck_pfeiffer": ("llama", "SeqBnConfig", {"reduction_factor": 8}),
    "bottleneck_parallel": ("llama", "ParBnConfig", {"reduction_factor": 8}),
    "bottleneck_ln": ("llama", "BnConfig",
                      {"mh_adapter": True, "output_adapter": True, "reduction_factor": 8,
                       "non_linearity": "gelu", "ln_after": True, "original_ln_before": True,
                       "residual_before_ln": False, "adapter_residual_before_ln": True,
                       "original_ln_after": False}),
}


def rng_of(name):
    return np.random.default_rng([20240612, zlib.crc32(name.encode())])


def rows_of(base):
    trace = load_file(common.DATA / base / "trace.safetensors")
    ends = np.cumsum(trace["row_lengths"])[:STEPS * ROWS]
    return [(trace["tokens"][a:b], trace["labels"][a:b])
            for a, b in zip([0, *ends[:-1]], ends)]


def load_base(base):
    return AutoModelForCausalLM.from_pretrained(common.DATA / base, dtype=torch.float32,
                                                attn_implementation="eager")


def randomize(name, params):
    """Numbers that hide nothing: no zero gate, no zero bias."""
    rng = rng_of(name)
    for key, p in params.items():
        x = rng.standard_normal(tuple(p.shape)).astype(np.float32)
        if "ln_tuning" in key or "norm_after.weight" in key:
            x = 1.0 + 0.2 * x
        elif "bias" in key:
            x = 0.1 * x
        elif "weight" in key and "embedding" not in key:
            x = x / math.sqrt(p.shape[-1])
        elif "adaption" not in key:
            x = 0.5 * x
        p.data = torch.from_numpy(x)


def row_loss(model, ids, labels):
    logits = model(input_ids=torch.tensor(ids[None].astype(np.int64))).logits[0][-len(ids):]
    target = torch.tensor(labels[1:].astype(np.int64))
    nll = torch.nn.functional.cross_entropy(logits[:-1], target, ignore_index=-100,
                                            reduction="sum")
    return nll, int((target != -100).sum()), logits.detach()


def train(model, params, rows):
    optimizer = torch.optim.AdamW(params.values(), lr=RATE, weight_decay=DECAY, foreach=False)
    losses, logits = [], row_loss(model, *rows[0])[2]
    for step in range(STEPS):
        batch = rows[step * ROWS:(step + 1) * ROWS]
        count = sum(int((labels[1:] != -100).sum()) for _, labels in batch)
        total = 0.0
        for ids, labels in batch:
            nll = row_loss(model, ids, labels)[0]
            (nll / count).backward()
            total += nll.item()
        losses.append(total / count)
        torch.nn.utils.clip_grad_norm_(params.values(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
    return {"logits": logits.numpy(), "losses": np.array(losses, dtype=np.float32),
            "final_logits": row_loss(model, *rows[0])[2].numpy()}


def tidy(path):
    """Sets are saved in hash order, and the base's path is this machine's."""
    saved = json.loads(path.read_text())
    if isinstance(saved.get("target_modules"), list):
        saved["target_modules"].sort()
    for key in ("base_model_name_or_path", "model_name"):
        if key in saved:
            saved[key] = "base"
    saved.pop("auto_mapping", None)
    path.write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")


def finish(name, base, params, trace, keys):
    folder = OUT / name
    arrays = {**trace, **{f"initial.{keys(k)}": v for k, v in params["initial"].items()}}
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()},
              folder / "trace.safetensors")
    common.write_json(folder / "trace.json", {
        "base": base, "steps": STEPS, "rows_per_step": ROWS, "learning_rate": RATE,
        "weight_decay": DECAY, "max_grad_norm": CLIP}, indent=2)
    (folder / "final" / "README.md").unlink(missing_ok=True)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name}: loss {trace['losses'][0]:.4f} -> {trace['losses'][-1]:.4f}, {size} bytes")
    assert size < 40000


def trained(model):
    return {k: p for k, p in sorted(model.named_parameters()) if p.requires_grad}


def peft_key(key):
    """The parameter's name in graft: PEFT's key without what names the model."""
    key = key.replace(".default", "").removeprefix("base_model.model.")
    key = key.removeprefix("prompt_encoder.")
    return "prompt_embeddings" if key == "embedding.weight" and not peft_key.network else key


def make_peft(name, base, config, options):
    import peft
    model = peft.get_peft_model(load_base(base), getattr(peft, config)(task_type="CAUSAL_LM",
                                                                       **options))
    params = trained(model)
    randomize(name, params)
    peft_key.network = config == "PromptEncoderConfig" or options.get("prefix_projection", False)
    initial = {k: p.detach().numpy().copy() for k, p in params.items()}
    trace = train(model.eval(), params, rows_of(base))
    shutil.rmtree(OUT / name, ignore_errors=True)
    (OUT / name).mkdir(parents=True)
    model.save_pretrained(OUT / name / "final")
    tidy(OUT / name / "final" / "adapter_config.json")
    finish(name, base, {"initial": initial}, trace, peft_key)


def make_text_state():
    """Keys and values of every layer of the bare model for the text "ABCDEFG" cut to 5 tokens, as
    PEFT's initialize_kv_prefix_from_text takes them; the GGUF's stand-in tokenizer has the letter c
    at 4 + c - 0x21."""
    ids = torch.tensor([[4 + ord(c) - 0x21 for c in "ABCDEFG"]])
    with torch.no_grad():
        cache = load_base("llama")(input_ids=ids, use_cache=True).past_key_values
    parts = [x[0].transpose(0, 1).reshape(ids.shape[1], -1)
             for layer in cache.layers for x in (layer.keys, layer.values)]
    table = torch.cat(parts, dim=1)[:5]
    folder = OUT / "prefix_text"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"prompt_embeddings": table.contiguous().numpy()}, folder / "table.safetensors")


def hub_key(key):
    for there, here in (("attention_adapters", "self_attn"), ("output_adapters", "mlp")):
        key = key.replace(f".{there}.adapters.golden.", f".{here}.")
    return key


def make_hub(name, base, config, options):
    import adapters
    model = load_base(base)
    adapters.init(model)
    model.add_adapter("golden", config=getattr(adapters, config)(**options))
    model.train_adapter("golden")
    params = trained(model)
    randomize(name, params)
    initial = {k: p.detach().numpy().copy() for k, p in params.items()}
    trace = train(model.eval(), params, rows_of(base))
    shutil.rmtree(OUT / name, ignore_errors=True)
    (OUT / name).mkdir(parents=True)
    model.save_adapter(str(OUT / name / "final"), "golden", with_head=False, use_safetensors=True)
    tidy(OUT / name / "final" / "adapter_config.json")
    finish(name, base, {"initial": initial}, trace, hub_key)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hub", action="store_true", help="the cases of the `adapters` library")
    parser.add_argument("cases", nargs="*", help="cases to make (all)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    cases = HUB if args.hub else PEFT
    for name in args.cases or cases:
        (make_hub if args.hub else make_peft)(name, *cases[name])
    if not args.hub:
        make_text_state()


if __name__ == "__main__":
    main()
