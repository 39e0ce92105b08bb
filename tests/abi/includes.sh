#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Who may know whom (design.md, section 2), checked over the tree: includes.sh SOURCE_DIR
set -u
cd "$1" || exit 1
fail=0
say() { echo "$1"; fail=1; }

# "file<TAB>header" for every include below the folders given.
includes() {
    find "$@" -type f \( -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.inc' \) \
        -exec grep -H '^[[:space:]]*#[[:space:]]*include' {} + 2>/dev/null |
        sed 's/^\([^:]*\):[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]\([^>"]*\)[>"].*/\1\t\2/'
}

# sdk: C standard headers and graft/ only
standard=' assert.h ctype.h errno.h float.h inttypes.h limits.h math.h stdarg.h stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h '
tab=$(printf '\t')
count=0
while IFS="$tab" read -r file header; do
    count=$((count + 1))
    case $header in graft/*) continue ;; esac
    case $standard in *" $header "*) ;; *) say "$file: <$header>: the sdk includes C standard headers and graft/ only" ;; esac
done <<EOF
$(includes sdk/include)
EOF
[ "$count" -gt 5 ] || say "sdk: only $count includes found: this check does not work"

# plugins: graft/, C standard headers, and files of their own folder
if [ -d plugins ]; then
    while IFS="$tab" read -r file header; do
        [ -n "$file" ] || continue
        case $header in graft/*) continue ;; esac
        case $standard in *" $header "*) continue ;; esac
        [ -f "$(dirname "$file")/$header" ] || say "$file: \"$header\": plugins include graft/ only"
    done <<EOF
$(includes plugins)
EOF
fi

# core: rooms include earlier rooms only, in the order of core/CMakeLists.txt
rooms=$(tr '\n' ' ' <core/CMakeLists.txt | sed -n 's/.*set(GRAFT_ROOMS \([^)]*\)).*/\1/p')
case $rooms in 'base plugin recipe '*) ;; *) say "core/CMakeLists.txt: GRAFT_ROOMS not found or reordered: '$rooms'" ;; esac
number() {
    n=0
    for room in $rooms; do
        n=$((n + 1))
        [ "$room" = "$1" ] && { echo $n; return; }
    done
    echo 0
}
for room in $rooms; do
    [ -d "core/$room" ] || continue
    own=$(number "$room")
    for other in $(includes "core/$room" | cut -f2 | sed -n 's|^\([a-z]*\)/.*|\1|p' | sort -u); do
        at=$(number "$other")
        [ "$at" -le "$own" ] || say "core/$room includes core/$other, which is a later room"
    done
done
for room in core/*/; do
    name=$(basename "$room")
    [ "$(number "$name")" -ne 0 ] || say "core/$name: not in the list of rooms"
done

# backends and kernels: nothing of the core
for part in backends kernels plugins shaders; do
    [ -d "$part" ] || continue
    while IFS="$tab" read -r file header; do
        [ -n "$file" ] || continue
        room=${header%%/*}
        [ "$room" != "$header" ] && [ "$(number "$room")" -ne 0 ] && [ ! -f "$part/$header" ] &&
            [ -f "core/$header" ] && say "$file: \"$header\": $part never include core"
    done <<EOF
$(includes "$part")
EOF
done

# one room each for libyaml and dlopen (and the Vulkan loader, which is opened at run time); the core
# names no CUDA, Vulkan or BLAS header
only() { # HEADER PLACE [FILE]
    for file in $(includes core sdk plugins backends kernels | grep "$tab$1\$" | cut -f1); do
        case $file in $2/* | ${3:-$2/}) ;; *) say "$file: <$1> is for $2 only" ;; esac
    done
}
only 'yaml\.h' core/recipe
only 'dlfcn\.h' core/plugin backends/vulkan/api.c
only 'cblas\.h' backends
only 'cuda.*\.h' backends
only 'vulkan/.*' backends

# each header of the sdk compiles alone, as C11 and as C++17
compile() {
    compiler=$1
    shift
    command -v "$compiler" >/dev/null 2>&1 || { echo "$compiler is absent, not checked"; return; }
    for header in sdk/include/graft/*.h; do
        printf '#include <graft/%s>\n' "$(basename "$header")" |
            "$compiler" "$@" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -Isdk/include - ||
            say "$header: does not compile alone with $compiler $*"
    done
}
compile "${CC:-cc}" -x c -std=c11
compile "${CXX:-c++}" -x c++ -std=c++17
command -v clang >/dev/null 2>&1 && compile clang -x c -std=c11

[ "$fail" -eq 0 ] && echo "include rules hold"
exit "$fail"
