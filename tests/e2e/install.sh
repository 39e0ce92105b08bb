#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The installed tree: it works wherever it is moved to with nothing set, the program carries no
# device library, a plugin exports its descriptor alone, and an adapter built out of tree against
# the installed sdk trains.
. "$(dirname "$0")/lib.sh"
grep -q '^GRAFT_SANITIZE:BOOL=ON' "$build/CMakeCache.txt" &&
    { echo "a sanitizer build is not installed"; exit 77; }
cmake=$(sed -n 's/^CMAKE_COMMAND:INTERNAL=//p' "$build/CMakeCache.txt")
gives 0 "$cmake" --install "$build" --prefix "$work/first"
mkdir moved && mv first moved/tree
graft=$work/moved/tree/bin/graft

# --- what is there ---
for file in bin/graft include/graft/adapter.h include/graft/plugin.h; do
    is "$file is installed" test -s "moved/tree/$file"
done
plugins=$(dirname "$(find moved/tree -name adapter-lora.so)")
is "plugins are installed" test -d "$plugins"
is "and the CMake package" test -n "$(find moved/tree -name graft-sdk-config.cmake)"
if grep -rlF "$build" moved/tree >paths 2>/dev/null; then fail "the build folder is in $(cat paths)"; fi
gives 0 "$graft" --version
if [ -f "$source/.git/logs/HEAD" ] && git -C "$source" rev-parse HEAD >/dev/null 2>&1; then
    is "the commit is in $(cat out)" grep -Eq 'commit [0-9a-f]{10}' out
fi
if command -v ldd >/dev/null; then
    ldd "$graft" >libraries
    grep -Eiq 'blas|cuda|vulkan|cudart|atlas|mkl|libgomp' libraries && fail "$(cat libraries)"
    grep -q 'not found' libraries && fail "$(cat libraries)"
fi
for plugin in "$plugins"/*.so; do
    exported=$(nm -D --defined-only "$plugin" | awk '{ print $NF }' | tr '\n' ' ')
    is "$plugin exports $exported" test "$exported" = 'graft_plugin '
done

# --- it works there ---
write_recipe
gives 0 env -i PATH=/usr/bin:/bin "$graft" plugin list
for name in lora adamw cpu; do
    grep -Eq "(^|[^a-z])$name " out || fail "plugin list lacks $name: $(cat out)"
done
grep -Fq "$build" out && fail "plugin list names the build folder"
gives 0 env -i PATH=/usr/bin:/bin "$graft" train recipe.yaml --set train.max_steps=4 --set output=run
gives 0 "$build/bin/graft" train recipe.yaml --set train.max_steps=4 --set output=built
same run/adapter_model.safetensors built/adapter_model.safetensors
# by a link from a folder of the PATH
mkdir links && ln -s "$graft" links/graft
gives 0 env -i PATH="$work/links:/usr/bin:/bin" graft plugin show lora

# --- an adapter of somebody else's ---
mkdir mine
cat >mine/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(mine LANGUAGES C)
find_package(graft-sdk REQUIRED)
graft_add_plugin(adapter scaled scaled.c)
CMAKE
cat >mine/scaled.c <<'C'
/* y = s * base(x), one trained number s per output (Liu et al. 2022, arXiv:2205.05638) */
#include <graft/adapter.h>

struct scaled {
    double start;
};

static const struct graft_option options[] = {
    {.key = "start",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct scaled, start),
     .fallback = "1.0",
     .min = 0.5,
     .max = 2,
     .help = "what the layer is scaled by at first"},
};

static graft_value linear(struct graft_builder *b, const void *settings,
                          const struct graft_linear_site *site, graft_value x)
{
    const struct scaled *o = (const struct scaled *)settings;
    graft_value s = graft_param(b, site, "scaled_s", graft_shape1(site->out_features),
                                GRAFT_INIT_ZEROS, 0.0);
    return graft_mul(b, graft_base(b, site, x), graft_affine(b, s, 1.0, o->start));
}

static const struct graft_adapter functions = {.struct_size = (uint32_t)sizeof functions,
                                               .mergeable = 1,
                                               .linear = linear};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct scaled),
    .name = "scaled",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "outputs of linear layers scaled",
    .options = options,
    .functions = &functions,
};
C
generator=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' "$build/CMakeCache.txt")
gives 0 "$cmake" -S mine -B mine/build -G "$generator" "-DCMAKE_PREFIX_PATH=$work/moved/tree"
gives 0 "$cmake" --build mine/build
plugin=$(find mine/build -name adapter-scaled.so)
is "it is built" test -s "$plugin"
is "it exports its descriptor alone" test \
    "$(nm -D --defined-only "$plugin" | awk '{ print $NF }')" = graft_plugin
gives 0 "$graft" plugin show "./$plugin"
grep -q 'start' out || fail "plugin show says nothing of its key: $(cat out)"
cat >mine.yaml <<YAML
model: $model
data: {train: $data/stories.jsonl, valid: $data/valid.jsonl, max_length: 128}
adapter: {method: ./$plugin, start: 1.0, target_modules: all-linear}
optimizer: {method: adamw, lr: 2.0e-2}
train: {max_steps: 12, batch_size: 8, schedule: constant}
eval: {every: 0}
output: mine-run
YAML
gives 0 "$graft" train mine.yaml
number_is "$(number mine-run/report.json loss after) < $(number mine-run/report.json loss before)"
gives 0 "$graft" eval mine-run --json
number_is "$(number out loss) == $(number mine-run/report.json loss after)"
sed 's/start: 1.0/start: 3.0/' mine.yaml >far.yaml
gives 2 "$graft" train far.yaml --set output=far
grep -q 'far.yaml:3:[0-9]*: adapter.start: .*3.*0.5.*2' err || fail "its range: $(cat err)"
# in the folder of plugins it has a name
cp "$plugin" "$plugins"
gives 0 "$graft" plugin list
grep -q 'scaled' out || fail "not in the list: $(cat out)"
gives 0 "$graft" train mine.yaml --set adapter.method=scaled --set output=named --set train.max_steps=1
finish
