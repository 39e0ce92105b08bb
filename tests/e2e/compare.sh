#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# graft compare: two methods, two rates, two seeds on the toy model. What it leaves; that it is the
# same twice, and after kills and signals; one process in a folder; a method that fails is a row.
. "$(dirname "$0")/lib.sh"
shim=$build/tests/e2e/shim.so
recipe=$source/examples/compare/tiny.yaml
running=
before_clean_up() { [ -n "$running" ] && kill -9 "$running" 2>/dev/null; }

compare() { # FOLDER OPTION...
    local folder=$1
    shift
    "$graft" compare "$recipe" --set output="$folder" "$@"
}

# What two runs of one comparison may differ in: the objects "measured", and with them nothing else.
without_measured() {
    sed -e '/"measured": {/,/}/d' -e 's/"device": .*//' "$1/compare.json"
}

same_comparison() { # A B
    is "$1 and $2 are the same comparison" cmp <(without_measured "$1") <(without_measured "$2")
    is "nothing is left over in $2" test -z "$(find "$2" -name '*.tmp-*')"
}

# --- what it leaves ---
gives 0 compare whole
grep -q '^lora-r4 .*0\.03 ' out || fail "no row of lora-r4 in the table: $(cat out)"
grep -q 'whole/compare.html$' out || fail "the page is not named"
for file in compare.json compare.csv compare.html compare.state.json base.rows.jsonl; do
    is "$file is there" test -s whole/$file
done
is "one line per method" test "$(wc -l <whole/compare.csv)" = 3
is "the page is one file" test -z "$(grep -oE '(src|href)=|https?://' whole/compare.html)"
grep -q '"verdict"' whole/compare.json || fail "no verdict"
# four candidates and two second seeds; losers of the sweep stopped at half and never saw test
is "runs" test "$(find whole/runs -name steps.jsonl | wc -l)" = 6
is "finished runs" test "$(find whole/runs -name report.json | wc -l)" = 4
is "losers stop at half" test "$(wc -l <whole/runs/lora-r4/lr-0.001/seed-1/steps.jsonl)" = 8
is "the same rows for both methods" test "$(grep -h -A1 'order sha256' \
    whole/runs/*/lr-*/seed-2/passport.json | grep value | sort -u | wc -l)" = 1
is "other rows with another seed" test "$(grep -h -A1 'order sha256' \
    whole/runs/lora-r4/lr-*/seed-*/passport.json | grep value | sort -u | wc -l)" = 2

# --- before it: rows and plans ---
gives 0 "$graft" data check "$recipe"
gives 0 "$graft" data show "$recipe" --row 1
gives 0 "$graft" plan "$recipe"
# Five blocks have an adapter after the MLP; that they have none after attention is no layer.
is "layers are those that are trained" grep -q 'trained numbers at 5 layers, ' out
is "a plan of each method" test "$(grep -cE '^(lora-r4|bottleneck)$|^total ' out)" = 4
gives 1 "$graft" plan "$recipe" --set compare.methods.0.adapter.r=1000
grep -q ': r: 1000 exceeds' out || fail "the method that does not fit is not told: $(cat out)"
is "the other is planned" grep -q '^total ' out
gives 1 "$graft" plan "$recipe" --set compare.methods.0.adapter.r=1000 --json
is "as JSON too" grep -q '"error": ".*r: 1000 exceeds' out
is "one object of both" grep -q '"bottleneck": {' out

# --- a run of it is an ordinary run ---
winner=whole/runs/lora-r4/lr-0.03/seed-1
gives 0 "$graft" eval $winner --split test --rows 0 --json
number_is "($(number out loss) - $(number $winner/report.json loss after)) ^ 2 < 1e-10"
gives 0 "$graft" train $winner/recipe.yaml --set output=alone
same alone/adapter_model.safetensors $winner/adapter_model.safetensors
is "paused and gone on with, its steps are those of a run alone" \
    cmp <(without_seconds alone/steps.jsonl) <(without_seconds $winner/steps.jsonl)

# --- twice ---
gives 0 compare again
same_comparison whole again
gives 0 compare again --resume
same_comparison whole again
gives 2 compare again
grep -q 'holds a comparison; go on with --resume' err || fail "says: $(cat err)"

# --- killed at changes to the file system ---
shimmed() {
    ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 env LD_PRELOAD="$shim" "$@"
}
shimmed GRAFT_SHIM_COUNT="$work/count" "$graft" compare "$recipe" --set output=counted >out 2>err ||
    fail "$(cat err)"
count=$(cat count)
[ "$count" -gt 200 ] || fail "the shim counted only $count changes"
for ((k = 3; k <= count; k += 1 + count / 9)); do
    rm -rf cut
    shimmed GRAFT_SHIM_KILL=$k "$graft" compare "$recipe" --set output=cut >/dev/null 2>&1
    [ $? = 137 ] || fail "change $k of $count: not killed"
    gives 0 compare cut --resume || echo "  at change $k" >&2
    same_comparison whole cut
done

# --- one process in a folder; a signal ---
"$graft" compare "$recipe" --set output=sig >/dev/null 2>log &
running=$!
while kill -0 $running 2>/dev/null && [ -z "$(find sig -name steps.jsonl -size +0 2>/dev/null)" ]; do
    sleep 0.01
