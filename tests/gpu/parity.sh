#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The same curve on both backends, on a random Llama of 256 channels from quantized bases: 50 steps
# of three methods. Products, norms and attention have whole tiles and blocks there, which the toy
# of train.sh has not.
. "$2/tests/gpu/lib.sh"
base=$model
for type in Q4_1 F32; do
    gives 0 "$build/tests/make_llama" "$base" "$type" "$type.gguf"
done

for weights in 'path: Q4_1.gguf' 'path: F32.gguf, quantize: nf4'; do
    for method in "${methods[@]}"; do
        for backend in cpu vulkan; do
            train "$backend" --set "model={$weights, compute: f32}" --set "adapter={method: $method}" \
                --set train.max_steps=50 --set backend=$backend --set checkpoint.every=0
        done
        echo "$weights, ${method%%,*}"
        near cpu vulkan 1e-3 50
        rm -r cpu vulkan
    done
done
finish
