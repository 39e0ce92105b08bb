#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A run that is killed at any moment and resumed ends with the same bytes as one that was not; what
# --resume accepts, refuses and passes over. Kills come at counted changes to the file system (the
# shim) and at random times.
. "$(dirname "$0")/lib.sh"
shim=$build/tests/e2e/shim.so
running=
before_clean_up() { [ -n "$running" ] && kill -9 "$running" 2>/dev/null; }

# Short rows: a step takes a few milliseconds.
sed 's/"The /"A /' "$data/pairs.jsonl" >valid.jsonl
cat >recipe.yaml <<YAML
model: $model
data: {train: $data/pairs.jsonl, valid: valid.jsonl, max_length: 64}
adapter: {method: lora, r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: [q_proj, v_proj]}
optimizer: {method: adamw, lr: 2.0e-3}
train: {max_steps: 12, batch_size: 4, schedule: constant, seed: 3}
eval: {every: 4}
checkpoint: {every: 3}
backend: cpu # a driver's own caches would count among the changes
YAML

shimmed() { # GRAFT_SHIM_...=VALUE COMMAND...
    ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 env LD_PRELOAD="$shim" "$@"
}

# same_run A B: the same adapter, steps and evaluations, and nothing left lying about but the file
# of the lock, which locks nothing without its process.
same_run() {
    same "$1/adapter_model.safetensors" "$2/adapter_model.safetensors"
    is "steps of $1 and $2" cmp <(without_seconds "$1/steps.jsonl") <(without_seconds "$2/steps.jsonl")
    is "evals of $1 and $2" cmp <(grep -o '"before".*"memory":' "$1/report.json") \
        <(grep -o '"before".*"memory":' "$2/report.json")
    is "nothing is left over in $2" test -z "$(find "$2" -name '*.tmp-*')"
}

# --- killed at every kind of change to the file system ---
gives 0 shimmed GRAFT_SHIM_COUNT="$work/count" "$graft" train recipe.yaml --set output=whole
count=$(cat count)
[ "$count" -gt 100 ] || fail "the shim counted only $count changes"
kills=0
for ((k = 1; k <= count; k += 1 + count / 28)); do
    rm -rf cut
    shimmed GRAFT_SHIM_KILL=$k "$graft" train recipe.yaml --set output=cut >/dev/null 2>&1
    [ $? = 137 ] || fail "change $k of $count: not killed"
    # every third run is killed a second time, in what it does after resuming
    if [ $((k % 3)) = 0 ]; then
        shimmed GRAFT_SHIM_KILL=$((k % 50 + 4)) "$graft" train recipe.yaml --set output=cut \
            --resume >/dev/null 2>&1
    fi
    gives 0 "$graft" train recipe.yaml --set output=cut --resume || echo "  at change $k" >&2
    same_run whole cut
    kills=$((kills + 1))
done

# --- killed at random times, again and again, until it is through ---
RANDOM=${GRAFT_TEST_SEED:-20251}
long=(--set train.max_steps=240 --set checkpoint.every=5 --set eval.every=7 --set checkpoint.keep=1)
gives 0 "$graft" train recipe.yaml "${long[@]}" --set output=long
done=0 kills=0
for ((i = 0; i < 60 && !done; i++)); do
    "$graft" train recipe.yaml "${long[@]}" --set output=killed --resume >/dev/null 2>&1 &
    running=$!
    # at least one new checkpoint each time, so that it ends on a slow machine too
    newest=$(ls killed/checkpoints 2>/dev/null | grep -v tmp | tail -n 1)
    while kill -0 $running 2>/dev/null &&
        [ "$(ls killed/checkpoints 2>/dev/null | grep -v tmp | tail -n 1)" = "$newest" ]; do
        sleep 0.01
    done
    sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
    kill -9 $running 2>/dev/null
    wait $running 2>/dev/null
    case $? in 0) done=1 ;; 137) kills=$((kills + 1)) ;; *) fail "resumed run failed" ;; esac
    running=
done
[ "$kills" -ge 8 ] || fail "only $kills kills in the long run"
gives 0 "$graft" train recipe.yaml "${long[@]}" --set output=killed --resume
same_run long killed

# --- a method with states, rankings and a term of its own in the loss ---
sed 's/^adapter: .*/adapter: {method: adalora, init_r: 6, target_r: 2, tinit: 2, deltaT: 2, tfinal: 3,\
    total_step: 12, target_modules: [q_proj, v_proj], modules_to_save: [model.norm]}/' \
    recipe.yaml >ranks.yaml
gives 0 "$graft" train ranks.yaml --set output=ranks
grep -q '"rank_pattern": {' ranks/adapter_config.json || fail "nothing was pruned"
for ((k = count / 4; k < count; k += count / 4)); do
    rm -rf cut
    shimmed GRAFT_SHIM_KILL=$k "$graft" train ranks.yaml --set output=cut >/dev/null 2>&1
    gives 0 "$graft" train ranks.yaml --set output=cut --resume
    same_run ranks cut
