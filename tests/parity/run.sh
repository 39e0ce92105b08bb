#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD MODEL.gguf [BACKEND] [STEPS] - the same recipes on the processor and on another
# backend: three methods on the model as stored, in NF4 and in bf16, computed in f32, and LoRA
# computed in f16 where the device has matrices of it. Prints a table of the largest difference of
# a step's loss; ends with 1 if one is over 1e-3, or 2e-2 for f16 (a product's operands then keep
# 11 bits). Not part of CTest: a driver in software makes some twenty tokens a second of a 135M
# model.
set -eu
export LC_ALL=C
build=$(cd "$1" && pwd)
model=$(realpath "$2")
backend=${3:-vulkan}
steps=${4:-10}
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/graft-parity.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >recipe.yaml <<YAML
model: {path: $model, compute: f32}
data: {train: $source/tests/e2e/data/pairs.jsonl, max_length: 64}
optimizer: {method: adamw, lr: 1.0e-3}
train: {max_steps: $steps, batch_size: 2, schedule: constant, seed: 1}
checkpoint: {every: 0}
YAML

# The base whose weights are not quantized: an adapter of next to nothing merged into it.
"$build/bin/graft" train recipe.yaml --set 'adapter={method: lora, r: 1, target_modules: all-linear}' \
    --set train.max_steps=1 --set optimizer.lr=1.0e-9 --set output=merged >log 2>&1 &&
    "$build/bin/graft" merge merged --dtype bf16 --output bf16 >log 2>&1 || { cat log && exit 1; }

losses() { grep -o '"loss":[^,]*' "$1/steps.jsonl" | cut -d: -f2; }

# row ADAPTER BASE COMPUTE TOLERANCE: both runs, and their line of the table
row() {
    local name where base=$2 weights="path: $model, quantize: $2"
    name=$(sed 's/.*method: \([a-z]*\).*/\1/' <<<"$1")
    if [ "$base" = bf16 ]; then weights="path: $work/bf16/model.gguf"; fi
    for where in cpu "$backend"; do
        local compute=$3
        if [ "$where" = cpu ]; then compute=f32; fi
        "$build/bin/graft" train recipe.yaml --set "adapter=$1" --set backend="$where" \
            --set "model={$weights, compute: $compute}" --set output="$where" --overwrite \
            >log 2>&1 || { cat log && exit 1; }
    done
    paste -d' ' <(losses cpu) <(losses "$backend") |
        awk -v name="$name" -v base="$base" -v compute="$3" -v most="$4" -v steps="$steps" '
            { d = $1 - $2; if (d < 0) d = -d; if (!(d <= worst)) worst = d; last = $1 }
            END { printf "%-12s %-6s %-8s %6d %12.5f %12.2g\n", name, base, compute, NR, last, worst
                  exit !(NR == steps && worst <= most) }' || status=1
}

"$build/bin/graft" backend list | grep "^$backend" | tee device
status=0
printf '%-12s %-6s %-8s %6s %12s %12s\n' method base compute steps 'last loss' 'difference'
lora='{method: lora, r: 8, target_modules: all-linear}'
# Begun from a text: a random prefix throws this model off (a loss of 13), and there one backend's
# own kernels differ from each other by 1e-3.
prefix='{method: prefix, num_virtual_tokens: 8, init_text: "The animals on the farm make their sounds."}'
for base in keep nf4 bf16; do
    for adapter in "$lora" "$prefix" '{method: bottleneck, reduction_factor: 16}'; do
        row "$adapter" $base f32 1e-3
    done
done
if grep -q 'f16 matrices' device; then row "$lora" keep f16 2e-2; fi
exit $status
