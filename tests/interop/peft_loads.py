# SPDX-License-Identifier: Apache-2.0
"""Adapters between graft and PEFT, both ways.

1. graft trains tiny random models; PEFT loads what it saved: no key is missing or unexpected, and
   every row has the same loss there.
2. PEFT saves an adapter; graft loads it: every row has the same loss there.
3. With --smollm2: twenty steps on the real model and data, step for step against torch, from the
   same initial adapter.

Run: python peft_loads.py --graft BUILD/bin/graft [--smollm2 FILE.gguf]
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
from peft import (LoraConfig, PeftModel, __version__ as peft_version, get_peft_model,
                  get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict)
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
REPO = HERE.parent.parent
sys.path.insert(0, str(GOLDEN))

import make_smollm2  # noqa: E402
import make_tokens  # noqa: E402

LOSS_BUDGET = 1e-3  # what the project promises for logits in f32; measured values are far below
STEP_BUDGET = 1e-4

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
         "vocab_size": 432, "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2}
# name: (model class, tokenizer of the golden data, what graft trains, what PEFT saves)
MODELS = {
    "llama": (transformers.LlamaConfig, "smollm", {"r": 4, "target_modules": ["q_proj", "v_proj"]},
              {"r": 3, "target_modules": "all-linear"}),
    "qwen2": (transformers.Qwen2Config, "qwen2",
              {"r": 4, "target_modules": "all-linear", "use_rslora": True,
               "rank_pattern": {"down_proj": 6}},
              {"r": 4, "target_modules": r".*\.(q_proj|down_proj)", "use_rslora": True,
               "alpha_pattern": {"layers.1.mlp.down_proj": 3}}),
    "qwen3": (transformers.Qwen3Config, "qwen2", {"r": 2, "target_modules": ["k_proj", "o_proj"]},
              {"r": 2, "target_modules": ["gate_proj"], "layers_to_transform": [1]}),
    "mistral": (transformers.MistralConfig, "smollm", {"r": 4, "target_modules": ["q_proj"]},
                {"r": 4, "target_modules": ["up_proj", "v_proj"]}),
}
ROWS = [("can i cancel order 1234?", "You can. Tell me its number."),
        ("where is my parcel", "It left our house on Monday."),
        ("i want a refund", "We are sorry. A refund takes five days."),
        ("do you speak French?", "Yes, we do."),
        ("change my address to 12 Main Street", "Done."),
        ("HELP!!!", "How can we help you? Write or call us at any time.")]

failures = []


def check(ok, text):
    if not ok:
        failures.append(text)
        print("FAILED:", text)


class Graft:
    def __init__(self, path):
        self.path = path

    def __call__(self, *args):
        done = subprocess.run([self.path, *map(str, args)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"graft {' '.join(map(str, args))}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def loss(self, *args):
        return json.loads(self("eval", *args, "--max-new-tokens", 1, "--json"))["loss"]


def write_rows(path, rows):
    path.write_text("".join(json.dumps({"instruction": q, "input": "", "output": a}) + "\n"
                            for q, a in rows))


def write_recipe(path, **parts):
    path.write_text(json.dumps(parts, indent=1) + "\n")  # JSON is YAML


# ---- tiny models ----

def make_model(name, folder):
    """A random model of the family with a tiny tokenizer, as a Hugging Face folder."""
    config, tokenizer = MODELS[name][:2]
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(config(**SIZES, initializer_range=0.3)) \
        .save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(GOLDEN / "data" / "tokenizers" / tokenizer / file, folder)


def load_base(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def encoded(folder, rows):
    """(ids, labels) of each row, by the reference."""
    fast = AutoTokenizer.from_pretrained(folder)
    return [make_tokens.ids_and_labels(fast.backend_tokenizer, fast,
                                       {"instruction": q, "input": "", "output": a})
            for q, a in rows]


def row_loss(model, ids, labels):
    """Sum of the negative log likelihoods of the trained tokens, and their number."""
    logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
    target = torch.tensor(labels[1:])
    nll = torch.nn.functional.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
    return nll, int((target != -100).sum())


@torch.no_grad()
def reference_losses(model, rows):
    return [float(nll / n) for nll, n in (row_loss(model, *row) for row in rows)]


def compare_rows(what, found, expected, base):
    worst = max(abs(a - b) for a, b in zip(found, expected))
    effect = min(abs(a - b) for a, b in zip(expected, base))
    print(f"| {what:<34} | {worst:.1e} | {effect:.1e} |")
    check(worst <= LOSS_BUDGET, f"{what}: a row's loss differs by {worst}")
    check(effect > 10 * worst, f"{what}: the adapter changes nothing")


def graft_losses(graft, work, *args):
    losses = []
    for row in ROWS:
        write_rows(work / "row.jsonl", [row])
        losses.append(graft.loss(*args, "--data", work / "row.jsonl"))
    return losses


def to_peft(graft, name, folder, work, rows, base):
    """graft trains and saves; PEFT loads."""
    write_rows(work / "rows.jsonl", ROWS)
    write_recipe(work / "recipe.yaml", model=str(folder),
                 data={"train": str(work / "rows.jsonl"), "test": str(work / "rows.jsonl"), "max_length": 256},
                 adapter={"method": "lora", "lora_alpha": 8, **MODELS[name][2]},
                 optimizer={"method": "adamw", "lr": 5e-2},
                 train={"max_steps": 3, "batch_size": 4}, eval={"metrics": ["loss"]},
                 backend="cpu", output=str(work / "run"))
    graft("train", work / "recipe.yaml")
    model = PeftModel.from_pretrained(load_base(folder), work / "run").eval()
    keys = load_peft_weights(work / "run", device="cpu")
    result = set_peft_model_state_dict(model, keys)
    missing = [k for k in result.missing_keys if "lora_" in k]
    check(not missing, f"{name}: PEFT misses {missing}")
    check(not result.unexpected_keys, f"{name}: PEFT does not expect {result.unexpected_keys}")
    check(set(keys) == set(get_peft_model_state_dict(model)), f"{name}: other keys than PEFT's")
    compare_rows(f"graft to PEFT, {name}, {len(keys)} tensors",
                 graft_losses(graft, work, work / "run"), reference_losses(model, rows), base)


def from_peft(graft, name, folder, work, rows, base):
    """PEFT makes and saves; graft loads."""
    torch.manual_seed(2)
    config = LoraConfig(task_type="CAUSAL_LM", lora_alpha=8, **MODELS[name][3])
    model = get_peft_model(load_base(folder), config).eval()
    for key, p in model.named_parameters():
        if "lora_B" in key:  # zero at first
            p.data.normal_(std=0.3)
    model.save_pretrained(work / "peft")
    count = len(get_peft_model_state_dict(model))
    compare_rows(f"PEFT to graft, {name}, {count} tensors",
                 graft_losses(graft, work, work / "peft", "--model", folder),
                 reference_losses(model, rows), base)


def check_tiny(graft):
    print("| adapter                            | loss    | effect  |")
    for name in MODELS:
        with tempfile.TemporaryDirectory() as work:
            work = Path(work)
            make_model(name, work / "model")
            rows = encoded(work / "model", ROWS)
            base = reference_losses(load_base(work / "model"), rows)
            worst = max(abs(a - b) for a, b in
                        zip(graft_losses(graft, work, work / "model"), base))
            check(worst <= LOSS_BUDGET, f"{name}: the bare model's loss differs by {worst}")
            to_peft(graft, name, work / "model", work, rows, base)
            from_peft(graft, name, work / "model", work, rows, base)


# ---- the real model, step for step ----

STEPS, BATCH, RATE, WARMUP = 20, 8, 1e-3, 3


def smollm2_recipe(path, model, **more):
    write_recipe(path, model=str(model),
                 data={"train": str(REPO / "examples/data/bitext-short/train.jsonl"),
                       "shuffle": False},
                 adapter={"method": "lora", "r": 8, "lora_alpha": 16,
                          "target_modules": ["q_proj", "v_proj"]},
                 optimizer={"method": "adamw", "lr": RATE, "weight_decay": 0.01},
                 train={"max_steps": STEPS, "batch_size": BATCH, "schedule": "cosine",
                        "warmup_steps": WARMUP, "seed": 42},
                 backend="cpu", **more)


def torch_steps(model, rows):
    """Losses and gradient norms as the trainer's steps have them."""
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=RATE, weight_decay=0.01)
    schedule = transformers.get_cosine_schedule_with_warmup(optimizer, WARMUP, STEPS)
    for step in range(STEPS):
        batch = rows[step * BATCH:(step + 1) * BATCH]
        count = sum(sum(x != -100 for x in labels[1:]) for _, labels in batch)
        total = 0.0
        for ids, labels in batch:
            nll, _ = row_loss(model, ids, labels)
            (nll / count).backward()
            total += nll.item()
        norm = float(torch.nn.utils.clip_grad_norm_(params, 1.0))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield total / count, norm


