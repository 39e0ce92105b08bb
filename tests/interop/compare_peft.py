# SPDX-License-Identifier: Apache-2.0
"""The order of methods, by transformers + PEFT: trains what a finished `graft compare` trained, on the
same rows with the same budget, rate and schedule, and looks whether the two agree.

Run by hand (hours on a CPU, as the comparison itself):
    python compare_peft.py COMPARISON MODEL.gguf TRAIN.jsonl TEST.jsonl

COMPARISON is the output folder of `graft compare`; the rows are Alpaca's, the chat template SmolLM2's.
Each finished method with PEFT's adapter_config.json is trained in f32 with the first seed; rows come in
an order of torch's own. Agreement: for every pair of methods that graft calls different, PEFT's
difference has the same sign or lies in graft's interval. Bottleneck adapters, which PEFT does not have,
are written out here in torch as AdapterHub's library defines them at its defaults; what neither has is
left out and named.

An exact match is found without generating, which ignores a trained prefix in PEFT 0.21.2 with
transformers 5.24: greedy decoding gives the expected answer when each of its tokens, and the end of the
turn, is the likeliest one after those before it.
Exit: 0 they agree, 1 they do not, 77 a package is missing.
"""

import json
import math
import os
import sys
from pathlib import Path

try:
    import torch
    import yaml
    from peft import PeftConfig, get_peft_model
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer, get_scheduler
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

SYSTEM = ("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
          "<|im_end|>\n")


def load_tokenizer(path):
    folder, name = os.path.split(path)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # transformers reads this GGUF without the rule that splits digits; put it back.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True),
         pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return tokenizer


def load_model(path):
    folder, name = os.path.split(path)
    return AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)


def encode(tokenizer, row):
    question = "\n".join(part for part in (row["instruction"], row.get("input")) if part)
    prompt = f"{SYSTEM}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    a = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    b = tokenizer(f"{row['output']}<|im_end|>", add_special_tokens=False)["input_ids"]
    return a + b, [-100] * len(a) + b


def read(tokenizer, path, most):
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [encode(tokenizer, json.loads(line)) for line in lines[:most or None]]


def answers(model, rows):
    """Logits and labels of the trained positions of a batch, virtual tokens taken off."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([i + [0] * (width - len(i)) for i, _ in rows])
    mask = torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i, _ in rows])
    labels = torch.tensor([l + [-100] * (width - len(l)) for _, l in rows])
    logits = model(input_ids=ids, attention_mask=mask).logits[:, -width:]
    return logits[:, :-1], labels[:, 1:]


def train(model, rows, recipe, steps, lr, seed):
    part = recipe["train"]
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=recipe["optimizer"]["weight_decay"])
    warmup = part.get("warmup_steps") or math.ceil(steps * part.get("warmup_ratio", 0.0))
    scheduler = get_scheduler(part["schedule"], optimizer, num_warmup_steps=warmup,
                              num_training_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    order = []
    while len(order) < steps * part["batch_size"]:
        order += torch.randperm(len(rows), generator=generator).tolist()
    model.train()
    for step in range(steps):
        batch = [rows[i] for i in order[step * part["batch_size"]:(step + 1) * part["batch_size"]]]
        logits, labels = answers(model, batch)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(),
                                                 ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, part["max_grad_norm"])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()


@torch.no_grad()
def measure(model, rows):
    nll = tokens = exact = 0
    model.eval()
    for row in rows:
        logits, labels = answers(model, [row])
        logits, labels = logits[0][labels[0] != -100], labels[0][labels[0] != -100]
        nll += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        tokens += len(labels)
        exact += bool((logits.argmax(-1) == labels).all())
    return {"loss": nll / tokens, "exact_match": exact / len(rows)}


# A sequential adapter after the MLP that sees the stream and is added to it: AdapterHub's "seq_bn".
SEQ_BN = {"mh_adapter": False, "output_adapter": True, "original_ln_before": True,
          "original_ln_after": True, "residual_before_ln": True, "adapter_residual_before_ln": False,
          "ln_after": False, "is_parallel": False, "non_linearity": "relu", "scaling": 1.0,
          "dropout": 0.0, "init_weights": "bert"}


def add_bottlenecks(model, reduction_factor):
    model.requires_grad_(False)
    hidden = model.config.hidden_size
    width = max(1, int(hidden / reduction_factor))
    model.bottlenecks = torch.nn.ModuleList()
    for layer in model.model.layers:
        network = torch.nn.Sequential(torch.nn.Linear(hidden, width), torch.nn.ReLU(),
                                      torch.nn.Linear(width, hidden))
        for linear in (network[0], network[2]):
            torch.nn.init.normal_(linear.weight, std=0.02)
            torch.nn.init.zeros_(linear.bias)
        layer.register_forward_hook(lambda _, __, out, network=network: out + network(out))
        model.bottlenecks.append(network)
    return model


def adapted(model_file, found):
    """The base model with a new adapter of the run's kind, or None."""
    config = json.loads((found / "adapter_config.json").read_text())
    if "peft_type" in config:
        config = PeftConfig.from_pretrained(found)
        config.inference_mode = False
        return get_peft_model(load_model(model_file), config)
    hub = config.get("config", {})
    if all(hub.get(key) == value for key, value in SEQ_BN.items()):
        return add_bottlenecks(load_model(model_file), hub["reduction_factor"])
    return None


