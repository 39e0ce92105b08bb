#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# One training run as a user sees it, and the promises about its bits: the same recipe gives the
# same adapter, however many threads there are and however the activations are kept.
. "$(dirname "$0")/lib.sh"
write_recipe

# --- a run and what it leaves ---
gives 0 "$graft" train recipe.yaml --set output=run
for file in adapter_config.json adapter_model.safetensors recipe.yaml steps.jsonl report.json \
    report.html passport.json rows.jsonl checkpoints/step-000030/manifest.json; do
    is "run/$file is there" test -s "run/$file"
done
is "nothing else is there" test "$(ls -A run | wc -l)" = 9
grep -q '^step 30: valid loss' err || fail "no line of the evaluation of step 30"
is "30 lines of steps" test "$(wc -l <run/steps.jsonl)" = 30
first=$(head -n 1 run/steps.jsonl | grep -o '"loss":[^,]*' | cut -d: -f2)
last=$(tail -n 1 run/steps.jsonl | grep -o '"loss":[^,]*' | cut -d: -f2)
number_is "$first > 2.0 && $first < 3.0 && $last < 0.6 * $first"
before=$(number run/report.json loss before)
after=$(number run/report.json loss after)
number_is "$before > 2.0 && $after < $before - 0.15"
for word in '<svg' 'stories260K' 'adamw'; do
    grep -q -- "$word" run/report.html || fail "report.html has no $word"
done
if grep -Eq '(src|href)="?(https?:)?//' run/report.html; then fail "report.html asks the network"; fi
grep -q '"base_model_name_or_path": *"stories260K.gguf"' run/adapter_config.json ||
    fail "adapter_config.json does not name the model"
grep -q "$(sha256sum <"$model" | cut -d' ' -f1)" run/passport.json ||
    fail "passport.json lacks the hash of the model"
grep -q '^output' run/recipe.yaml && fail "recipe.yaml names an output"
grep -q 'auto$' <(grep -v template run/recipe.yaml) && fail "recipe.yaml has an auto left"

# --- measuring and generating with it ---
gives 0 "$graft" eval run --json
number_is "$(number out loss) == $after && $(number out rows) == 6"
gives 0 "$graft" eval run --split train --json
number_is "$(number out loss) < $after && $(number out rows) == 24"
gives 0 "$graft" generate run --prompt 'Once upon a time' --max-new-tokens 24
is "it says something" test "$(wc -c <out)" -gt 20
cp out said
gives 0 "$graft" generate run --prompt 'Once upon a time' --max-new-tokens 24
same out said
gives 0 "$graft" generate "$model" --prompt 'Once upon a time' --max-new-tokens 24
cmp -s out said && fail "the adapter changes nothing"

# --- where the time goes; nothing is trained or written ---
gives 0 "$graft" bench recipe.yaml --passes 1 --set output=benched
grep -q '^limits measured now: .* GFLOP/s f32' out || fail "no limits"
grep -q ' matmul F32 ' out || fail "no product in the table"
grep -q '^decoding, many answers: 16 tokens' out || fail "no decoding"
grep -q 'timing optimizer' err || fail "no progress"
is "no run folder" test ! -e benched
gives 0 "$graft" bench recipe.yaml --passes 1 --json
number_is "$(number out flops_f32) > 1e8 && $(number out seconds programs) > 0"
gives 2 "$graft" bench recipe.yaml --passes 0
grep -q -- '--passes: found "0", expected an integer from 1' err || fail "a pass count of 0 is not named"

# --- starting from another adapter, with its settings or with others ---
gives 0 "$graft" train recipe.yaml --set output=more --set train.max_steps=2 --set adapter.init_from=run
grep -q 'init_from' err && fail "the same settings are told apart: $(grep init_from err)"
gives 0 "$graft" train recipe.yaml --set output=other --set train.max_steps=2 --set adapter.init_from=run \
    --set adapter.lora_alpha=32
grep -q '^graft: warning: adapter.init_from: .*run: lora_alpha is 16.* there and 32.* here$' err ||
    fail "another lora_alpha: $(cat err)"

# --- a run that bursts says where ---
gives 1 "$graft" train recipe.yaml --set output=burst --set optimizer.lr=1e6 --set optimizer.weight_decay=1e6 \
    --set train.max_grad_norm=0
