# SPDX-License-Identifier: Apache-2.0
"""Merged models read by others: `graft merge` against PEFT's merge_and_unload.

For each golden model with its initial adapter: the merged Hugging Face folder opens in transformers
and gives PEFT's logits (f32); gguf-py reads the merged GGUF, its metadata is the base's, and its
tensors are PEFT's merged weights, rows of q and k in GGUF's order. An adapter on the head of a tied
model comes out untied.

Run: python merge_peft.py GRAFT      (exit 77: torch, transformers, peft or gguf is missing)
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import gguf
    import numpy as np
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

DATA = Path(__file__).resolve().parent.parent / "golden" / "data"
CASES = {"llama": True, "llama3": True, "qwen2": True, "qwen3": False, "mistral": False,
         "yarn": False}
# f32 rounding: both merge in f32, the sums run in another order; logits are some ten.
BUDGET = {"logits": 1e-5, "GGUF weights": 1e-6}
NAMES = [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"),
         ("lm_head", "output"), ("model.layers.", "blk."), ("input_layernorm", "attn_norm"),
         ("post_attention_layernorm", "ffn_norm"), ("self_attn.q_proj", "attn_q"),
         ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
         ("self_attn.o_proj", "attn_output"), ("mlp.gate_proj", "ffn_gate"),
         ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")]


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                attn_implementation="eager").eval()


def merge(graft, adapter, model, out):
    subprocess.run([graft, "merge", adapter, "--model", model, "--dtype", "f32", "--output", out],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return out


@torch.no_grad()
def logits(model):
    ids = torch.arange(3, 40)[None]
    return model(input_ids=ids).logits[0].double()


def gguf_rows(key, x, config):
    """Hugging Face's row order to that of GGUF `llama` files."""
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    module = key.split(".")[-2]
    if config["model_type"] != "llama" or module not in heads:
        return x
    halves = x.reshape(heads[module], 2, x.shape[0] // heads[module] // 2, *x.shape[1:])
    return halves.swapaxes(1, 2).reshape(x.shape)


def check_gguf(graft, case, merged, work):
    config = json.loads((DATA / case / "config.json").read_text())
    out = merge(graft, DATA / case / "adapter", DATA / case / "model.gguf", work / f"{case}-gguf")
    base, made = (gguf.GGUFReader(p) for p in (DATA / case / "model.gguf", out / "model.gguf"))
    for key, field in base.fields.items():
        if not key.startswith("GGUF."):
            assert made.fields[key].contents() == field.contents(), key
    assert [t.name for t in made.tensors] == [t.name for t in base.tensors]
    tensors, worst = {t.name: t for t in made.tensors}, 0.0
    for key, value in merged.state_dict().items():
        name = key
        for old, new in NAMES:
            name = name.replace(old, new)
        if name == "output.weight" and config["tie_word_embeddings"]:
            continue
        expected = gguf_rows(key, value.numpy(), config)
        worst = max(worst, float(np.abs(tensors[name].data - expected).max()))
    return worst


def check_head(graft, work):
    """A tied model whose head is adapted."""
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["lm_head", "q_proj"],
                        init_lora_weights=False, task_type="CAUSAL_LM")
    torch.manual_seed(1)
    model = get_peft_model(load(DATA / "llama"), config).eval()
    model.save_pretrained(work / "head-adapter", save_embedding_layers=False)
    out = merge(graft, work / "head-adapter", DATA / "llama", work / "head")
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is False
    again = load(out)
    table = load(DATA / "llama").get_input_embeddings().weight
    assert torch.equal(again.get_input_embeddings().weight, table), "the table has changed"
    return float((logits(model) - logits(again)).abs().max())


def check_saved(graft, work, case):
    """Whole modules: PEFT puts its copies in their places, too."""
    adapter = DATA / "methods" / case
    base = DATA / json.loads((adapter / "trace.json").read_text())["base"]
    model = PeftModel.from_pretrained(load(base), adapter, autocast_adapter_dtype=False)
    expected = logits(model.merge_and_unload().eval())
    assert float((logits(load(base)) - expected).abs().max()) > 1e-2
    again = load(merge(graft, adapter, base, work / case))
    return float((expected - logits(again)).abs().max())


def main():
    graft = Path(sys.argv[1]).resolve()
    logging.disable_progress_bar()
    work, failed = Path(tempfile.mkdtemp(prefix="graft-merge-")), False
    for case, has_gguf in CASES.items():
        out = merge(graft, DATA / case / "adapter", DATA / case, work / case)
        peft = PeftModel.from_pretrained(load(DATA / case), DATA / case / "adapter",
                                         autocast_adapter_dtype=False)
        merged = peft.merge_and_unload().eval()
        results = {"logits": float((logits(merged) - logits(load(out))).abs().max())}
        assert float((logits(merged) - logits(load(DATA / case))).abs().max()) > 1e-2
        if has_gguf:
            results["GGUF weights"] = check_gguf(graft, case, merged, work)
        print(f"{case}: " + ", ".join(f"{k} differ by {v:.1e}" for k, v in results.items()))
        failed |= any(not v <= BUDGET[k] for k, v in results.items())
    for case in ("save_head", "save_embedding", "save_norms", "bias_all"):
        worst = check_saved(graft, work, case)
        print(f"{case}: logits differ by {worst:.1e}")
        failed |= not worst <= BUDGET["logits"]
    worst = check_head(graft, work)
    print(f"llama, head adapted and untied: logits differ by {worst:.1e}")
    shutil.rmtree(work)
    return 1 if failed or not worst <= BUDGET["logits"] else 0


if __name__ == "__main__":
    sys.exit(main())
