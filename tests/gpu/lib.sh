# SPDX-License-Identifier: Apache-2.0
#
# What the whole runs on Vulkan share: the methods, a run, and two curves held against each other.
# Sourced with `bash SCRIPT BUILD SOURCE`; without a Vulkan device the script is skipped.
. "$2/tests/e2e/lib.sh"
write_recipe
# Two rows a step: a driver in software takes most of a test's time for the tokens.
sed -i 's/^model:.*/model: {path: &, compute: f32}/; s/path: model: /path: /
    s/batch_size: 8/batch_size: 2/' recipe.yaml
export XDG_CACHE_HOME=$build/tests/cache # the device is tested once

gives 0 "$graft" backend list
grep -q '^vulkan 0: ' out || { cat out err && exit 77; }
grep '^vulkan' out

methods=('lora, r: 8, target_modules: all-linear' 'prefix, num_virtual_tokens: 8'
    'bottleneck, reduction_factor: 4')

# train OUTPUT OPTION...
train() { gives 0 "$graft" train recipe.yaml --set "output=$1" --set eval.every=0 "${@:2}"; }

# near A B TOLERANCE COUNT: the losses of both runs, step by step.
near() {
    checks=$((checks + 1))
    paste -d' ' <(grep -o '"loss":[^,]*' "$1/steps.jsonl" | cut -d: -f2) \
        <(grep -o '"loss":[^,]*' "$2/steps.jsonl" | cut -d: -f2) >losses
    awk -v most="$3" -v count="$4" '
        { d = $1 - $2; if (d < 0) d = -d; if (!(d <= most)) exit 1; if (d > worst) worst = d }
        END { if (NR != count) exit 1; printf "%d steps, losses differ by at most %.2g\n", NR, worst }
    ' losses || fail "the losses of $1 and $2 differ: $(cat losses)"
}
