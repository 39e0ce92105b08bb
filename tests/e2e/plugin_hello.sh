#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# plugin_hello.sh BUILD SOURCE: installs graft into a temporary folder and does what sdk/README.md
# says there, outside the source tree: its adapter is hello.c, its commands run, the losses it shows
# come out; then its twins in C++ and Rust and the template, and `graft plugin test` on each.
set -eu
build=$1 source=$2
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/graft" > "$work/install.log"
guide=$(find "$work/graft/share" -path '*sdk/README.md')
PATH=$work/graft/bin:$PATH
unset GRAFT_PLUGIN_PATH

# block N of language L in the guide
block() {
    awk -v want="$2" -v fence="\`\`\`$1" '
        on && /^```/ { exit } on { print } $0 == fence && ++n == want { on = 1 }' "$guide"
}

mkdir -p "$work/examples"
cp -R "$source/examples/models" "$work/examples"
mkdir "$work/examples/plugin-hello"
for file in hello.c hello.cpp hello.rs recipe.yaml rows.jsonl; do
    cp "$source/examples/plugin-hello/$file" "$work/examples/plugin-hello"
done
cd "$work/examples/plugin-hello"
block c 1 | cmp - hello.c
[ "$(wc -l < hello.c)" -le 60 ]

block sh 1 | sed "s|/usr/local/include|$work/graft/include|" > compile.sh && sh -eu compile.sh
block sh 2 > run.sh && sh -eu run.sh > run.out 2> run.log
awk '/^loss/ { print $2, $3 }' "$guide" > expected
awk '/^loss/ { print $2, $3 }' run.out > found
paste -d ' ' expected found | awk '
    { if (($1 - $3)^2 > 1e-4 || ($2 - $4)^2 > 1e-2) { print "losses: " $0; exit 1 } }'
block sh 3 > test.sh && sh -eu test.sh

if command -v c++ > /dev/null; then
    c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -shared -fPIC -fvisibility=hidden \
        -I "$work/graft/include" -o adapter-hellopp.so hello.cpp
    graft plugin test ./adapter-hellopp.so
fi
if command -v rustc > /dev/null; then
    [ "$(wc -l < hello.rs)" -le 90 ]
    block sh 4 > rust.sh && sh -eu rust.sh
    graft plugin test ./adapter-hellors.so
else
    echo "skipped: the adapter in Rust (no rustc)"
fi
cp -R "$work/graft/share/graft/template" "$work/template"
generator=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' "$build/CMakeCache.txt")
cmake -S "$work/template" -B "$work/template/build" -G "$generator" \
    -DCMAKE_PREFIX_PATH="$work/graft" > cmake.log
cmake --build "$work/template/build" >> cmake.log
graft plugin test "$work/template/build/adapter-my.so"