done
gives 2 compare sig --resume
grep -q "^graft: output: .*in use by process $running;" err || fail "not in use? $(cat err)"
kill -INT $running
wait $running
is "SIGINT ends with 130" test $? = 130
running=
grep -q '^graft: stopped in .*; go on with --resume$' log || fail "says: $(tail -n 1 log)"
is "and left no report" test ! -e sig/compare.json
gives 0 compare sig --resume
same_comparison whole sig

# --- another recipe: changed methods are refused, new ones added ---
gives 2 compare sig --resume --set compare.methods.0.adapter.r=2
grep -Fq 'the recipe of lora-r4 changed: it was "r: 4", now it is "r: 2"' err || fail "$(cat err)"
gives 2 compare sig --resume --set train.max_steps=20
gives 2 compare sig --resume --set 'compare.methods.0.lr=[1e-3, 1e-2, 3e-2]'
stamp() { stat -c %Y.%i sig/runs/lora-r4/lr-0.03/seed-1/report.json; }
before=$(stamp)
gives 0 compare sig --resume --set compare.seeds='[1, 2, 3]'
is "the runs that were there stay" test "$(stamp)" = "$before"
is "the third seed is there" test -s sig/runs/bottleneck/lr-0.02/seed-3/report.json

# --- a state that was lost is said, not made up ---
cp -r sig lost && rm lost/compare.state.json
gives 2 compare lost --resume
grep -q 'holds runs, and no compare.state.json' err || fail "$(cat err)"
printf '{"methods": [{"name": "lora-r4", "runs": []}]}' >lost/compare.state.json
gives 1 compare lost --resume
grep -q 'past the rung of step 8' err || fail "$(cat err)"

# --- a method that fails is a row, and the others go on ---
gives 1 compare fails --set compare.methods.0.adapter.target_modules=nonesuch \
    --set 'compare.methods.1.lr=[2e-2]'
grep -q '^lora-r4 .*failed' out || fail "no failed row: $(cat out)"
grep -q '^bottleneck .*0\.02 ' out || fail "the other method is not there: $(cat out)"
grep -q 'lora-r4 failed: .*nonesuch' out || fail "not said why: $(cat out)"
grep -q '1 of 2 methods failed' err || fail "$(cat err)"
is "it is in the CSV" grep -q '^lora-r4,.*nonesuch' fails/compare.csv
# one rate that diverges loses the sweep; both: the method fails
wild=(--set 'compare.methods.0.optimizer={method: adamw, weight_decay: 1000000}' --set compare.seeds='[1]')
gives 0 compare diverges "${wild[@]}" --set 'compare.methods.0.lr=[1e-9, 1e+6]'
grep -q '^lora-r4  *1e-09 ' out || fail "the rate that did not diverge is not chosen: $(cat out)"
grep -q 'warning: lora-r4, lr 1e+06, seed 1: .*not finite' err || fail "nothing is said: $(cat err)"
gives 1 compare diverges --overwrite "${wild[@]}" --set 'compare.methods.0.lr=[5e+5, 1e+6]'
grep -q 'lora-r4 failed: .*not finite' out || fail "$(cat out)"
grep -q '^bottleneck .*0\.0' out || fail "the other method is not there: $(cat out)"

# --- bad input ---
bad() { # TEXT OPTION...
    local text=$1
    shift
    gives 2 compare bad "$@"
    is "one line is said ($text)" test "$(grep -c '^graft: ' err)" = 1
    grep -Fq "$text" err || fail "expected $text: $(cat err)"
    is "nothing was begun" test ! -e bad
}
bad 'data.valid, which is not given' --set data.valid=null --set eval.every=null
bad 'is the name of method 0 too' --set compare.methods.1.name=lora-r4
bad 'is less than one step' --set train.max_steps=null --set train.epochs=0.01
bad '1 steps are too few for a sweep over 2 rates' --set train.max_steps=1
bad 'rows stand in data.train too (the first: ' --set "data.test=$source/examples/compare/animals/train.jsonl"
bad 'r: found 0' --set compare.methods.0.adapter.r=0
bad 'nonesuch' --set compare.methods.0.adapter.target_modules=nonesuch \
    --set compare.methods.1.adapter='{method: lora, target_modules: nonesuch}'
gives 2 "$graft" train "$recipe"
grep -q 'compare: this recipe compares methods' err || fail "$(cat err)"
gives 2 "$graft" compare "$winner/recipe.yaml" --set output=bad
grep -q 'compare: missing' err || fail "$(cat err)"
gives 0 compare leaks --set "data.test=$source/examples/compare/animals/train.jsonl" \
    --set "data.valid=$source/examples/compare/animals/train.jsonl" \
    --set compare.allow_test_in_train=true --set compare.seeds='[1]'
is "rows of valid in train are said once" \
    test "$(grep -c '^graft: warning: data.valid: 80 of 80 rows stand in data.train too (the first: .*): rates chosen' err)" = 1
grep -q '80 test rows stand in train' out || fail "leaked rows are not counted: $(cat out)"

# --- --overwrite removes a comparison and nothing else ---
echo mine >sig/notes.txt
echo mine >sig/runs/lora-r4/notes.txt
gives 0 compare sig --overwrite
same_comparison whole sig
is "files that are not graft's stay" test -s sig/notes.txt -a -s sig/runs/lora-r4/notes.txt
mkdir -p other && echo mine >other/notes.txt
gives 2 compare other --overwrite
is "a folder without a comparison is left alone" test "$(ls -A other)" = notes.txt
finish
