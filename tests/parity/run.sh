#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD MODEL.gguf [BACKEND] [STEPS] - the same recipes on the processor and on another
# backend, in f32: three methods on the model as stored and in NF4. Prints a table of the largest
# difference of a step's loss; ends with 1 if one is over 1e-3. Not part of CTest: a driver in
# software makes some twenty tokens a second of a 135M model.
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

losses() { grep -o '"loss":[^,]*' "$1/steps.jsonl" | cut -d: -f2; }

"$build/bin/graft" backend list | grep "^$backend"
status=0
printf '%-12s %-6s %6s %12s %12s\n' method base steps 'last loss' 'difference'
for base in keep nf4; do
    for adapter in '{method: lora, r: 8, target_modules: all-linear}' '{method: prefix, num_virtual_tokens: 8}' \
        '{method: bottleneck, reduction_factor: 16}'; do
        name=$(sed 's/.*method: \([a-z]*\).*/\1/' <<<"$adapter")
        for where in cpu "$backend"; do
            "$build/bin/graft" train recipe.yaml --set "adapter=$adapter" --set model.quantize=$base \
                --set backend="$where" --set output="$name-$base-$where" >log 2>&1 || { cat log && exit 1; }
        done
        paste -d' ' <(losses "$name-$base-cpu") <(losses "$name-$base-$backend") |
            awk -v name="$name" -v base="$base" '
                { d = $1 - $2; if (d < 0) d = -d; if (!(d <= worst)) worst = d; last = $1 }
                END { printf "%-12s %-6s %6d %12.5f %12.2g\n", name, base, NR, last, worst
                      exit !(NR > 0 && worst <= 1e-3) }' || status=1
    done
done
exit $status
