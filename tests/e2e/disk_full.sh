#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A disk that is full: status 1, one line that says so, the checkpoints made before are kept, and
# with room again --resume comes to the same bytes. Tried with writes that the shim refuses at every
# place, with a limit on the size of files, and (where mounting is allowed) with a small disk.
. "$(dirname "$0")/lib.sh"
shim=$build/tests/e2e/shim.so
cat >recipe.yaml <<YAML
model: $model
data: {train: $data/pairs.jsonl, valid: $data/pairs.jsonl, max_length: 64}
adapter: {method: lora, r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: [q_proj, v_proj]}
optimizer: {method: adamw, lr: 2.0e-3}
train: {max_steps: 12, batch_size: 4, schedule: constant, seed: 3}
eval: {every: 4}
checkpoint: {every: 3}
YAML
mounted=
before_clean_up() { [ -z "$mounted" ] || umount "$work/disk"; }

shimmed() { # GRAFT_SHIM_...=VALUE COMMAND...
    ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 env LD_PRELOAD="$shim" "$@"
}

# The newest whole checkpoint of a run, or nothing.
newest() { ls -d "$1"/checkpoints/step-??????/manifest.json 2>/dev/null | tail -n 1; }

# complains REASON FOLDER: the one line of a run that had no room.
complains() {
    is "one line is said: $(cat err)" test "$(grep -c '^graft: [^w]' err)" = 1
    grep -q "^graft: .*cannot write .*: $1" err || fail "no word of the disk: $(cat err)"
    is "no half-written file stays in $2" test -z "$(find "$2" -name '*.tmp-*' 2>/dev/null)"
}

gives 0 shimmed GRAFT_SHIM_COUNT="$work/count" "$graft" train recipe.yaml --set output=whole
count=$(cat count)

# --- every write of a run refused, one after the other; the last one is the report's ---
kept=0 refused=0
for ((k = 5; k <= count; k += 1 + count / 30)); do
    rm -rf full
    shimmed GRAFT_SHIM_FULL=$k "$graft" train recipe.yaml --set output=full >out 2>err
    status=$?
    [ $status = 0 ] && [ $k -gt $((count - 6)) ] && continue # no write after the report's
    [ $status = 1 ] || fail "full at change $k of $count: exit status $status: $(tail -n 1 err)"
    complains 'No space left on device' full
    refused=$((refused + 1))
    if grep -q '^graft: warning: the checkpoint of step' err; then
        kept=$((kept + 1))
        step=$(sed -n 's/.*the checkpoint of step \([0-9]*\) is kept.*/\1/p' err)
        is "it is (change $k)" test -s "$(printf 'full/checkpoints/step-%06d/manifest.json' "$step")"
    fi
    [ -n "$(newest full)" ] && had=1 || had=
    gives 0 "$graft" train recipe.yaml --set output=full --resume
    [ -z "$had" ] || grep -q '^going on after step' err || fail "full at change $k: began anew"
    same whole/adapter_model.safetensors full/adapter_model.safetensors
done
[ $refused -ge 20 ] || fail "only $refused refused writes"
[ $kept -ge 5 ] || fail "only $kept checkpoints refused"

# --- a limit on the size of files: only the tensors of a checkpoint are beyond it ---
size=$(stat -c %s whole/checkpoints/step-000012/tensors.safetensors)
(ulimit -f $((size / 2048)) && exec "$graft" train recipe.yaml --set output=limited) >out 2>err
is "a limited file ends with 1" test $? = 1
complains 'File too large' limited
gives 0 "$graft" train recipe.yaml --set output=limited --resume
same whole/adapter_model.safetensors limited/adapter_model.safetensors

# --- a disk with room for one checkpoint and no second ---
mkdir disk
if mount -t tmpfs -o size=$((size * 3 / 2 + 24576)) none disk 2>/dev/null; then
    mounted=1
    gives 1 "$graft" train recipe.yaml --set output=disk/run
    complains 'No space left on device' disk
    grep -q '^graft: checkpoint of step 6: ' err || fail "which checkpoint? $(cat err)"
    grep -q 'the checkpoint of step 3 is kept; make room and go on with --resume' err ||
        fail "not said to be kept: $(cat err)"
    is "it is" test -s disk/run/checkpoints/step-000003/manifest.json
    mount -o remount,size=$((size * 20)) disk
    gives 0 "$graft" train recipe.yaml --set output=disk/run --resume
    grep -q '^going on after step 3' err || fail "began anew: $(cat err)"
    same whole/adapter_model.safetensors disk/run/adapter_model.safetensors
else
    echo "mounting is not allowed here: the small disk was left out"
fi

# --- results on a full disk ---
if [ -w /dev/full ]; then
    checks=$((checks + 1))
    "$graft" explain recipe.yaml >/dev/full 2>err
    is "a result that cannot be written ends with 1" test $? = 1
    grep -q '^graft: cannot write the result: No space left' err || fail "silent: $(cat err)"
fi
finish
