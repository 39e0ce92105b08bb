#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what the tests need, builds with warnings as errors (gcc; clang too where it is), runs
# CTest in a release tree and in one with address and undefined-behaviour sanitizers. With CI=true
# the base model is fetched and a test may skip only if its name is listed below.
set -euo pipefail

cd "$(dirname "$0")/.."
. examples/quickstart/packages.sh

# Extended regular expressions of "TREE TEST": what may skip in CI, and for want of what.
may_skip=(
    '.* interop/.*'          # torch, transformers, peft
    '.* gpu/.*'              # a GPU
    '.* e2e/terminal'        # a pseudo-terminal
    '.* conform/older_.*'    # qemu-user
    'build-asan e2e/install' # nothing: a sanitizer build is not installed
    'build-asan vulkan/.*'   # nothing: its driver is not for sanitizers, conform/ meets the system's
)
# Too slow under sanitizers; the release tree runs them.
not_sanitized='^e2e/compare$'

started=$SECONDS
cores=$(nproc 2>/dev/null || echo 2)
status=0

say() { echo "== $* ($((SECONDS - started)) s)"; }

# configure TREE CMAKE_ARGUMENT...
configure() {
    local tree=$1
    shift
    mkdir -p "$tree"
    cmake -S . -B "$tree" -G "$(generator)" -DGRAFT_WERROR=ON "$@" >"$tree/configure.log" 2>&1 ||
        { cat "$tree/configure.log" && exit 1; }
}

# build TREE [TARGET]...: quiet unless it fails
build() {
    local tree=$1
    shift
    say "building $tree"
    cmake --build "$tree" --parallel "$cores" "$@" >"$tree/build.log" 2>&1 ||
        { grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking)|^\[ *[0-9]+%\]' "$tree/build.log" | head -200 && exit 1; }
}

# run_tests TREE CTEST_ARGUMENT...
run_tests() {
    local tree=$1
    shift
    say "testing $tree"
    ctest --test-dir "$tree" --output-on-failure --no-tests=error --parallel "$cores" "$@" 2>&1 |
        tee "$tree/ctest.log" || status=1
    local skipped name pattern allowed
    skipped=$(sed -n 's/^[[:space:]]*[0-9]* - \(.*\) (Skipped)$/\1/p' "$tree/ctest.log")
    for name in $skipped; do
        allowed=false
        for pattern in "${may_skip[@]}"; do
            if [[ "$tree $name" =~ ^($pattern)$ ]]; then allowed=true; fi
        done
        if $allowed || [ "${CI:-}" != true ]; then
            echo "skipped in $tree: $name"
        else
            echo "skipped in $tree: $name, which must not skip in CI"
            status=1
        fi
    done
}

has_vulkan_driver() { ls /usr/share/vulkan/icd.d/*.json; }

need_build
need mesa-vulkan-drivers has_vulkan_driver
need "gcc libc6-dev" have_command gcc # also where cc is another compiler
need libcmocka-dev have_module cmocka
if [ "${CI:-}" = true ] && [ -z "${GRAFT_SMOLLM2:-}" ]; then
    need python3-pip python3 -m pip --version
fi
install_missing >&2
if [ "${CI:-}" = true ]; then
    say "fetching the base model"
    GRAFT_SMOLLM2=$(examples/quickstart/fetch_model.sh)
    export GRAFT_SMOLLM2
fi

# A Vulkan driver in software with cooperative matrices, and a shader compiler that knows them. The
# clang tree is built by the system's, which may not: the scalar shaders must do.
lavapipe=${GRAFT_LAVAPIPE:-}
if [ -z "$lavapipe" ]; then
    say "fetching a Vulkan driver"
    if tests/gpu/fetch_lavapipe.sh build-lavapipe --tools --validation; then
        lavapipe=$PWD/build-lavapipe
    elif [ "${CI:-}" = true ]; then
        echo "the Vulkan driver cannot be fetched, which must not be in CI"
        status=1
    fi
fi

configure build-tests -DCMAKE_BUILD_TYPE=Release -DGRAFT_TESTS=ON -DCMAKE_C_COMPILER=gcc \
    ${lavapipe:+"-DGRAFT_LAVAPIPE=$lavapipe" "-DGRAFT_GLSLC=$lavapipe/tools/glslc"}
build build-tests
if have_command clang; then
    configure build-clang -DCMAKE_BUILD_TYPE=Release -DGRAFT_TESTS=ON -DCMAKE_C_COMPILER=clang
    build build-clang
fi
configure build-asan --preset asan -DCMAKE_C_COMPILER=gcc
build build-asan

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
# Drivers leak as they are closed: the one test that is about them turns them on again.
VK_DRIVER_FILES=/nowhere VK_ICD_FILENAMES=/nowhere run_tests build-asan ${not_sanitized:+-E "$not_sanitized"}
run_tests build-tests

say "tests are done"
[ $status = 0 ] || echo "something failed: see above"
grep -h 'tests passed' build-asan/ctest.log | sed 's/^/sanitizers: /'
grep -h 'tests passed' build-tests/ctest.log
exit $status
