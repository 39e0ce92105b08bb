#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# broken.sh GRAFT FOLDER: every deliberately broken adapter must be caught by the check that is
# named here, with that verdict. An adapter cannot write the base: the builder gives no way to.
graft=$1 folder=$2 failed=0
expect() { # name check verdict
    found=$("$graft" plugin test "$folder/adapter-$1.so" --limit 10 | grep "^$2 " | head -1)
    case "$found" in
    "$2"*" $3 "*) echo "ok   $found" ;;
    *) echo "FAIL $1: expected $2 $3, found: $found"; failed=1 ;;
    esac
}
expect shape builds fail
expect unused moves fail
expect start start warn
expect identity start fail
expect merges merge fail
expect leaks leak fail
expect prints builds fail
expect crashes builds crash
expect hangs builds crash
expect unset same fail
expect keeps same fail
expect detached gradient warn
expect exports symbols warn
exit $failed