def run(folder, model_file, train_rows, test_rows, report, method):
    if method["runs_finished"] == 0:
        return None
    first = next(r for r in method["runs"] if r["finished"])
    found = [p for p in (folder / "runs" / method["name"]).glob(f"lr-*/seed-{first['seed']}")
             if float(p.parent.name[3:]) == first["lr"]]
    torch.manual_seed(first["seed"])
    model = adapted(model_file, found[0])
    if model is None:
        print(f"{method['name']}: not a method of PEFT, left out")
        return None
    train(model, train_rows, yaml.safe_load(method["recipe"]), report["steps"], first["lr"],
          first["seed"])
    return measure(model, test_rows)


def agree(report, names, peft, score):
    """Pairs that graft calls different and PEFT orders the other way."""
    against = []
    for a in names:
        for b in names:
            mine = next(m for m in report["methods"] if m["name"] == a)["differences"].get(b)
            if mine is None or a >= b:
                continue
            d, theirs = mine[score], peft[a][score] - peft[b][score]
            if d["low"] is None or d["low"] <= 0 <= d["high"]:
                continue
            if theirs * d["mean"] <= 0 and not d["low"] <= theirs <= d["high"]:
                against.append(f"{a} - {b}: graft {d['mean']:.4f} ({d['low']:.4f} to {d['high']:.4f}), "
                               f"PEFT {theirs:.4f}")
    return against


def show(name, mine, peft):
    exact = f"{mine['exact_match']:.3f}" if "exact_match" in mine else "-"
    print(f"{name:14}{mine['loss']:14.4f}{peft['loss']:10.4f}{exact:>16}{peft['exact_match']:8.3f}",
          flush=True)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    report = json.loads((folder / "compare.json").read_text())
    tokenizer = load_tokenizer(sys.argv[2])
    train_rows = read(tokenizer, sys.argv[3], 0)
    test_rows = read(tokenizer, sys.argv[4], report["rows"])
    base = measure(load_model(sys.argv[2]).eval(), test_rows)
    print(f"{'':14}{'loss: graft':>14}{'PEFT':>10}{'exact: graft':>16}{'PEFT':>8}")
    mine = report["base"][report["split"]]
    show("base model", mine, base)
    peft = {}
    for method in report["methods"]:
        found = run(folder, sys.argv[2], train_rows, test_rows, report, method)
        if found is None:
            continue
        peft[method["name"]] = found
        show(method["name"], {name: score["mean"] for name, score in method[report["split"]].items()},
             found)
    against = [line for score in ("loss", "exact_match") if score in mine
               for line in agree(report, list(peft), peft, score)]
    print("\n".join(against) or "every pair that graft calls different has PEFT's order")
    return bool(against)


if __name__ == "__main__":
    sys.exit(main())
