# SPDX-License-Identifier: Apache-2.0
"""The same job by transformers + PEFT, for train_speed.sh: in true f32, or over a base in bf16 with
the adapter in f32, as PEFT makes it.

usage: train_speed_peer.py MODEL.gguf ROWS.jsonl STEPS OUTPUT.jsonl float32|bfloat16
Writes one line per step with the keys of graft's steps.jsonl. The batches are the rows in file order,
padded to the longest of eight; tokens are counted without the padding.
"""
import json
import os
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

BATCH = 8
model_file, rows_file, steps, output = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
dtype = getattr(torch, sys.argv[5])
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
# bf16 products in place of f32 ones unasked would be another job.
torch.set_float32_matmul_precision("highest")
torch.backends.mkldnn.matmul.fp32_precision = "ieee"

folder, name = os.path.split(model_file)
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
# transformers reads this GGUF without the rule that splits digits; put it back.
tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=dtype)
torch.manual_seed(0)
model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, task_type="CAUSAL_LM",
                                         target_modules=["q_proj", "v_proj"]))
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)

system = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"


def encode(row):
    prompt = f"{system}<|im_start|>user\n{row['instruction']}<|im_end|>\n<|im_start|>assistant\n"
    a = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    b = tokenizer(f"{row['output']}<|im_end|>\n", add_special_tokens=False)["input_ids"]
    return a + b, [-100] * len(a) + b[:-1] + [-100]


with open(rows_file, encoding="utf-8") as f:
    rows = [encode(json.loads(line)) for _, line in zip(range(steps * BATCH), f)]

seen = 0
with open(output, "w", encoding="utf-8") as out:
    for step in range(steps):
        batch = rows[step * BATCH:(step + 1) * BATCH]
        began = time.monotonic()
        width = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([i + [0] * (width - len(i)) for i, _ in batch])
        mask = torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i, _ in batch])
        labels = torch.tensor([l + [-100] * (width - len(l)) for _, l in batch])
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += sum(len(i) for i, _ in batch)
        out.write(json.dumps({"step": step + 1, "loss": loss.item(), "tokens_seen": seen,
                              "seconds": time.monotonic() - began}, separators=(",", ":")) + "\n")
