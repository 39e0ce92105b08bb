# SPDX-License-Identifier: Apache-2.0
#
# What the end-to-end tests share: a folder of their own that goes away, complaints that name the
# line, and numbers read from what graft wrote. Sourced with `bash SCRIPT BUILD SOURCE`.
set -u
export LC_ALL=C
unset NO_COLOR GRAFT_PLUGIN_PATH
build=$(cd "$1" && pwd)
source=$(cd "$2" && pwd)
graft=$build/bin/graft
data=$source/tests/e2e/data
model=$source/examples/models/stories260K/stories260K.gguf
work=$(mktemp -d "${TMPDIR:-/tmp}/graft-e2e.XXXXXX")
failed=0
checks=0

clean_up() {
    type before_clean_up >/dev/null 2>&1 && before_clean_up
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1

# Names the line of the script that found it, past the functions of this file.
fail() {
    local i=0
    while [ "${BASH_SOURCE[i]##*/}" = lib.sh ] && [ $((i + 1)) -lt ${#BASH_SOURCE[@]} ]; do
        i=$((i + 1))
    done
    echo "FAILED (${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]}): $*" >&2
    failed=$((failed + 1))
}

# is NAME COMMAND...: the command succeeds.
is() {
    local name=$1
    shift
    checks=$((checks + 1))
    "$@" >/dev/null 2>&1 && return 0
    fail "$name"
    return 1
}

# same A B: the files are equal, byte for byte.
same() {
    checks=$((checks + 1))
    cmp -s "$1" "$2" || fail "$1 and $2 differ: $(cmp "$1" "$2" 2>&1)"
}

# gives STATUS COMMAND...: runs it, output in out and err, and compares the exit status.
gives() {
    local wanted=$1 found
    shift
    checks=$((checks + 1))
    "$@" >out 2>err
    found=$?
    [ "$found" = "$wanted" ] && return 0
    fail "exit status $found, expected $wanted: $*"
    tail -n 5 err >&2
    return 1
}

# The number behind "KEY": in a line of JSON; the first one, or the first behind "OBJECT": when
# that is named.
number() {
    local text
    text=$(tr -d '\n' <"$1")
    [ $# = 3 ] && text=${text#*\""$3"\":}
    printf '%s' "$text" | grep -o "\"$2\": *[-+0-9.eE]*" | head -n 1 | sed 's/.*: *//'
}

# number_is 'EXPRESSION': awk decides, so that there are fractions.
number_is() {
    checks=$((checks + 1))
    awk "BEGIN { exit !($1) }" || fail "not so: $1"
}

# steps.jsonl without the times, which are never the same.
without_seconds() {
    sed 's/,"seconds":[^,}]*//' "$1"
}

# A recipe for text rows on stories260K; every check changes it with --set.
write_recipe() {
    cat >recipe.yaml <<YAML
model: $model
data: {train: $data/stories.jsonl, valid: $data/valid.jsonl, max_length: 128}
adapter: {method: lora, r: 8, lora_alpha: 16, target_modules: all-linear}
optimizer: {method: adamw, lr: 2.0e-3}
train: {max_steps: 30, batch_size: 8, schedule: constant, seed: 7}
eval: {every: 10}
checkpoint: {every: 10}
YAML
}

finish() {
    if [ "$checks" = 0 ]; then
        echo "no check was made" >&2
        exit 1
    fi
    echo "$checks checks, $failed failed"
    [ "$failed" = 0 ]
    exit
}
