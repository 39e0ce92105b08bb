#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The conformance suite of the CPU backend on emulated processors, where an instruction that they
# have not is fatal: a Nehalem (2008, SSE4.2) takes the baseline kernels, a Haswell (2013) AVX2.
#   older_processors.sh BUILD
set -u
program=$1/tests/test_backend_cpu
qemu=$(command -v qemu-x86_64-static || command -v qemu-x86_64) || {
    echo "skipped: qemu-user is not installed (Debian: qemu-user-static)"
    exit 77
}
case $(uname -m) in
x86_64 | amd64) ;;
*)
    echo "skipped: the build is not for x86-64"
    exit 77
    ;;
esac
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

# run MODEL LINE...: the suite passes on that processor and says each line.
run() {
    model=$1
    shift
    if ! "$qemu" -cpu "$model" "$program" >"$log" 2>&1; then
        tail -n 20 "$log"
        echo "FAILED: the suite on $model"
        failed=1
    fi
    for line in "$@"; do
        grep -qxF "$line" "$log" && continue
        echo "FAILED: on $model, \"$line\" is missing"
        failed=1
    done
    grep '^path' "$log" | sed "s/^/$model: /"
}

run Nehalem 'path baseline' "path avx2 is not this processor's"
run Haswell 'path baseline' 'path avx2' "path avx512 is not this processor's"
exit $failed
