#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What belongs on a terminal stays there: the progress line and colours, neither of them in a pipe,
# and NO_COLOR is respected.
. "$(dirname "$0")/lib.sh"
command -v script >/dev/null || { echo "script (bsdutils) is missing"; exit 77; }
script -qec true /dev/null </dev/null >/dev/null 2>&1 ||
    { echo "there are no pseudo-terminals here (/dev/pts)"; exit 77; }
write_recipe
escape=$(printf '\033')

# on_terminal FILE COMMAND: everything that a terminal of its own shows.
on_terminal() { script -qec "$2" /dev/null </dev/null >"$1" 2>&1; }

# --- the progress line ---
on_terminal shown "'$graft' train recipe.yaml --set train.max_steps=5 --set output=run"
is "the run went well" test -s run/report.json
tr '\r' '\n' <shown >lines
for line in 'measuring before  [0-9]*/6 rows' 'measuring after  [0-9]*/6 rows' \
    'step 5/5  loss [0-9.]*  lr 2.00e-03  [0-9]* tokens/s  [0-9.]* MiB  0:00 left'; do
    grep -q "^$line$escape\\[K" lines || fail "the terminal shows no '$line'"
done
is "the table begins on a clean line" grep -q "^$escape\\[K *before  *after" lines
gives 0 "$graft" train recipe.yaml --set train.max_steps=5 --set output=piped
if grep -q "$escape" out err; then fail "control sequences in a pipe"; fi
if tr '\r' '\n' <err | grep -q '^step [0-9]*/5 .*loss'; then
    [ "$(grep -c '^step [0-9]*/5' err)" -le 1 ] || fail "a progress line for every step in a pipe"
fi
grep -q $'\r' err && fail "carriage returns in a pipe"
# stdout is a pipe, stderr a terminal: the result stays clean
on_terminal shown "'$graft' eval run --json >result"
grep -q "$escape" result && fail "control sequences in the result"
number_is "$(number result loss) > 0"

# a narrow one: cut, for a wrapped line cannot be written over
on_terminal shown "stty cols 40; '$graft' train recipe.yaml --set train.max_steps=5 --set output=narrow"
tr '\r' '\n' <shown >lines
grep -q "^step 5/5  loss .\{23,27\}$escape\[K" lines || fail "no line of a step on a narrow terminal"
grep "^step .*$escape" lines | grep -q "^.\{40,\}$escape" && fail "a line of 40 columns or more"

# --- colours ---
on_terminal shown "'$graft' data show recipe.yaml"
grep -q "$escape\\[[0-9;]*m" shown || fail "no colours on a terminal"
on_terminal shown "NO_COLOR=1 '$graft' data show recipe.yaml"
grep -q "$escape\\[[0-9;]*m" shown && fail "NO_COLOR is not respected"
grep -q 'trained' shown || fail "nothing is shown with NO_COLOR"
on_terminal shown "NO_COLOR= '$graft' data show recipe.yaml"
grep -q "$escape\\[[0-9;]*m" shown || fail "an empty NO_COLOR counts as not set"
gives 0 "$graft" data show recipe.yaml
grep -q "$escape" out && fail "colours in a pipe"

# --- a reader that goes away is no failure of graft's ---
checks=$((checks + 1))
"$graft" explain recipe.yaml 2>err | head -n 1 >/dev/null
is "no word of a closed pipe" test ! -s err
finish