grep -Eq '^graft: step [0-9]+: the loss is not finite in the micro-batch .*stories.jsonl:[0-9]+, first in [a-z_]+ of model\.layers\.' err ||
    fail "the place is not named: $(tail -n 1 err)"

# --- the same bits ---
gives 0 "$graft" train run/recipe.yaml --set output=again
same run/adapter_model.safetensors again/adapter_model.safetensors
is "the same steps" cmp <(without_seconds run/steps.jsonl) <(without_seconds again/steps.jsonl)
same run/recipe.yaml again/recipe.yaml
# dropout, several micro-batches a step, recomputation: all 10 steps, bit by bit
variant() {
    gives 0 "$graft" train recipe.yaml --set "output=$1" --set train.max_steps=10 \
        --set adapter.lora_dropout=0.1 --set eval.every=0 "${@:2}"
}
variant threads-1 --set backend.threads=1
for n in 2 3; do
    variant threads-$n --set backend.threads=$n
    if [ "$n" -gt "$(nproc)" ]; then
        grep -q "backend.threads: $n: .* can be used, so this is slower" err || fail "no warning"
    fi
    same threads-1/adapter_model.safetensors threads-$n/adapter_model.safetensors
done
variant kept --set train.gradient_checkpointing=false
variant recomputed --set train.gradient_checkpointing=true
same kept/adapter_model.safetensors recomputed/adapter_model.safetensors
same threads-1/adapter_model.safetensors kept/adapter_model.safetensors
variant other-seed --set train.seed=8
cmp -s kept/adapter_model.safetensors other-seed/adapter_model.safetensors &&
    fail "another seed gives the same adapter"
# rows of 60 to 100 tokens: one a micro-batch, or all eight
variant small --set train.micro_batch_tokens=128
variant large --set train.micro_batch_tokens=2048
paste -d' ' <(grep -o '"loss":[^,]*' small/steps.jsonl | cut -d: -f2) \
    <(grep -o '"loss":[^,]*' large/steps.jsonl | cut -d: -f2) >losses
awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4 * $2) exit 1; if (d > 0) differ = 1 }
     END { if (NR != 10) exit 1 }' losses || fail "micro-batches change the loss: $(cat losses)"

# --- answers: the rows of alpaca.jsonl by heart; lm_head too, since the model never saw its </s> ---
gives 0 "$graft" train recipe.yaml --set "data={train: $data/alpaca.jsonl, valid: $data/valid.jsonl, test: $data/alpaca.jsonl, \
max_length: 256, template: alpaca}" --set optimizer.lr=5e-3 --set train.max_steps=40 \
    --set train.batch_size=4 --set eval.max_new_tokens=8 \
    --set 'eval.metrics=[loss, exact_match, chrf, cut_off, style]' \
    --set 'adapter.target_modules=[q_proj, v_proj, down_proj, lm_head]' --set output=answers
number_is "$(number answers/report.json exact_match before) == 0"
number_is "$(number answers/report.json exact_match after) == 1"
grep -q '"prompt":"What does the dog say?","expected":"woof","before":.*,"after":"woof"' \
    answers/report.json || fail "report.json has no sample of the dog"
grep -q 'woof' answers/report.html || fail "report.html has no sample of the dog"
number_is "$(number answers/report.json chrf after) == 100 && \
$(number answers/report.json cut_off before) == 1 && $(number answers/report.json cut_off after) == 0"
grep -q 'perplexity' answers/report.json && fail "report.json has a metric that was not chosen"
grep -q 'ChrF2' answers/report.html || fail "report.html lacks a metric that was chosen"
is "rows.jsonl has every row" test "$(wc -l <answers/rows.jsonl)" = "$(wc -l <"$data/alpaca.jsonl")"
grep -q '"expected":"woof","before":{.*"after":{"nll":.*,"answer":"woof","ended":true}}' \
    answers/rows.jsonl || fail "rows.jsonl lacks the dog"
