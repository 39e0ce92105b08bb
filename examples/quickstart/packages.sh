# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the quick start and by tests/run.sh: what the build needs, told by whether it is there,
# not by whose package it is. As root, or with sudo, the missing packages are installed with apt;
# elsewhere the names are printed and the script stops with 2.

have_headers() { printf '#include <%s>\n' "$1" | cc -E -x c - >/dev/null 2>&1; }
have_module() { pkg-config --exists "$1" >/dev/null 2>&1; }
have_command() { command -v "$1" >/dev/null 2>&1; }

missing_packages=()
# need PACKAGES TEST ARGUMENT...: packages (one word each) are missing when the test fails
need() {
    local packages=$1
    shift
    # shellcheck disable=SC2206 # split on purpose
    "$@" >/dev/null 2>&1 || missing_packages+=($packages)
}

need_build() {
    need "gcc libc6-dev" have_headers stdio.h
    need cmake have_command cmake
    have_command make || need ninja-build have_command ninja
    need pkg-config have_command pkg-config
    need libyaml-dev have_module yaml-0.1
    need libjansson-dev have_module jansson
    need libmd-dev have_module libmd
    need libutf8proc-dev have_module libutf8proc
    need libpcre2-dev have_module libpcre2-8
    need glslc have_command glslc # these two: the Vulkan backend
    need libvulkan-dev have_headers vulkan/vulkan_core.h
}

as_root=()
find_root() {
    if [ "$(id -u)" = 0 ]; then return 0; fi
    as_root=(sudo)
    have_command sudo || return 1
    if [ -t 0 ] && [ -t 2 ]; then return 0; fi # sudo may ask
    sudo -n true 2>/dev/null
}

install_missing() {
    [ ${#missing_packages[@]} = 0 ] && return 0
    if ! have_command apt-get || ! find_root; then
        echo "$0: these packages are missing (Debian's names): ${missing_packages[*]}" >&2
        echo "$0: install them, then start me again: sudo apt-get install ${missing_packages[*]}" >&2
        exit 2
    fi
    echo "== installing ${missing_packages[*]}"
    if ! { "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
            --no-install-recommends "${missing_packages[@]}" >/dev/null; }; then
        echo "$0: apt-get could not install ${missing_packages[*]}; see its message above" >&2
        exit 1
    fi
    missing_packages=()
}

generator() { if have_command ninja; then echo Ninja; else echo "Unix Makefiles"; fi; }
