#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What a user can get wrong: each case ends with status 2 and one line that names the place, what
# was found and what is allowed; and nothing is written.
. "$(dirname "$0")/lib.sh"
write_recipe
echo 'output: run' >>recipe.yaml
abi=$build/tests/abi
before_clean_up() { [ ! -s holder ] || kill "$(cat holder)" 2>/dev/null; }

# The folder's content, but for what this script itself writes there.
content() {
    find . ! -name out ! -name err ! -name said ! -name before \( -type d -printf '%p\n' -o -printf '%p %s %T@\n' \) |
        sort
}

# refused REGEX ARGUMENT...: `graft ARGUMENT...` is refused with one line that matches REGEX.
refused() {
    local regex=$1
    shift
    content >before
    checks=$((checks + 1))
    "$graft" "$@" >out 2>err </dev/null
    local status=$?
    [ $status = 2 ] || fail "exit status $status, expected 2: $* ($(tail -n 1 err))"
    grep '^graft: ' err >said
    [ "$(wc -l <said)" = 1 ] || fail "$(wc -l <said) lines instead of one: $*: $(head -n 5 said)"
    tail -n 1 err | cmp -s - said || fail "the complaint is not the last line: $*: $(cat err)"
    [ "$(wc -c <said)" -lt 800 ] || fail "a line of $(wc -c <said) bytes: $*"
    grep -Eq "^graft: $regex" said || fail "expected '$regex': $* ($(tail -n 1 err))"
    [ -s out ] && fail "something on stdout: $*: $(head -n 1 out)"
    content | cmp -s before - || fail "something was written: $*: $(content | diff before -)"
}
bad() { refused "$1" train recipe.yaml "${@:2}"; }
set_to() { bad "$1" --set "$2"; }
# edit REGEX SED: the recipe itself is changed, so that no log line tells of a --set.
edit() {
    sed "$2" recipe.yaml >edited.yaml
    refused "edited.yaml:$1" train edited.yaml
}

# --- the machine ---
VK_DRIVER_FILES=/nowhere VK_ICD_FILENAMES=/nowhere GRAFT_KERNELS=fast refused 'backend: auto: .*GRAFT_KERNELS: found "fast", this processor has .*baseline' train recipe.yaml
GRAFT_KERNELS=fast set_to 'backend cpu, device 0 cannot be used: GRAFT_KERNELS: found "fast"' backend=cpu
set_to 'the plan needs [0-9.]+ [TPG]iB, cpu has .*micro_batch_tokens' train.micro_batch_tokens=16777216
set_to '.*threads' backend.threads=-1
set_to '.*threads' backend.threads=4097

# --- the command line ---
refused 'no command is given' 
refused '"tarin": .*did you mean "train"' tarin recipe.yaml
refused '.*RECIPE' train
refused '.*--resum' train recipe.yaml --resum
refused '--resume and --overwrite exclude each other' train recipe.yaml --resume --overwrite
refused 'missing.yaml' train missing.yaml
refused '--max-new-tokens: found "x", expected an integer from 1' generate "$model" --prompt x --max-new-tokens x
refused '--temperature: found "-1", expected a number from 0 to 100$' generate "$model" --prompt x --temperature -1
refused '--top-p: found "0,9", expected a number from 0.001 to 1; no comma: ' generate "$model" --prompt x --top-p 0,9
refused 'nowhere: there is no such file' generate nowhere --prompt x
refused 'nowhere: there is no such file' eval nowhere
refused '.*name a file with --data' eval "$model"
refused '.*--split' eval "$model" --split x --data y
refused 'recipe.yaml: is a recipe; name the folder that its run left' eval recipe.yaml
refused 'recipe.yaml: is a recipe' chat recipe.yaml
refused '--set: changes a recipe, and .*valid.jsonl is none' data check "$data/valid.jsonl" --set train.seed=1
refused '--template: has no effect without --model' data check "$data/valid.jsonl" --template chatml
refused '.*nosuch' plugin show nosuch
refused '.*nosuch' backend test nosuch
refused '.*' data show "$data/valid.jsonl"
mkdir empty
refused 'empty' eval empty --data "$data/valid.jsonl"

