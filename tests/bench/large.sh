#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Peak memory and speed of training a model of 1.5 billion random weights (Qwen2.5-1.5B's shapes),
# quantized to NF4 as it is loaded, in f32: LoRA r 8 on q and v, a few steps of one row of 256 tokens.
#
#   tests/bench/large.sh [STEPS]      (2)
#
# BUILD names the build folder (build), THREADS the threads (2), WORK a folder with 4 GB of room (a
# temporary one). Needs python3 with numpy as PYTHON (python3).
set -euo pipefail

cd "$(dirname "$0")/../.."
steps=${1:-2} build=${BUILD:-build} threads=${THREADS:-2} python=${PYTHON:-python3}
work=$(mktemp -d "${WORK:-${TMPDIR:-/tmp}}/large.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/model"
cp tests/golden/data/tokenizers/qwen2/tokenizer*.json "$work/model"

"$python" - "$work/model" <<'END'
import json, struct, sys
import numpy as np

C, I, L, H, G, V = 1536, 8960, 28, 12, 2, 151936
folder = sys.argv[1]
json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": C, "intermediate_size": I,
           "num_hidden_layers": L, "num_attention_heads": H, "num_key_value_heads": G, "vocab_size": V,
           "tie_word_embeddings": True, "rms_norm_eps": 1e-6, "hidden_act": "silu", "max_position_embeddings": 32768,
           "rope_theta": 1000000.0}, open(folder + "/config.json", "w"))
shapes = {"model.embed_tokens.weight": (V, C), "model.norm.weight": (C,)}
for i in range(L):
    p = f"model.layers.{i}."
    for name in "input_layernorm", "post_attention_layernorm":
        shapes[p + name + ".weight"] = (C,)
    for name, rows, columns in (("self_attn.q_proj", C, C), ("self_attn.k_proj", C // H * G, C),
                                ("self_attn.v_proj", C // H * G, C), ("self_attn.o_proj", C, C),
                                ("mlp.gate_proj", I, C), ("mlp.up_proj", I, C), ("mlp.down_proj", C, I)):
        shapes[p + name + ".weight"] = (rows, columns)
header, at = {}, 0
for name, shape in shapes.items():
    size = 2 * int(np.prod(shape))
    header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
    at += size
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
# bf16 is the upper half of f32; one block of draws, begun anew at another place for each tensor
draws = (np.random.default_rng(1).standard_normal(1 << 24, dtype=np.float32) * 0.02).view(np.uint32) >> 16
draws = draws.astype(np.uint16)
with open(folder + "/model.safetensors", "wb") as out:
    out.write(struct.pack("<Q", len(text)) + text)
    for number, shape in enumerate(shapes.values()):
        if len(shape) == 1:
            out.write(np.full(shape, 0x3F80, np.uint16).tobytes())
            continue
        out.write(np.resize(np.roll(draws, 7919 * number), int(np.prod(shape))).tobytes())
print("%.2f billion weights" % (at / 2e9))
END

for _ in $(seq "$steps"); do
    printf '{"text": "the%s"}\n' "$(printf ' the%.0s' $(seq 254))"
done >"$work/rows.jsonl"
cat >"$work/recipe.yaml" <<END
model: {path: model, quantize: nf4, compute: f32}
data: {train: rows.jsonl, train_on: all, shuffle: false, max_length: 512}
adapter: {method: lora, r: 8, lora_alpha: 16, target_modules: [q_proj, v_proj]}
optimizer: {method: adamw, lr: 1.0e-4}
train: {max_steps: $steps, batch_size: 1}
checkpoint: {every: 0}
backend: {name: cpu, threads: $threads}
output: run
END
sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1
"$build/bin/graft" plan "$work/recipe.yaml" | tail -25
"$python" -c 'import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print("peak resident %.2f GB" % (resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9))
sys.exit(code)' "$build/bin/graft" train "$work/recipe.yaml" >"$work/out" 2>"$work/log" ||
    { cat "$work/log" "$work/out" >&2 && exit 1; }
grep resident "$work/out"
"$python" -c 'import json, sys
seen = 0
for line in open(sys.argv[1]):
    step = json.loads(line)
    print("step %d: loss %.3f, %.1f tokens/s" % (step["step"], step["loss"], (step["tokens_seen"] - seen) / step["seconds"]))
    seen = step["tokens_seen"]' "$work/run/steps.jsonl"
