#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Training on Vulkan as a user does it: the curve of the processor for three methods, the same bits
# twice and across a kill, and runs that move between the two.
. "$2/tests/gpu/lib.sh"

# --- the processor's curve ---
for method in "${methods[@]}"; do
    name=${method%%,*}
    for backend in cpu vulkan; do
        train "$name-$backend" --set "adapter={method: $method}" --set train.max_steps=50 \
            --set backend=$backend --set checkpoint.every=0
    done
    near "$name-cpu" "$name-vulkan" 1e-3 50
done

# --- the same bits: again, and after a kill ---
same_run() {
    same "$1/adapter_model.safetensors" "$2/adapter_model.safetensors"
    is "the same steps" cmp <(without_seconds "$1/steps.jsonl") <(without_seconds "$2/steps.jsonl")
}
# killed OUTPUT OPTION...: behind the checkpoint of step 10, before the end
killed() {
    local pid
    for _ in 1 2 3 4 5; do
        rm -rf "$1"
        "$graft" train recipe.yaml --set "output=$1" --set eval.every=0 "${@:2}" >out 2>err &
        pid=$!
        while [ ! -e "$1/checkpoints/step-000010/manifest.json" ] && kill -0 "$pid" 2>/dev/null; do
            sleep 0.01
        done
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        [ -e "$1/adapter_model.safetensors" ] || break
    done
    is "it was killed in the middle" test -e "$1/checkpoints/step-000010/manifest.json" -a \
        ! -e "$1/adapter_model.safetensors"
}
train whole --set backend=vulkan --set adapter.lora_dropout=0.1
train again --set backend=vulkan --set adapter.lora_dropout=0.1
same_run whole again
killed killed --set backend=vulkan --set adapter.lora_dropout=0.1
gives 0 "$graft" train recipe.yaml --set output=killed --set eval.every=0 --set backend=vulkan \
    --set adapter.lora_dropout=0.1 --resume
same_run whole killed

# --- begun on one, ended on the other ---
train on-cpu --set backend=cpu
for from in cpu vulkan; do
    to=$([ $from = cpu ] && echo vulkan || echo cpu)
    killed "from-$from" --set backend=$from
    train "from-$from" --set backend=$to --resume
    near on-cpu "from-$from" 1e-3 30
done
# --- what cannot be ---
refuses() { # STATUS TEXT COMMAND...
    gives "$1" "${@:3}"
    grep -qF -- "$2" err || fail "\"$2\" is not said: $(cat err)"
    is "one line" test "$(grep -c '^graft: ' err)" = 1
    is "nothing is begun" test ! -e refused
}
refuses 2 'backend.device: 7: vulkan has 1 device' "$graft" train recipe.yaml \
    --set output=refused --set 'backend={name: vulkan, device: 7}'
refuses 2 'model.compute: bf16' "$graft" train recipe.yaml --set output=refused \
    --set backend=vulkan --set model.compute=bf16
VK_DRIVER_FILES=/nowhere.json VK_ICD_FILENAMES=/nowhere.json refuses 2 'finds no device' \
    "$graft" train recipe.yaml --set output=refused --set backend=vulkan
grep -q 'found no driver' err || fail "why there is no device is not said: $(cat err)"
VK_DRIVER_FILES=/nowhere.json VK_ICD_FILENAMES=/nowhere.json gives 0 "$graft" backend list
grep -q '^vulkan: no device' out || fail "backend list without a driver: $(cat out)"
finish
