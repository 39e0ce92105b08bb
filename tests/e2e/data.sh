#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# graft data show, check and clean as a user meets them: every format, exit status, what is written
# and what never is.
. "$(dirname "$0")/lib.sh"
dirty=$source/tests/golden/data/dirty

says() { # REGEX: the last command's one complaint
    checks=$((checks + 1))
    [ "$(grep -c '^graft: ' err)" = 1 ] || fail "not one line: $(cat err)"
    grep -Eq "^graft: $1" err || fail "expected '$1': $(cat err)"
}
holds() { # FILE TEXT
    checks=$((checks + 1))
    grep -qF -- "$2" "$1" || fail "$1 lacks '$2': $(head -n 30 "$1")"
}

# --- clean: what it says and writes ---
gives 0 "$graft" data clean "$dirty/raw_mixed.jsonl" --output rows.jsonl --dropped list.jsonl --near-duplicates
holds out 'kept'
holds out 'gbk_to_utf8'
holds out 'written: rows.jsonl; every record dropped or repaired: list.jsonl'
number_is "$(wc -l <rows.jsonl) == $(awk '/^kept/ { print $2 }' out)"
number_is "$(wc -l <list.jsonl) == $(awk '/^repaired|^dropped/ { n += $2 } END { print n }' out)"
gives 0 "$graft" data clean "$dirty/raw_gbk.csv" --output gbk.jsonl --json
number_is "$(number out kept) == $(wc -l <gbk.jsonl)"
holds out '"encoding": "GBK"'
gives 0 "$graft" data clean "$dirty/raw_mixed.jsonl" --output deep/er/rows.jsonl --near-duplicates
same rows.jsonl deep/er/rows.jsonl
gives 0 "$graft" data check gbk.jsonl
holds out 'nothing found'
gives 0 "$graft" data clean "$dirty/raw_mixed.jsonl" --output kept.jsonl --keep html --keep too_long --longest 9
holds kept.jsonl '<'

# --- clean: what it refuses, and that nothing is lost by it ---
cp "$dirty/raw_gbk.csv" in.csv
cp in.csv before.csv
ln -s in.csv link.csv
refuses() { # REGEX ARGUMENT...
    local regex=$1 before
    shift
    before=$(content)
    gives 2 "$graft" data clean "$@"
    says "$regex"
    checks=$((checks + 1))
    [ "$(content)" = "$before" ] || fail "something was written: $*"
}
content() { find . -type f ! -name out ! -name err -printf '%p %s %T@\n' | sort; }
refuses '.*name the file of cleaned rows with --output FILE' in.csv
refuses 'nowhere.csv: there is no such file' nowhere.csv --output x.jsonl
refuses '--output: in.csv is the file that is read' in.csv --output in.csv --overwrite
refuses '--output: link.csv is the file that is read' in.csv --output link.csv --overwrite
refuses '--output: rows.jsonl is there already; --overwrite replaces it' in.csv --output rows.jsonl
refuses '--dropped: list.jsonl is there already' in.csv --output x.jsonl --dropped list.jsonl
refuses '--dropped and --output name one file' in.csv --output x.jsonl --dropped x.jsonl
refuses '--output: deep is a folder; name a file' in.csv --output deep
refuses '.*in.csv' in.csv --output in.csv/x.jsonl
refuses '--keep: found "htlm", expected one of .*html' in.csv --output x.jsonl --keep htlm
refuses '--keep: found "bad_record"' in.csv --output x.jsonl --keep bad_record
refuses '--longest: found "-1"' in.csv --output x.jsonl --longest -1
printf '{"txt": 1}\n' >txt.jsonl
refuses 'txt.jsonl:1: no record is left of 1; 1 are dropped as bad_record .*keys \(txt\)' txt.jsonl --output x.jsonl
printf '[{"text": "a"}, {"text": ' >open.json
refuses 'open.json:1: not valid JSON' open.json --output x.jsonl
same in.csv before.csv
gives 0 "$graft" data clean in.csv --output rows.jsonl --overwrite --near-duplicates
gives 0 "$graft" data clean in.csv --output other.jsonl --near-duplicates
same rows.jsonl other.jsonl

# --- clean: killed in the middle, it leaves the old file as it was ---
echo old >target.jsonl
for i in 1 2 3 4 5 6 7 8; do cat "$dirty/raw_mixed.jsonl"; done >many.jsonl
for i in $(seq 1 200); do cat many.jsonl; done >long.jsonl
for signal in INT TERM KILL; do
    "$graft" data clean long.jsonl --output target.jsonl --dropped target.list --overwrite --keep duplicate \
        --keep duplicate_after_repair >out 2>err &
    pid=$!
    sleep 0.1
    kill -$signal $pid 2>/dev/null
    wait $pid 2>/dev/null
    status=$?
    [ $status = 0 ] && { echo "done before SIG$signal" && echo old >target.jsonl && rm target.list && continue; }
    checks=$((checks + 1))
    [ "$(cat target.jsonl)" = old ] || fail "SIG$signal: half a file"
    [ -e target.list ] && fail "SIG$signal: half a list"
    [ $signal = KILL ] && rm -f target.*.tmp-*
    ls target.*tmp* >/dev/null 2>&1 && fail "SIG$signal: left $(ls target.*tmp*)"