done

# --- signals ---
for signal in INT TERM HUP; do
    case $signal in INT) status=130 ;; *) status=143 ;; esac
    "$graft" train recipe.yaml "${long[@]}" --set output=sig-$signal >/dev/null 2>log &
    running=$!
    while kill -0 $running 2>/dev/null && [ ! -s sig-$signal/steps.jsonl ]; do sleep 0.01; done
    if [ $signal = INT ]; then
        gives 2 "$graft" train recipe.yaml "${long[@]}" --set output=sig-INT --resume
        grep -q "^graft: --set [0-9]*: output: .*in use by process $running;" err || fail "not in use? $(cat err)"
    fi
    kill -$signal $running
    wait $running
    is "SIG$signal ends with $status" test $? = $status
    running=
    step=$(sed -n 's/^graft: stopped after step \([0-9]*\); go on with --resume$/\1/p' log)
    is "SIG$signal says where it stopped: $(tail -n 1 log)" test -n "$step"
    is "and left a checkpoint" test -s "$(printf 'sig-%s/checkpoints/step-%06d/manifest.json' $signal "$step")"
    is "and no report" test ! -e sig-$signal/report.json
    gives 0 "$graft" train recipe.yaml "${long[@]}" --set output=sig-$signal --resume
    same_run long sig-$signal
done

# --- a finished run is left alone ---
state() { (cd "$1" && find . -type f ! -name lock ! -path '*.tmp-*' -exec stat -c '%n %Y %i' {} + \
    -exec sha256sum {} + | sort); }
state long >then
gives 0 "$graft" train recipe.yaml "${long[@]}" --set output=long --resume
grep -q 'finished' err || fail "--resume of a finished run says: $(cat err)"
is "--resume changes nothing in a finished run" cmp then <(state long)
gives 2 "$graft" train recipe.yaml "${long[@]}" --set output=long
is "nor does a run without it" cmp then <(state long)

# --- another recipe ---
stop_after() { # FOLDER CHANGES: a run that was killed there
    rm -rf "$1"
    shimmed GRAFT_SHIM_KILL="$2" "$graft" train recipe.yaml --set output="$1" >/dev/null 2>&1
}
late=$((count * 7 / 10))
stop_after base $late
is "a run with checkpoints" test "$(ls base/checkpoints | grep -vc tmp)" = 2
state base >then
refuse() { # WAS NOW SETTING...
    local was=$1 now=$2
    shift 2
    gives 2 "$graft" train recipe.yaml --set output=base --resume "$@"
    is "one line is said" test "$(grep -c '^graft: ' err)" = 1
    grep -Fq "it was \"$was\", now it is \"$now\"" err || fail "expected $was, $now: $(cat err)"
    is "a refused resume changes nothing ($*)" cmp then <(state base)
}
refuse 'lr: 0.002' 'lr: 0.001' --set optimizer.lr=1e-3
refuse 'r: 4' 'r: 2' --set adapter.r=2 --set optimizer.lr=1e-3
refuse 'seed: 3' 'seed: 4' --set train.seed=4
refuse 'batch_size: 4' 'batch_size: 2' --set train.batch_size=2
gives 2 "$graft" train ranks.yaml --set output=short --set train.max_steps=8
grep -q 'adapter: total_step: 12, less tfinal 3, puts the last ranking past the end' err ||
    fail "a run too short says: $(cat err)"
# --- other rows in the same file ---
cp "$data/pairs.jsonl" rows.jsonl
sed "s|train: $data/pairs.jsonl|train: rows.jsonl|" recipe.yaml >rows.yaml
GRAFT_SHIM_KILL=$late shimmed "$graft" train rows.yaml --set output=rows >/dev/null 2>&1
state rows >rows_then
sed -i '1s/meow/moo/' rows.jsonl
gives 2 "$graft" train rows.yaml --set output=rows --resume
grep -q 'data.train: the rows are not those that .* was trained on' err || fail "changed rows: $(cat err)"
is "a refused resume changes nothing (rows)" cmp rows_then <(state rows)
sed -i '1s/moo/meow/' rows.jsonl
sed -i '1s/meow/moo/' valid.jsonl
gives 2 "$graft" train rows.yaml --set output=rows --resume
grep -q 'data.valid: the rows are not those that .* was measured with' err || fail "other valid rows: $(cat err)"
is "a refused resume changes nothing (valid)" cmp rows_then <(state rows)
sed -i '1s/moo/meow/' valid.jsonl
sed -i 's/{"prompt"/{ "prompt"/' rows.jsonl # the same rows, written otherwise
gives 0 "$graft" train rows.yaml --set output=rows --resume
same whole/adapter_model.safetensors rows/adapter_model.safetensors
for allowed in backend.threads=1 eval.every=2 eval.max_new_tokens=5 checkpoint.every=1 \
    checkpoint.keep=5; do
    rm -rf copy && cp -r base copy
    gives 0 "$graft" train recipe.yaml --set output=copy --resume --set $allowed
    same whole/adapter_model.safetensors copy/adapter_model.safetensors
