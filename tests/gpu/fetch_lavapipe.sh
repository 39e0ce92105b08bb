#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# fetch_lavapipe.sh DEST [--tools] [--validation] - a private Mesa lavapipe (Vulkan on the CPU)
# from a newer Debian suite, next to the system and without touching it.
#
# Nothing is installed: packages are fetched by apt with a private state
# folder, checked against Debian's archive keys, unpacked with dpkg -x, and
# only the files that lavapipe needs are kept.  Needs no root.  Run again, it
# does nothing when DEST is complete (--force: fetch the current packages).
#
# --tools       also keep glslang, glslc, spirv-val, spirv-dis and vulkaninfo
# --validation  also keep the Khronos validation layer (VK_LAYER_PATH=DEST/layers)
set -eu
suite=${GRAFT_LVP_SUITE:-forky}
# The mirror is the one this system already uses for Debian's main archive.
mirror=${GRAFT_LVP_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
  sed -n 's/ Debian$//p' | grep -v security | sort -u | head -1)}
[ -n "$mirror" ] || { echo "no Debian mirror among this system's sources; set GRAFT_LVP_MIRROR" >&2; exit 77; }
keyring=${GRAFT_LVP_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
dest= tools=0 layers=0 force=0
for a in "$@"; do
  case $a in
    --tools) tools=1 ;;
    --validation) layers=1 ;;
    --force) force=1 ;;
    -*) echo "unknown option $a" >&2; exit 2 ;;
    *) dest=$a ;;
  esac
done
[ -n "$dest" ] || { sed -n 4,14p "$0" >&2; exit 2; }
[ "$(dpkg --print-architecture)" = amd64 ] || { echo "amd64 only" >&2; exit 77; }
[ -r "$keyring" ] || { echo "no keyring $keyring" >&2; exit 77; }
mkdir -p "$dest"; dest=$(cd "$dest" && pwd -P)
stamp=$dest/MANIFEST
if [ $force = 0 ] && [ -s "$stamp" ] && { [ $tools = 0 ] || [ -x "$dest/tools/glslang" ]; } &&
   { [ $layers = 0 ] || [ -d "$dest/layers" ]; }; then
  echo "$dest is complete ($(sed -n 's/^mesa-vulkan-drivers //p' "$stamp" | cut -d' ' -f1))"; exit 0
fi

