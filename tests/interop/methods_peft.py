# SPDX-License-Identifier: Apache-2.0
"""Every method that acts on linear layers, trained by graft and loaded by PEFT.

graft trains tiny random models; PEFT loads what it saved: no key is missing or unexpected, PEFT
would write the same keys, and every row has the same loss there, and here again once PEFT has saved
it. (tests/golden/test_methods.c loads adapters that PEFT made.)

Run: python methods_peft.py --graft BUILD/bin/graft [method ...]
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
from peft import (PeftModel, __version__ as peft_version, get_peft_model_state_dict,
                  load_peft_weights, set_peft_model_state_dict)

import peft_loads
from peft_loads import check

QV = ["q_proj", "v_proj"]
# name: (model, adapter section of the recipe)
CASES = {
    "ia3": ("llama", {"method": "ia3"}),
    "ia3 pattern": ("qwen2", {"method": "ia3", "target_modules": ["q_proj", "up_proj"],
                              "feedforward_modules": r".*\.up_proj"}),
    "bitfit": ("qwen2", {"method": "bitfit", "target_modules": ["v_proj", "down_proj"]}),
    "bitfit layers": ("llama", {"method": "bitfit", "layers_to_transform": [1],
                                "target_modules": "all-linear", "exclude_modules": ["o_proj"]}),
    "miss": ("llama", {"method": "miss", "r": 5, "target_modules": QV}),
    "loha": ("llama", {"method": "loha", "r": 3, "rank_pattern": {"layers.0.self_attn.v_proj": 2}}),
    "lokr": ("qwen2", {"method": "lokr", "r": 2, "decompose_both": True}),
    "hra": ("llama", {"method": "hra", "r": 4}),
    "hra orthogonal": ("qwen2", {"method": "hra", "r": 3, "apply_GS": True}),
    "vera": ("qwen2", {"method": "vera", "r": 16, "target_modules": ["q_proj", "down_proj"]}),
    "oft": ("llama", {"method": "oft", "oft_block_size": 8}),
    "oft shared": ("qwen2", {"method": "oft", "r": 4, "oft_block_size": 0, "block_share": True}),
    "dora": ("qwen2", {"method": "lora", "r": 4, "use_dora": True, "lora_dropout": 0.1,
                       "target_modules": QV}),
    "bias all": ("qwen2", {"method": "lora", "r": 2, "bias": "all"}),
    "bias lora_only": ("qwen2", {"method": "oft", "oft_block_size": 8, "bias": "lora_only",
                                 "target_modules": ["q_proj", "down_proj"]}),
    "saved head": ("llama", {"method": "lora", "r": 4, "modules_to_save": ["lm_head"]}),
    "saved modules": ("qwen2", {"method": "ia3", "modules_to_save": ["embed_tokens", "norm",
                                                                     "q_proj"]}),
    "adalora": ("llama", {"method": "adalora", "init_r": 6, "target_r": 2, "total_step": 3,
                          "tfinal": 1}),
    "lora+": ("llama", {"method": "lora", "r": 4, "loraplus_lr_ratio": 8.0}),
    "pissa": ("llama", {"method": "lora", "r": 4, "init_lora_weights": "pissa"}),
    "olora": ("qwen2", {"method": "lora", "r": 3, "lora_alpha": 6, "init_lora_weights": "olora",
                        "use_rslora": True, "target_modules": ["k_proj", "down_proj"]}),
}


def check_case(graft, name, folder, work, rows, base):
    model_name, adapter = CASES[name]
    peft_loads.write_rows(work / "rows.jsonl", peft_loads.ROWS)
    peft_loads.write_recipe(
        work / "recipe.yaml", model=str(folder),
        data={"train": str(work / "rows.jsonl"), "test": str(work / "rows.jsonl"),
              "max_length": 256}, adapter=adapter, eval={"metrics": ["loss"]},
        optimizer={"method": "adamw", "lr": 5e-2}, train={"max_steps": 3, "batch_size": 4},
        backend="cpu", output=str(work / "run"))
    graft("train", work / "recipe.yaml")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(peft_loads.load_base(folder), work / "run").eval()
    unknown = [str(w.message) for w in said if "Unexpected keyword" in str(w.message)]
    check(not unknown, f"{name}: {unknown}")
    keys = load_peft_weights(work / "run", device="cpu")
    if getattr(model.peft_config["default"], "rank_pattern", None) and "adalora" in name:
        pruned = sum(v.count(False) for v in model.peft_config["default"].rank_pattern.values())
        check(pruned == 16, f"{name}: {pruned} entries are left out")  # PEFT cannot load it twice
    else:
        result = set_peft_model_state_dict(model, keys)
        check(not result.unexpected_keys, f"{name}: PEFT does not expect {result.unexpected_keys}")
    own = set(get_peft_model_state_dict(model))
    check(set(keys) == own, f"{name}: other keys than PEFT's: {set(keys) ^ own}")
    reference = peft_loads.reference_losses(model, rows)
    peft_loads.compare_rows(f"{name}, {model_name}, {len(keys)} tensors",
                            peft_loads.graft_losses(graft, work, work / "run"), reference, base)
    model.save_pretrained(work / "again", save_embedding_layers=False)
    again = peft_loads.graft_losses(graft, work, work / "again", "--model", folder)
    worst = max(abs(a - b) for a, b in zip(again, reference))
    check(worst <= 1e-5, f"{name}: saved again by PEFT, a loss differs by {worst:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graft", required=True, type=Path)
    parser.add_argument("cases", nargs="*")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, "
          f"PEFT {peft_version}")
    print("| graft to PEFT                      | loss    | effect  |")
    graft = peft_loads.Graft(args.graft.resolve())
    models = {}
    with tempfile.TemporaryDirectory() as place:
        for name in args.cases or CASES:
            folder = Path(place) / CASES[name][0]
            if folder not in models:
                peft_loads.make_model(CASES[name][0], folder)
                rows = peft_loads.encoded(folder, peft_loads.ROWS)
                models[folder] = rows, peft_loads.reference_losses(peft_loads.load_base(folder),
                                                                   rows)
            with tempfile.TemporaryDirectory() as work:
                check_case(graft, name, folder, Path(work), *models[folder])
    if peft_loads.failures:
        sys.exit(f"{len(peft_loads.failures)} failed")


if __name__ == "__main__":
    main()