done
rm -rf copy && cp -r base copy
gives 0 "$graft" train recipe.yaml --set output=copy --resume --set train.max_steps=15
is "more steps are made" test "$(wc -l <copy/steps.jsonl)" = 15
is "on the same way" cmp <(without_seconds whole/steps.jsonl) <(without_seconds copy/steps.jsonl | head -n 12)

# --- damaged checkpoints are passed over, with a warning ---
flip() { printf '\x5a' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
damaged() { # WARNINGS: how many checkpoints of copy are passed over
    gives 0 "$graft" train recipe.yaml --set output=copy --resume "${@:2}"
    is "$1 warnings" test "$(grep -c '^graft: warning: .*step-.* is not whole; passed over' err)" = "$1"
    same_run whole copy
}
newest=$(ls base/checkpoints | grep -v tmp | tail -n 1)
copy() { rm -rf copy && cp -r base copy; }
copy && flip copy/checkpoints/$newest/tensors.safetensors 2000 && damaged 1
copy && flip copy/checkpoints/$newest/state.json 10 && damaged 1
copy && truncate -s 1000 copy/checkpoints/$newest/tensors.safetensors && damaged 1
copy && : >copy/checkpoints/$newest/manifest.json && damaged 1
copy && rm copy/checkpoints/$newest/manifest.json && damaged 1
copy && rm copy/checkpoints/$newest/tensors.safetensors && damaged 1
copy && rm copy/checkpoints/*/manifest.json && damaged 2
copy && rm -r copy/checkpoints && damaged 0
copy && printf '{"step":13' >>copy/steps.jsonl && damaged 0
# A damaged newer one must not count among those that are kept: here it is the only newer one.
copy && flip copy/checkpoints/$newest/tensors.safetensors 2000
shimmed GRAFT_SHIM_KILL=999999 GRAFT_SHIM_COUNT="$work/count2" "$graft" train recipe.yaml \
    --set output=copy --resume --set checkpoint.keep=1 --set checkpoint.every=1 >out 2>err
total=$(cat count2)
for ((k = 20; k < total; k += 17)); do
    copy && flip copy/checkpoints/$newest/tensors.safetensors 2000
    shimmed GRAFT_SHIM_KILL=$k "$graft" train recipe.yaml --set output=copy --resume \
        --set checkpoint.keep=1 --set checkpoint.every=1 >/dev/null 2>&1
    gives 0 "$graft" train recipe.yaml --set output=copy --resume
    grep -q '^going on after step' err || fail "killed at change $k: began anew: $(cat err)"
done

# --- lost lines of steps.jsonl are said, not made up ---
copy && rm copy/steps.jsonl
gives 2 "$graft" train recipe.yaml --set output=copy --resume
grep -q 'steps.jsonl.*--overwrite' err || fail "lost steps: $(cat err)"

# --- --overwrite removes a run in any state, and nothing else ---
for k in 20 $((count / 2)) $((count / 2 + 7)) $((count / 2 + 13)) $late; do
    stop_after copy $k
    echo mine >copy/notes.txt
    gives 0 "$graft" train recipe.yaml --set output=copy --overwrite || echo "  at change $k" >&2
    is "a file that is not graft's stays" grep -q mine copy/notes.txt
    rm -f copy/notes.txt
    same_run whole copy
done
mkdir -p other && echo mine >other/notes.txt
gives 2 "$graft" train recipe.yaml --set output=other --overwrite
is "a folder without a run is left alone" test "$(ls -A other)" = notes.txt

# --- early stopping: the best so far and the patience survive ---
stopping=(--set train.max_steps=200 --set optimizer.lr=3e-2 --set eval.every=2 --set checkpoint.every=3
    --set 'train.early_stopping={patience: 4, min_delta: 0.05}')
gives 0 shimmed GRAFT_SHIM_COUNT="$work/count3" "$graft" train recipe.yaml "${stopping[@]}" \
    --set output=stopped
total=$(cat count3)
is "it stopped early" test "$(wc -l <stopped/steps.jsonl)" -lt 200
for ((k = 40; k < total; k += 1 + total / 8)); do
    rm -rf copy
    shimmed GRAFT_SHIM_KILL=$k "$graft" train recipe.yaml "${stopping[@]}" --set output=copy \
        >/dev/null 2>&1
    gives 0 "$graft" train recipe.yaml "${stopping[@]}" --set output=copy --resume
    same_run stopped copy
done
finish