work=$(mktemp -d "$dest/.work.XXXXXX"); trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{state/lists/partial,cache/archives/partial,x,log}
: > "$work/status"
echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite main" > "$work/sources.list"
apt=(apt-get -q -y
  -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
  -o Dir::Etc::trusted=/dev/null -o Dir::Etc::trustedparts=/dev/null
  -o Dir::State="$work/state" -o Dir::State::lists="$work/state/lists"
  -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache"
  -o Dir::Log="$work/log" -o APT::Sandbox::User= -o APT::Architecture=amd64
  -o Acquire::Languages=none -o Acquire::Retries=3
  -o Acquire::AllowInsecureRepositories=false
  -o APT::Install-Recommends=false -o APT::Update::Post-Invoke::=
  -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false
  -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
"${apt[@]}" update >"$work/update.log" 2>&1 || { cat "$work/update.log" >&2; exit 1; }
# apt-get update can end 0 after falling back to nothing: insist on the index
ls "$work"/state/lists/*_Packages* >/dev/null 2>&1 || { cat "$work/update.log" >&2; exit 1; }
pkgs=(mesa-vulkan-drivers libvulkan1 libyaml-0-2)
[ $tools = 0 ] || pkgs+=(glslang-tools glslc spirv-tools vulkan-tools)
[ $layers = 0 ] || pkgs+=(vulkan-validationlayers)
"${apt[@]}" --download-only install "${pkgs[@]}" >"$work/install.log" 2>&1 ||
  { tail -20 "$work/install.log" >&2; exit 1; }
for d in "$work"/cache/archives/*.deb; do dpkg -x "$d" "$work/x"; done

src=$work/x/usr/lib/x86_64-linux-gnu ld=ld-linux-x86-64.so.2
new=$work/new; mkdir -p "$new/lib"
keep() { cp -L "$(readlink -f "$src/$1")" "$new/lib/$1"; }
keep $ld
closure() { # print the sonames that the given files load
  local f; for f; do "$src/$ld" --library-path "$src" --list "$f" 2>/dev/null; done |
    sed -n 's/^[[:space:]]*\([^ /]*\.so[^ ]*\) => .*/\1/p' | sort -u; }
roots=("$src/libvulkan_lvp.so" "$src/libvulkan.so.1" "$src/libyaml-0.so.2")
# glibc's own small libraries, and the C++ runtime that a test may link
extra=(libm.so.6 libmvec.so.1 libdl.so.2 libpthread.so.0 librt.so.1 libstdc++.so.6 libgcc_s.so.1)
if [ $tools = 1 ]; then
  mkdir -p "$new/tools"
  for t in glslang glslc spirv-val spirv-dis spirv-opt vulkaninfo; do
    [ -e "$work/x/usr/bin/$t" ] || continue
    cp -L "$work/x/usr/bin/$t" "$new/tools/$t"; roots+=("$work/x/usr/bin/$t")
  done
fi
layer=libVkLayer_khronos_validation.so
if [ $layers = 1 ]; then
  f=$(find "$work/x/usr" -name $layer | head -1); j=$(find "$work/x/usr" -name 'VkLayer_khronos_validation.json' | head -1)
  cp -L "$f" "$new/lib/$layer"; roots+=("$f"); mkdir "$new/layers"
  sed "s|\"library_path\": *\"[^\"]*\"|\"library_path\": \"$dest/lib/$layer\"|" "$j" > "$new/layers/validation.json"
fi
for s in $(closure "${roots[@]}") "${extra[@]}" libvulkan.so.1 libvulkan_lvp.so libyaml-0.so.2; do
  [ ! -e "$src/$s" ] || keep "$s"
done
api=$(sed -n 's/.*"api_version": *"\([^"]*\)".*/\1/p' "$work"/x/usr/share/vulkan/icd.d/lvp_icd*.json | head -1)
printf '{"file_format_version":"1.0.1","ICD":{"api_version":"%s","library_path":"%s"}}\n' \
  "$api" "$dest/lib/libvulkan_lvp.so" > "$new/lvp_icd.json"
cat > "$new/run" <<'W'
#!/bin/bash
# run PROGRAM ARGS under this folder's C library and Vulkan driver
d=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export VK_DRIVER_FILES=$d/lvp_icd.json VK_ICD_FILENAMES=$d/lvp_icd.json
p=$(command -v "$1") || { echo "run: no program $1" >&2; exit 127; }; shift
exec "$d/lib/ld-linux-x86-64.so.2" --library-path "$d/lib" "$p" "$@"
W
chmod +x "$new/run"
# Linker flags: a program linked with these runs on this folder's C library by
# itself, so a test may fork and exec it.  DT_RPATH, not RUNPATH:
# the driver's own libraries must be found through it too.
echo "-Wl,--dynamic-linker=$dest/lib/$ld -Wl,--disable-new-dtags,-rpath,$dest/lib -Wl,--allow-shlib-undefined" > "$new/ldflags"
for t in "$new"/tools/*; do
  [ -e "$t" ] || continue
  b=$(basename "$t"); mkdir -p "$new/libexec"; mv "$t" "$new/libexec/$b"
  printf '#!/bin/bash\nd=%q\nexec "$d/run" "$d/libexec/%s" "$@"\n' "$dest" "$b" > "$t"; chmod +x "$t"
done
(cd "$work/cache/archives" && for d in *.deb; do
  echo "$(dpkg-deb -f "$d" Package) $(dpkg-deb -f "$d" Version) $(sha256sum "$d" | cut -d' ' -f1)"; done) > "$new/MANIFEST"
rm -rf "$dest"/{lib,layers,tools,libexec,run,ldflags,lvp_icd.json,MANIFEST}
stat=$(du -sm "$work/cache/archives" | cut -f1)
for f in "$new"/*; do [ "$(basename "$f")" = MANIFEST ] || mv "$f" "$dest/"; done
mv "$new/MANIFEST" "$dest/"        # last: it marks DEST as complete
echo "$dest: $(wc -l < "$dest/MANIFEST") packages, ${stat} MiB fetched, $(du -sm "$dest" --exclude='.work*' | cut -f1) MiB kept"
