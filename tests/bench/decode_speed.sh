#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tokens a second of greedy decoding, SmolLM2-135M (Q4_1), with 128 tokens in the cache: one answer
# and sixteen at once, and where LLAMA_BENCH names llama.cpp's llama-bench also that, on the same file
# (its tg64 begins with an empty cache).
#
#   tests/bench/decode_speed.sh [PASSES]      (20: of which the fastest counts)
#
# BUILD names the build folder (build), THREADS the threads (2). Run it on an idle machine.
set -euo pipefail

cd "$(dirname "$0")/../.."
passes=${1:-20} build=${BUILD:-build} threads=${THREADS:-2}
model=$(examples/quickstart/fetch_model.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo '{"text": "Once upon a time there was a fox."}' >"$work/rows.jsonl"
cat >"$work/recipe.yaml" <<END
model: {path: "$model", compute: f32}
data: {train: rows.jsonl, train_on: all}
adapter: {method: lora, r: 8, lora_alpha: 16, target_modules: [q_proj, v_proj]}
optimizer: {method: adamw, lr: 1.0e-3}
train: {max_steps: 1, batch_size: 1}
backend: {name: cpu, threads: $threads}
output: run
END

sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1
"$build/bin/graft" bench "$work/recipe.yaml" --json --passes "$passes" >"$work/out" 2>"$work/log" ||
    { cat "$work/log" >&2 && exit 1; }
python3 -c 'import json, sys
report = json.load(open(sys.argv[1]))
print("limits: %.0f GFLOP/s, memory %.1f GB/s" % (report["limits"]["flops_f32"] / 1e9, report["limits"]["read"] / 1e9))
for p in report["programs"][2:]:
    print("graft, %2d answer(s), %d threads: %6.0f tokens/s" % (p["rows"], report["threads"], p["tokens"] / p["seconds"]))
' "$work/out"
if [ -n "${LLAMA_BENCH:-}" ]; then
    "$LLAMA_BENCH" -m "$model" -p 0 -n 64 -t "$threads" -r 5
fi