done

# --- check ---
printf '{"instruction":"Where is it?","output":"Here it is."}\n' >train.jsonl
printf '{"instruction":"And when?","output":"Now."}\n' >valid.jsonl
gives 0 "$graft" data check train.jsonl
holds out 'nothing found'
cp valid.jsonl own.jsonl
cat train.jsonl >>valid.jsonl
cat >check.yaml <<YAML
model: $model
data: {train: train.jsonl, valid: valid.jsonl, max_length: 128, template: vicuna}
adapter: {method: lora}
optimizer: {method: adamw, lr: 1e-3}
train: {max_steps: 1}
output: nowhere
YAML
gives 1 "$graft" data check check.yaml
holds out 'warning  leak: 1 rows stand in train too'
holds out 'valid.jsonl:2 (as '
holds out 'length in tokens'
gives 1 "$graft" data check check.yaml --json
holds out '"name": "leak"'
gives 1 "$graft" data check "$dirty/raw_mixed.jsonl"
holds out 'error    encoding'
gives 0 "$graft" data check train.jsonl --model "$model" --template vicuna
holds out 'trained'

# A recipe that says nothing but model and data will do, and one of a comparison.
head -n 2 check.yaml >short.yaml
gives 0 "$graft" data show short.yaml --set data.max_length=256
holds out 'train.jsonl:1: 133 tokens'
gives 1 "$graft" data check short.yaml
holds out 'warning  leak: 1 rows stand in train too'
{ cat short.yaml; echo 'optimizer: {method: adamv, lr: 1}'; } >wrong.yaml
gives 2 "$graft" data check wrong.yaml
says 'wrong.yaml:3:21: optimizer.method: .*did you mean "adamw"'
echo 'data: {train: train.jsonl}' >modelless.yaml
gives 2 "$graft" data check modelless.yaml
says 'modelless.yaml:1:1: model.path: missing'
{ cat short.yaml; echo 'compare: {methods: []}'; } >compare.yaml
gives 1 "$graft" data check compare.yaml
gives 2 "$graft" plan short.yaml
says 'short.yaml:1:1: adapter: missing'

# A template that plain text passes by.
printf '{"text":"Once upon a time."}\n' >text.jsonl
gives 1 "$graft" data check text.jsonl --model "$model" --template vicuna
holds out 'warning  template_unused: 1 rows are plain text, which no chat template changes'
gives 0 "$graft" data check text.jsonl --model "$model"

gives 2 "$graft" data check nowhere.jsonl
says '.*nowhere.jsonl'
gives 2 "$graft" data check nowhere.yaml
says '.*nowhere.yaml'
gives 2 "$graft" data check "$model"
says '.*not a known kind of data file'
gives 2 "$graft" data check train.jsonl --model nowhere.gguf
says '.*nowhere.gguf'
gives 2 "$graft" data check train.jsonl --model "$source/tests/golden/data/llama"
says '[^:]*/llama: there is no tokenizer.json'
gives 2 "$graft" data check check.yaml --set data.max_length=100000
says '--set 1: data.max_length: 100000 is more than the model.s context'
gives 0 "$graft" plan check.yaml --set data.max_length=256
holds err 'graft: warning: train.batch_size: 8 is more than the 1 rows'
printf '{"text":"Once upon a time there was a dog."}\n' >plain.jsonl
gives 0 "$graft" plan check.yaml --set data.max_length=256 --set data.train=plain.jsonl --set train.batch_size=1
holds err 'graft: warning: data.template: vicuna has no effect on 1 of 1 rows'
gives 0 "$graft" plan check.yaml --set data.max_length=256 --set train.batch_size=1 --set data.valid=own.jsonl
[ -s err ] && grep 'graft: warning' err && fail 'a warning about nothing'
[ -e nowhere ] && fail 'a check made the output folder'

# --- show: any row of any format ---
printf '[{"instruction":"Hi","input":"there","output":"yes"},\n{"instruction":"Hi","output":"no"}]\n' >alpaca.json
printf '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"no"}]}\n' >messages.jsonl
printf '{"conversations":[{"from":"human","value":"Hi"},{"from":"gpt","value":"no"}]}\n' >sharegpt.jsonl
printf '{"prompt":"Hi","completion":"no"}\n' >prompt.jsonl
printf 'instruction,input,output\r\nHi,,"no"\r\n' >alpaca.csv
for file in messages.jsonl sharegpt.jsonl prompt.jsonl alpaca.csv; do
    gives 0 "$graft" data show $file --model "$model" --template vicuna
    sed "s/^$file:[0-9]*/row/" out >show.$file
    same show.$file show.messages.jsonl
done
gives 0 "$graft" data show alpaca.json --model "$model" --template vicuna --row 2 --rows 1
holds out 'alpaca.json:2: '
printf '{"text":"Once"}\n' >text.jsonl
printf 'text\nOnce\n' >text.csv
for file in text.jsonl text.csv; do
    gives 0 "$graft" data show $file --model "$model"
    holds out '[▁Once]'
done
gives 2 "$graft" data show alpaca.json --model "$model" --template vicuna --row 3
says '--row: found 3, there are 2 rows'
finish
