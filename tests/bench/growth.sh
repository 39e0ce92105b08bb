#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# How the cost of a training step of SmolLM2-135M (Q4_1) grows: with threads, with the length of a
# document, with the rank, with the layers that are trained. 2,048 tokens a step, or one document, so
# what changes is attention and the adapter. GFLOP/s that do not fall say that cost grows no faster
# than the useful FLOPs. Last, what LoRA costs over the frozen step: r 8 in every layer against r 8 in
# the first alone, where the gradient still goes back through all of them.
#
#   tests/bench/growth.sh [PASSES [PART]]      (3 passes, of which the fastest counts; all parts)
#
# PART is length, rank or cost. BUILD names the build folder (build). Run it on an idle machine.
set -euo pipefail

cd "$(dirname "$0")/../.."
passes=${1:-3} part=${2:-all} build=${BUILD:-build}
model=$(examples/quickstart/fetch_model.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/recipe.yaml" <<END
model: {path: "$model", compute: f32}
data: {train: rows.jsonl, train_on: all, shuffle: false, max_length: 4096}
adapter: {method: lora, r: 8, lora_alpha: 16, target_modules: [q_proj, v_proj]}
optimizer: {method: adamw, lr: 1.0e-3}
train: {max_steps: 1, batch_size: 8, micro_batch_tokens: 4096}
output: run
END

# rows COUNT LENGTH: one token a word
rows() {
    python3 -c 'import sys
count, length = map(int, sys.argv[1:])
for _ in range(count): print("{\"text\": \"" + "the" + " the" * (length - 2) + "\"}")' "$1" "$2" >"$work/rows.jsonl"
}
# line LABEL --set...
line() {
    local label=$1
    shift
    "$build/bin/graft" bench "$work/recipe.yaml" --json --passes "$passes" "$@" >"$work/out" 2>"$work/log" ||
        { cat "$work/log" >&2 && exit 1; }
    python3 -c 'import json, sys
step = json.load(open(sys.argv[2]))["programs"][0]
flops = sum(op["flops"] for op in step["ops"])
print("%-34s %6d %10.0f %14.3f %10.1f" % (sys.argv[1], step["tokens"], step["tokens"] / step["seconds"],
    1e-9 * flops / step["tokens"], 1e-9 * flops / step["seconds"]))' "$label" "$work/out"
}

seconds() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["programs"][0]["seconds"])' "$work/out"; }

length() {
    for length in 128 512 2048 4096; do
        local count=$((length < 2048 ? 2048 / length : 1))
        rows "$count" "$length"
        for threads in 1 2; do
            line "$length a document, $threads thread(s)" --set train.batch_size=$count --set backend.threads=$threads
        done
    done
}
# Keys and values have 192 columns, so that is the largest r.
rank() {
    rows 4 512
    for target in '[q_proj, v_proj]' all-linear; do
        for r in 4 8 64 192; do
            line "r $r, $target" --set train.batch_size=4 --set adapter.r=$r --set "adapter.target_modules=$target"
        done
    done
}
# In turns, so that a slow minute is nobody's.
cost() {
    rows 4 512
    for _ in 1 2 3; do
        line 'r 8, every layer' --set train.batch_size=4
        seconds >>"$work/every"
        line 'r 8, first layer' --set train.batch_size=4 --set 'adapter.layers_to_transform=[0]'
        seconds >>"$work/first"
    done
    awk -v every="$(sort -g "$work/every" | head -1)" -v first="$(sort -g "$work/first" | head -1)" \
        'BEGIN { printf "LoRA over the frozen step: %.1f %%\n", 100 * (every / first - 1) }'
}

sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1
printf '%-34s %6s %10s %14s %10s\n' '' tokens tokens/s 'GFLOP a token' GFLOP/s
case $part in
all) length && rank && cost ;;
length | rank | cost) $part ;;
*) echo "growth.sh: no part $part" >&2 && exit 2 ;;
esac