# --- models ---
set_to '.*nothing.gguf' model=nothing.gguf
: >zero.gguf
set_to '.*zero.gguf.*(empty|truncated|short|0 bytes)' model=zero.gguf
printf 'GGML0000000000000000000000000000' >magic.gguf
set_to '.*magic.gguf' model=magic.gguf
head -c 3 "$model" >three.gguf
set_to '.*three.gguf' model=three.gguf
head -c 9000 "$model" >header.gguf
set_to '.*header.gguf' model=header.gguf
head -c 1000000 "$model" >cut.gguf
set_to '.*cut.gguf.*(past|end|bytes)' model=cut.gguf
cp "$data/valid.jsonl" rows.gguf
set_to '.*rows.gguf' model=rows.gguf
patched() { # NAME OFFSET BYTES: the model with other bytes
    cp "$model" "$1" && printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
at=$(grep -abo 'blk.0.attn_q.weight' "$model" | head -n 1 | cut -d: -f1)
type_at=$((at + 19 + 4 + 16))
patched version.gguf 4 '\x63'
set_to '.*version.gguf.*version.*99' model=version.gguf
patched type99.gguf $type_at '\x63'
set_to '.*type99.gguf.*blk.0.attn_q.weight.*99' model=type99.gguf
patched int8.gguf $type_at '\x18'
set_to 'int8.gguf: tensor blk.1.attn_q.weight' model=int8.gguf
patched shape.gguf $((at + 19 + 4)) '\x20'
set_to '.*shape.gguf' model=shape.gguf
patched offset.gguf $((type_at + 4)) '\x00\x00\x00\x00\x00\x01'
set_to '.*offset.gguf.*blk.0.attn_q.weight' model=offset.gguf
patched name.gguf $((at + 4)) 'X'
set_to '.*name.gguf.*blk.0.attn_q.weight' model=name.gguf
patched architecture.gguf $(($(grep -abo 'general.architecture' "$model" | head -n 1 | cut -d: -f1) + 20 + 4 + 8)) 'xxxxx'
set_to '.*architecture.gguf.*xxxxx' model=architecture.gguf
mkdir bare && echo '{}' >bare/config.json
set_to '.*bare' model=bare
mkdir noweights && cp "$source/tests/golden/data/llama/config.json" noweights
set_to '.*noweights' model=noweights
mkdir ints && cp "$source/tests/golden/data/llama/config.json" ints
sed '1s/"F32"/"I32"/g' "$source/tests/golden/data/llama/model.safetensors" >ints/model.safetensors
set_to '.*ints.*I32' model=ints
mkdir short && cp "$source/tests/golden/data/llama/config.json" short
head -c 5000 "$source/tests/golden/data/llama/model.safetensors" >short/model.safetensors
set_to '.*short.*model.safetensors' model=short
mkdir broken && cp ints/model.safetensors broken && echo '{"model_type": ' >broken/config.json
set_to '.*broken/config.json' model=broken
mkdir gpt && cp ints/model.safetensors gpt && echo '{"model_type": "gptneox"}' >gpt/config.json
set_to '.*gptneox' model=gpt
set_to '--set 1: model.quantize: .*(keep|nf4)' model.quantize=q2
set_to '.*model.compute' model.compute=bf16

# --- recipes ---
{ cat recipe.yaml; echo 'learning: 3'; } >unknown.yaml
refused 'unknown.yaml:9:1: learning: unknown key.*known: model' train unknown.yaml
sed 's/max_steps/max_step/' recipe.yaml >misspelt.yaml
refused 'misspelt.yaml:5:9: train.max_step: .*did you mean "max_steps"' train misspelt.yaml
sed 's/lora_alpha/lora_alhpa/' recipe.yaml >option.yaml
refused 'option.yaml:3:31: adapter.lora_alhpa: .*lora_alpha' train option.yaml
{ cat recipe.yaml; echo 'model: again'; } >doubled.yaml
refused 'doubled.yaml:9:1: model: .*twice|doubled.yaml:9:1: .*model' train doubled.yaml
sed 's/r: 8,/r: 8, r: 9,/' recipe.yaml >doubled2.yaml
refused 'doubled2.yaml:3:31: key "r" stands twice' train doubled2.yaml
sed 's/max_steps: 30/max_steps: thirty/' recipe.yaml >typed.yaml
refused 'typed.yaml:5:[0-9]+: train.max_steps: .*thirty.*integer' train typed.yaml
sed 's/max_steps: 30/max_steps: "30"/' recipe.yaml >quoted.yaml
refused 'quoted.yaml:5:[0-9]+: train.max_steps: .*integer' train quoted.yaml
printf 'model: m\n\tdata: d\n' >tab.yaml
refused 'tab.yaml:2:' train tab.yaml
printf 'model: [m\n' >open.yaml
refused 'open.yaml:' train open.yaml
printf 'model: m\n---\nmodel: m\n' >two.yaml
refused 'two.yaml:' train two.yaml
: >nothing.yaml
refused 'nothing.yaml' train nothing.yaml
head -c 2000 /dev/urandom >random.yaml
refused 'random.yaml' train random.yaml
{ printf 'model: "'; head -c 1100000 /dev/zero | tr '\0' x; echo '"'; } >huge.yaml
refused 'huge.yaml' train huge.yaml
grep -v '^model' recipe.yaml >missing-model.yaml
refused 'missing-model.yaml.*: model' train missing-model.yaml
grep -v '^optimizer' recipe.yaml >missing-optimizer.yaml
refused 'missing-optimizer.yaml.*: optimizer' train missing-optimizer.yaml
grep -v '^adapter' recipe.yaml >missing-adapter.yaml
refused 'missing-adapter.yaml.*: adapter' train missing-adapter.yaml
grep -v '^output' recipe.yaml >missing-output.yaml
refused '.*output' train missing-output.yaml
refused '.*\.(folder|directory)|.*folder' train .
set_to '--set 1: train.max_steps: .*-5' train.max_steps=-5
set_to '--set 1: train.max_steps: .*0' train.max_steps=0
set_to '--set 1: optimizer.lr: .*nan' optimizer.lr=nan
set_to '--set 1: optimizer.lr: .*-1' optimizer.lr=-1
set_to '--set 1: .*trian.*train' trian.max_steps=3
set_to '--set 1: .*' train
set_to '--set 1: .*adapter.3' adapter.3.r=3
set_to '--set 1: train.schedule: .*cosin.*cosine' train.schedule=cosin
set_to '.*warmup' train.warmup_ratio=2
set_to '.*train.epochs.*max_steps|.*max_steps.*epochs' train.epochs=2
set_to '--set 1: train.num_cycles: has an effect with' train.num_cycles=2
edit '3:19: adapter.method: .*lroa.*did you mean "lora"' 's/method: lora/method: lroa/'
set_to '--set 1: adapter.method: .*lroa.*did you mean "lora"' adapter.method=lroa
[ "$(wc -l <err)" = 1 ] || fail "more than the refusal is said: $(cat err)"
edit '4:21: optimizer.method: .*adamv.*did you mean "adamw"' 's/adamw/adamv/'
set_to '.*lora_dropout.*1.5' adapter.lora_dropout=1.5
set_to '.*bias' adapter.bias=all
set_to '.*backend.*cuda' backend=cuda
set_to '--set 1: backend.device: has no effect' backend.device=7
bad '--set 2: model.compute: f16: cpu .* multiplies in f32' --set backend=cpu --set model.compute=f16
set_to '.*device.* 7' 'backend={name: cpu, device: 7}'
set_to '.*micro_batch_tokens.*100' train.micro_batch_tokens=100
bad '--set 2: adapter.r: ' --set optimizer.lr=1e-3 --set adapter.r=x

# --- adapters that do not fit the model ---
set_to 'adapter: model.layers.0.self_attn.q_proj: r: 1000 exceeds the layer.s 64' adapter.r=1000
set_to '.*r: 65 .*64' adapter.r=65
set_to '.*target_modules.*no_proj' 'adapter.target_modules=[no_proj]'
set_to '.*target_modules.*no_proj' 'adapter.target_modules=[q_proj, no_proj]'
set_to '.*target_modules' 'adapter.target_modules=.*nothing'
set_to '.*target_modules' 'adapter.target_modules="(["'
set_to '.*target_modules' 'adapter.target_modules=[]'
set_to '.*layers_to_transform.*99|.*target' 'adapter.layers_to_transform=[99]'
set_to '.*exclude_modules|.*target_modules' 'adapter.exclude_modules=.*'
set_to '.*rank_pattern.*x_proj' 'adapter.rank_pattern={x_proj: 4}'
set_to '.*init_from.*nowhere' adapter.init_from=nowhere
set_to '.*init_from.*empty|.*empty' adapter.init_from=empty
set_to '.*lora_A' "adapter.init_from=$source/tests/golden/data/llama/adapter"

# --- plugins ---
edit '3:19: adapter.method: adapter-abi_major.so: abi_major: found 2, this graft has 1' "s#method: lora#method: $abi/bad/adapter-abi_major.so#"
edit '3:19: adapter.method: adapter-magic.so: magic: found' "s#method: lora#method: $abi/bad/adapter-magic.so#"
edit '3:19: adapter.method: adapter-symbol.so: .*graft_plugin' "s#method: lora#method: $abi/bad/adapter-symbol.so#"
edit '3:19: adapter.method: adapter-undefined.so: .*graft_no_such_symbol' "s#method: lora#method: $abi/bad/adapter-undefined.so#"
edit '3:19: adapter.method: optimizer-plain.so: .*kind optimizer' "s#method: lora#method: $abi/good/optimizer-plain.so#"
edit '3:19: adapter.method: .*nowhere.so' "s#method: lora#method: ./nowhere.so#"
echo hello >not-a-plugin.so
edit '3:19: adapter.method: not-a-plugin.so' "s#method: lora#method: ./not-a-plugin.so#"

# --- data ---
rows() { printf '%b' "$2" >"$1"; }
set_to '.*missing.jsonl' data.train=missing.jsonl
set_to '.*missing.jsonl' data.valid=missing.jsonl
: >zero.jsonl
set_to 'zero.jsonl: the file is empty' data.train=zero.jsonl
rows blank.jsonl '\n\n  \n'
set_to 'blank.jsonl: no rows' data.train=blank.jsonl
printf '{"text": "a\0b"}\n' >binary.jsonl
set_to 'binary.jsonl: binary' data.train=binary.jsonl
printf '{"text": "one"}\n{"text": "caf\xe9"}\n' >latin.jsonl
set_to 'latin.jsonl:2: not UTF-8' data.train=latin.jsonl
printf '\xff\xfe{\0' >utf16.jsonl
set_to 'utf16.jsonl: .*UTF-16' data.train=utf16.jsonl
rows broken.jsonl '{"text": "one"}\n{"text": "two"}\n{"text": "three\n{"text": "four"}\n'
set_to 'broken.jsonl:3:[0-9]+: not valid JSON' data.train=broken.jsonl
rows trailing.jsonl '{"text": "one"}\n{"text": "two"} x\n'
set_to 'trailing.jsonl:2:' data.train=trailing.jsonl
rows list.jsonl '{"text": "one"}\n["text"]\n'
set_to 'list.jsonl:2: ' data.train=list.jsonl
rows keys.jsonl '{"txt": "one"}\n'
set_to 'keys.jsonl:1: keys \(txt\) of no known format: .*; known formats' data.train=keys.jsonl
rows wrapped.json '{"version": 1, "data": [{"text": "one"}, {"text": "two"}]}\n'
set_to 'wrapped.json:1: the rows seem to stand in a list below .data.: give' data.train=wrapped.json
rows number.jsonl '{"text": 5}\n'
set_to 'number.jsonl:1: .text. must be text, found a number' data.train=number.jsonl
rows noanswer.jsonl '{"prompt": "one", "completion": "two"}\n{"prompt": "one"}\n'
set_to 'noanswer.jsonl:2: no answer' data.train=noanswer.jsonl
rows noanswer2.jsonl '{"instruction": "one", "output": ""}\n'
set_to 'noanswer2.jsonl:1: ' data.train=noanswer2.jsonl
rows noanswer3.jsonl '{"messages": [{"role": "user", "content": "hi"}]}\n'
set_to 'noanswer3.jsonl:1: ' data.train=noanswer3.jsonl
rows role.jsonl '{"messages": [{"role": "usr", "content": "hi"}, {"role": "assistant", "content": "x"}]}\n'
set_to 'role.jsonl:1: .*usr' data.train=role.jsonl
rows chosen.jsonl '{"prompt": "a", "chosen": "b", "rejected": "c"}\n'
set_to 'chosen.jsonl:1: ' data.train=chosen.jsonl
rows mixed.jsonl '{"text": "one"}\n{"prompt": "a", "completion": "b"}\n'
set_to 'mixed.jsonl:2: ' data.train=mixed.jsonl
rows masked.jsonl '{"text": ""}\n{"text": ""}\n'
set_to 'masked.jsonl.*(no token to train|blank|empty)' data.train=masked.jsonl
rows twice.jsonl '{"text": "one", "text": "two"}\n'
set_to 'twice.jsonl:1:' data.train=twice.jsonl
rows table.csv 'text\n"one\n'
set_to 'table.csv:2' data.train=table.csv
rows columns.csv 'a,b\n1,2\n'
set_to 'columns.csv:2: keys \(a, b\) of no known format: rename them \(in a CSV, in its first line\)' data.train=columns.csv
cp "$data/valid.jsonl" rows.txt && sed -i 's/^{/x{/' rows.txt
set_to 'rows.txt: not a known kind' data.train=rows.txt
set_to '.*empty' data.train=empty
set_to '--set 1: data.max_length: .*[^0-9]8 tokens.*raise it' data.max_length=8
set_to '--set 1: data.max_length: 24 of 24|--set 1: data.max_length: every row|--set 1: data.max_length: .* of 24 rows' data.max_length=50
set_to '.*max_length.*1000000.*512|.*max_length.*1000000' data.max_length=1000000
set_to '.*max_length.*4096.*512' data.max_length=4096
set_to '.*max_length' data.max_length=0
{ printf '{"text": "'; for ((i = 0; i < 60; i++)); do printf 'a cat and '; done; echo '"}'; } >long.jsonl
bad '--set 4: train.micro_batch_tokens: 128 is less than the longest row' --set data.train=long.jsonl \
    --set data.max_length=512 --set train.batch_size=1 --set train.micro_batch_tokens=128
# --- templates ---
conversation=$source/examples/data/bitext-short/test.jsonl
bad '.*test.jsonl:1: a conversation, but the model has no chat template' \
    --set "data.train=$conversation" --set data.max_length=512
bad '.*template chatml.*' --set "data.train=$conversation" --set data.template=chatml
bad '.*data.template: .*chatlm.*chatml' --set data.template=chatlm

# --- output folders ---
touch file
set_to '--set 1: output: file is a file' output=file
set_to '--set 1: output: cannot write to .*file/run.*' output=file/run
set_to '--set 1: output: cannot write to /proc/run' output=/proc/run
(
    mkdir busy
    exec 8>busy/lock
    flock -n 8 || exit 1
    echo 4711 >&8
    sleep 60 &
    echo $! >holder
)
set_to '--set 1: output: busy/lock: in use by process 4711' output=busy
bad '--set 1: output: busy/lock: in use by process 4711' --set output=busy --resume
bad '--set 1: output: busy/lock: in use by process 4711' --set output=busy --overwrite
kill "$(cat holder)" && rm holder
mkdir old && touch old/steps.jsonl
set_to '--set 1: output: old holds a run; .*--resume.*--overwrite' output=old
mkdir mine && touch mine/thesis.txt
bad '--set 1: output: mine holds other files and no run' --set output=mine --overwrite
finish
