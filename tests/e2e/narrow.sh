#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Training with products in bf16, on a CPU backend whose instructions for them are emulated
# (tests/narrow): the curve stays beside that of f32, the bits do not depend on threads, and the
# recipe records what was chosen.
. "$(dirname "$0")/lib.sh"
write_recipe
narrow=$build/tests/narrow/avx512
settings=(--set train.max_steps=25 --set eval.every=0)

gives 0 "$graft" train recipe.yaml "${settings[@]}" --set backend=cpu --set model.compute=f32 --set output=f32
gives 0 env GRAFT_PLUGIN_PATH="$narrow" "$graft" train recipe.yaml "${settings[@]}" --set output=bf16
is "auto became bf16" grep -q 'compute: bf16' bf16/recipe.yaml
is "f32 stayed" grep -q 'compute: f32' f32/recipe.yaml
is "they are not the same products" test "$(cmp bf16/adapter_model.safetensors f32/adapter_model.safetensors)"

# The first 5 steps within 0.5 %, the mean of the next 20 within 2 % and 0.01.
losses() { sed 's/.*"loss":\([^,]*\),.*/\1/' "$1/steps.jsonl"; }
paste <(losses f32) <(losses bf16) >both
checks=$((checks + 2))
awk 'NR <= 5 && ($1 - $2 > 0.005 * $1 || $2 - $1 > 0.005 * $1) { bad = 1 } END { exit bad || NR != 25 }' both ||
    fail "the first steps differ: $(head -n 5 both | tr '\t\n' ' ;')"
awk 'NR > 5 { a += $1; b += $2 } END { d = (a - b) / 20; if (d < 0) d = -d; exit d > 0.02 * a / 20 + 0.01 }' both ||
    fail "the curves part: $(tail -n 3 both | tr '\t\n' ' ;')"

gives 0 env GRAFT_PLUGIN_PATH="$narrow" "$graft" train recipe.yaml "${settings[@]}" --set backend.name=cpu \
    --set backend.threads=1 --set output=alone
same alone/adapter_model.safetensors bf16/adapter_model.safetensors

# A run that was killed here goes on elsewhere when it is told the type that is there.
shim() { ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 env LD_PRELOAD="$build/tests/e2e/shim.so" "$@"; }
settings=(--set train.max_steps=12 --set eval.every=0 --set checkpoint.every=3 --set output=moved)
gives 0 shim GRAFT_SHIM_COUNT="$work/count" GRAFT_PLUGIN_PATH="$narrow" "$graft" train recipe.yaml "${settings[@]}"
rm -rf moved
shim GRAFT_SHIM_KILL=$(($(cat count) * 7 / 10)) GRAFT_PLUGIN_PATH="$narrow" "$graft" train recipe.yaml \
    "${settings[@]}" >/dev/null 2>&1
is "killed after a checkpoint" test -n "$(ls moved/checkpoints | grep -v tmp)"
gives 0 "$graft" train recipe.yaml "${settings[@]}" --set backend=cpu --set model.compute=f32 --resume
is "it went on" test "$(wc -l <moved/steps.jsonl)" = 12
is "and says in what" grep -q 'compute: f32' moved/recipe.yaml
gives 2 "$graft" train recipe.yaml --set backend=cpu --set model.compute=f16 --set output=other
is "f16 is refused with what there is" grep -q 'model.compute: f16: cpu .*multiplies in f32' err
finish
