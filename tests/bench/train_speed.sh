#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Speed and memory of training SmolLM2-135M with LoRA r 8 on q and v, the quick start's rows, batches
# of 8, f32, on two cores: graft, and where GRAFT_PYTHON names a Python with torch, transformers and
# peft also those, on the same rows in the same batches: as installed, with tcmalloc where it is found
# (TCMALLOC names it otherwise), and over a base in bf16 where the processor multiplies that (elsewhere
# a step takes minutes). All take turns; the medians are printed.
#
#   tests/bench/train_speed.sh [STEPS [RUNS]]      (30 steps, 3 runs)
#
# BUILD names the build folder (build), CORES the processors (0,1). Run it on an idle machine.
set -euo pipefail

cd "$(dirname "$0")/../.."
steps=${1:-30} runs=${2:-3} build=${BUILD:-build} cores=${CORES:-0,1}
rows=examples/data/bitext-short/train.jsonl
model=$(examples/quickstart/fetch_model.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
threads=$(tr ',' '\n' <<<"$cores" | wc -l)

cat >"$work/recipe.yaml" <<END
model: {path: "$model", compute: f32}
data: {train: "$PWD/$rows", valid: "$PWD/examples/data/bitext-short/valid.jsonl", shuffle: false, max_length: 512}
adapter: {method: lora, r: 8, lora_alpha: 16, target_modules: [q_proj, v_proj]}
optimizer: {method: adamw, lr: 1.0e-3}
train: {max_steps: $steps, batch_size: 8, schedule: constant}
eval: {every: 0, rows: 1, metrics: [loss]}
checkpoint: {every: 0}
backend: {name: cpu, threads: $threads}
output: run
END

# Peak resident memory in KiB, by the kernel's account of the child.
measure='import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)'
limited() { taskset -c "$cores" python3 -c "$measure" "$work/rss" "$@"; }

# The first steps are left out: caches are cold, and the peer compiles and allocates.
speed_of() {
    LC_ALL=C awk -v skip=3 '{
        match($0, /"tokens_seen":[0-9]+/); seen = substr($0, RSTART + 14, RLENGTH - 14)
        match($0, /"seconds":[0-9.e+-]+/); seconds = substr($0, RSTART + 10, RLENGTH - 10)
        if (NR > skip) { tokens += seen - last; time += seconds }
        last = seen
    } END { printf "%.1f\n", tokens / time }' "$1"
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

ours() {
    rm -rf "$work/run"
    limited "$build/bin/graft" train "$work/recipe.yaml" >/dev/null 2>"$work/log" || { cat "$work/log" >&2 && exit 1; }
    speed_of "$work/run/steps.jsonl" | tee -a "$work/graft.speed" >"$work/last"
    cat "$work/rss" >>"$work/graft.memory" && echo >>"$work/graft.memory"
    echo "graft               $(cat "$work/last") tokens/s, $(($(cat "$work/rss") / 1024)) MiB"
}
# theirs KEY LABEL PRELOAD DTYPE
theirs() {
    OMP_NUM_THREADS=$threads LD_PRELOAD=$3 limited "$GRAFT_PYTHON" tests/bench/train_speed_peer.py "$model" "$rows" \
        "$steps" "$work/$1.jsonl" "$4" >/dev/null 2>"$work/log" || { cat "$work/log" >&2 && exit 1; }
    speed_of "$work/$1.jsonl" | tee -a "$work/$1.speed" >"$work/last"
    cat "$work/rss" >>"$work/$1.memory" && echo >>"$work/$1.memory"
    echo "$2 $(cat "$work/last") tokens/s, $(($(cat "$work/rss") / 1024)) MiB"
}
# summary KEY LABEL
summary() {
    awk -v l="$2" -v s="$(median "$work/$1.speed")" -v m="$(median "$work/$1.memory")" -v gs="$speed" -v gm="$memory" 'BEGIN {
        printf "%s %6.0f tokens/s  %5.2f GiB resident; graft is %.2f times as fast with %.2f of the memory\n",
            l, s, m / 1048576, gs / s, gm / m
    }'
}

tcmalloc=${TCMALLOC:-$(ldconfig -p | awk '/libtcmalloc\.so/ && !found++ { print $NF }')}
bf16=$(grep -m1 -ow -e avx512_bf16 -e amx_bf16 /proc/cpuinfo || true)
installed='transformers + PEFT' tuned='  with tcmalloc    ' half='  base in bf16     '
echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), processors $cores, $(date +%F), graft $("$build/bin/graft" --version | head -1)"
for _ in $(seq "$runs"); do
    ours
    if [ -n "${GRAFT_PYTHON:-}" ]; then
        theirs peer "$installed" '' float32
        if [ -n "$tcmalloc" ]; then theirs tuned "$tuned" "$tcmalloc" float32; fi
        if [ -n "$bf16" ]; then theirs half "$half" "$tcmalloc" bfloat16; fi
    fi
done

speed=$(median "$work/graft.speed") memory=$(median "$work/graft.memory")
echo "medians of $runs runs of $steps steps:"
awk -v s="$speed" -v m="$memory" 'BEGIN { printf "graft               %6.0f tokens/s  %5.2f GiB resident\n", s, m / 1048576 }'
if [ -n "${GRAFT_PYTHON:-}" ]; then
    summary peer "$installed"
    if [ -n "$tcmalloc" ]; then summary tuned "$tuned"; fi
    if [ -n "$bf16" ]; then summary half "$half"; fi
    awk 'BEGIN { FS = "\"loss\":" } FNR <= 3 { split($2, a, ","); print (FILENAME ~ /peer/ ? "peer " : "graft"), "loss of step", FNR, a[1] }' \
        "$work/run/steps.jsonl" "$work/peer.jsonl"
fi
