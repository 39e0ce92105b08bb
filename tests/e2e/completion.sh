#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# graft completion bash: bash reads it and completes commands, sub-commands and options; what is none
# of them is left to bash.
. "$(dirname "$0")/lib.sh"
gives 0 "$graft" completion bash
cp out completion.bash
source ./completion.bash || fail 'bash cannot read it'
is 'it is registered' complete -p graft

# completes WORD... EXPECTED: Tab behind the words gives the expected ones, space between them
completes() {
    local expected=${*: -1}
    COMP_WORDS=(graft "${@:1:$#-1}")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    checks=$((checks + 1))
    _graft
    [ "${COMPREPLY[*]}" = "$expected" ] || fail "${COMP_WORDS[*]}: '${COMPREPLY[*]}', expected '$expected'"
}
completes tr train
completes da data
completes data '' 'show check clean'
completes data c 'check clean'
completes train --o --overwrite
completes train --s --set
completes data clean --n --near-duplicates
completes data clean in.csv --output out.jsonl --dr --dropped
completes plugin test --j --json
completes --v --version
completes train '' ''      # a recipe: file names
completes data check '' ''
completes nosuch --x ''
checks=$((checks + 1))
"$graft" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\).*/\1/p' | sort -u >commands
_graft_words '' | tr ' ' '\n' | grep -v '^-' | sort -u | cmp -s - commands || fail 'other commands than --help has'
gives 2 "$graft" completion zsh
checks=$((checks + 1))
grep -q '^graft: completion: found "zsh", expected bash$' err || fail "$(cat err)"
finish