gives 0 "$graft" eval answers --json
number_is "$(number out exact_match) == 1 && $(number out loss) == \
$(number answers/report.json loss after)"
# other metrics than the recipe's; the run's own training answers are what style compares with
gives 0 "$graft" eval answers --metrics accuracy,macro_f1,style --json
number_is "$(number out accuracy) == 1 && $(number out macro_f1) == 1 && $(number out style) > 0.999"
grep -q '"loss"' out && fail "eval --metrics shows more than was asked for: $(cat out)"
gives 0 "$graft" eval answers --metrics exact_match,answer_length
grep -q '^exact match  *100.0 % (\([0-9]*\) of \1)$' out || fail "the table says: $(cat out)"
gives 2 "$graft" eval answers --metrics loss,blue
grep -q -- '--metrics: found "blue"; did you mean "bleu"?' err || fail "no nearest metric: $(cat err)"
gives 2 "$graft" eval "$model" --data "$data/valid.jsonl" --metrics style
grep -q 'style: ' err || fail "style of a bare model: $(cat err)"
cp "$model" 'a, b: [c] #d.gguf' # a path is no YAML
gives 0 "$graft" eval answers --rows 1 --model 'a, b: [c] #d.gguf'
mkdir -p far/away && cp -r answers far/away/run # handed on: without its rows, and the model elsewhere
gives 2 "$graft" generate far/away/run --prompt x --model nowhere.gguf
sed -i 's|^\(  path: \).*|\1gone.gguf|' far/away/run/recipe.yaml
gives 2 "$graft" generate far/away/run --prompt x
grep -q 'model.path: .*gone.gguf.*--model names another' err || fail "a model that is gone: $(cat err)"
sed -i 's|^\(  [a-z]*: \).*jsonl"\{0,1\}$|\1gone.jsonl|' far/away/run/recipe.yaml
gives 0 "$graft" generate far/away/run --prompt 'What does the cow say?' --model "$model"
is "a run without its rows answers" test "$(cat out)" = moo
gives 2 "$graft" eval far/away/run --model "$model"
grep -q 'gone.jsonl: there is no such file; name another with --data' err || fail "rows that are gone: $(cat err)"
gives 0 "$graft" eval far/away/run --model "$model" --rows 2 --data "$data/valid.jsonl" --metrics loss
cp -r answers two && sed -i 's|^  train: \(.*\)|  train: [\1, \1]|' two/recipe.yaml
gives 2 "$graft" eval two --split train
grep -q -- '--split train: data.train names 2 files; name one with --data' err || fail "two files: $(cat err)"
gives 0 "$graft" generate answers --prompt 'What does the cow say?'
is "it says moo and stops" test "$(cat out)" = moo
gives 0 "$graft" generate answers --prompt 'What does the cow say?' --json
grep -q '"moo"' out || fail "no moo in JSON: $(cat out)"
printf 'What does the duck say?\n' >question
gives 0 "$graft" chat answers <question
grep -q quack out || fail "chat does not quack: $(cat out)"

# A turn that fails is said and forgotten: what follows is answered as if it had not been.
cat question question >talk
gives 0 "$graft" chat answers <talk
cp out without
{ cat question; printf 'caf\351\n'; printf 'a cat and %.0s' {1..999}; echo; cat question; } >talk
gives 2 "$graft" chat answers <talk
same out without
number_is "$(grep -c '^graft: .*; this turn is forgotten$' err) == 2"
grep -q 'not UTF-8' err && grep -q 'must fit into 512' err || fail "chat says: $(cat err)"

# --- what is said is said once and short ---
mkdir -p recipes data
printf '{"prompt":"Once","completion":" upon a time."}\n' >data/pairs.jsonl
cat >recipes/pairs.yaml <<YAML
model: $model
data: {train: ../data/pairs.jsonl, valid: ../data/pairs.jsonl, test: ../data/pairs.jsonl, max_length: 64}
adapter: {method: lora, r: 2, target_modules: [q_proj]}
optimizer: {method: adamw, lr: 1.0e-3}
train: {max_steps: 1, batch_size: 1, schedule: constant}
output: ../runs/pairs
YAML
gives 0 "$graft" plan recipes/pairs.yaml
checks=$((checks + 1))
grep -q ' 0 B$' out && fail 'plan lists what takes nothing'
gives 0 "$graft" train recipes/pairs.yaml
number_is "$(grep -c 'no chat template' err) == 1"
for pair in 'valid train' 'test train' 'test valid'; do
    set -- $pair
    is "data.$1 in data.$2 is said" grep -q "warning: data.$1: 1 of 1 rows stand in data.$2 too (the first: data/pairs.jsonl:1 is data/pairs.jsonl:1)" err
done
is 'paths are short' grep -qx 'runs/pairs/report.html' out
finish