def check_smollm2(graft, path):
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        smollm2_recipe(work / "recipe.yaml", path)
        for run, sets in (("first", ["train.max_steps=1", "optimizer.lr=0.0"]), ("run", [])):
            graft("train", work / "recipe.yaml", "--set", f"output={work / run}",
                  *[x for s in sets for x in ("--set", s)])
        lines = [json.loads(x) for x in (work / "run/steps.jsonl").read_text().splitlines()]
        tok, template = make_tokens.smollm2_tokenizer(path)
        fast = transformers.PreTrainedTokenizerFast(
            tokenizer_object=tok, bos_token="<|im_start|>", eos_token="<|im_end|>",
            chat_template=template)
        data = make_tokens.read_rows(REPO / "examples/data/bitext-short/train.jsonl")
        rows = [make_tokens.ids_and_labels(tok, fast, r) for r in data[:STEPS * BATCH]]
        model = PeftModel.from_pretrained(make_smollm2.read_model(path), work / "first",
                                          is_trainable=True).eval()
        print("| step | graft      | torch      | difference | norm, relative |")
        worst = relative = 0.0
        for line, (loss, norm) in zip(lines, torch_steps(model, rows), strict=True):
            d, n = abs(line["loss"] - loss), abs(line["grad_norm"] - norm) / norm
            worst, relative = max(worst, d), max(relative, n)
            print(f"| {line['step']:>4} | {line['loss']:.8f} | {loss:.8f} | {d:.1e}    | "
                  f"{n:.1e}        |", flush=True)
        check(worst <= STEP_BUDGET, f"SmolLM2: a step's loss differs by {worst}")
        check(relative <= 1e-3, f"SmolLM2: a step's gradient norm differs by {relative}")
        theirs = get_peft_model_state_dict(model)
        ours = load_peft_weights(work / "run", device="cpu")
        check(set(theirs) == set(ours), "SmolLM2: other keys than PEFT's")
        off = math.sqrt(sum(float((ours[k] - theirs[k]).square().sum()) for k in ours))
        start = load_peft_weights(work / "first", device="cpu")
        way = math.sqrt(sum(float((start[k] - theirs[k]).square().sum()) for k in ours))
        print(f"largest difference of a loss {worst:.1e}, of a norm {relative:.1e}; the adapters "
              f"end {off / way:.1e} of their way apart")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graft", required=True, type=Path)
    parser.add_argument("--smollm2", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, "
          f"PEFT {peft_version}")
    graft = Graft(args.graft.resolve())
    check_tiny(graft)
    if args.smollm2:
        check_smollm2(graft, args.smollm2.resolve())
    if failures:
        sys.exit(f"{len(failures)} failed")


if __name__ == "__main__":
    main()
