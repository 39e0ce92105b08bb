/* SPDX-License-Identifier: Apache-2.0
 *
 * The border: plugins that must be refused and why, plugins of other versions that must load, and
 * the pinned layout of the sdk (layout.txt). GRAFT_LAYOUT_WRITE=FILE writes the layout as it is.
 */
#include <graft/adapter.h>
#include <graft/backend.h>
#include <graft/optimizer.h>
#include <graft/quant.h>

#include "unit/test.h"

#include "abi/full.h"
#include "base/memory.h"
#include "plugin/options.h"
#include "plugin/plugin.h"
#include "plugin/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD GRAFT_BUILD_DIR "/tests/abi/bad/"
#define GOOD GRAFT_BUILD_DIR "/tests/abi/good"

static const struct {
    const char *file, *expected;
} refusals[] = {
    {"adapter-symbol.so", "adapter-symbol.so: symbol: found no graft_plugin"},
    {"adapter-undefined.so", "graft_no_such_symbol"},
    {"adapter-magic.so", "adapter-magic.so: magic: found 0x12345678, expected 0x54465247"},
    {"adapter-struct_size.so", "struct_size: found 40, expected 80"},
    {"adapter-struct_size_huge.so", "struct_size: found 4294967280, expected 80"},
    {"adapter-abi_major.so", "adapter-abi_major.so: abi_major: found 2, this graft has 1: rebuild "
                             "the plugin against this sdk"},
    {"adapter-kind.so", "kind: found optimizer, the file's name says adapter"},
    {"adapter-kind_unknown.so", "kind: found 9, this graft knows 1"},
    {"adapter-name.so", "name: found \"other\", the file's name says \"name\""},
    {"adapter-name_none.so", "name: found none, the file's name says \"name_none\""},
    {"adapter-license.so", "license: found none, expected an SPDX expression"},
    {"adapter-version.so", "version: found \"\", expected a version"},
    {"adapter-summary.so", "summary: found \"two\\x0alines\", expected one line"},
    {"adapter-options_size.so", "options_size: found 70000, at most 65536"},
    {"adapter-option_stride.so", "option_stride: found 16, expected 48"},
    {"adapter-option_none.so", "options: found none, option_count is 3"},
    {"adapter-option_key.so", "option 0: key: expected letters, digits and _"},
    {"adapter-option_type.so", "option r: type: found 9, this graft knows 1 to 6"},
    {"adapter-option_outside.so", "option r: offset: found 8, the member of 8 bytes ends past "
                                  "options_size 8"},
    {"adapter-option_unaligned.so", "option r: offset: found 4, its member is aligned to 8"},
    {"adapter-option_fallback.so",
     "option r: fallback: found \"80\", expected an integer, 1 to 64"},
    {"adapter-option_fallback_type.so", "option r: fallback: found \"8.5\", expected an integer"},
    {"adapter-option_choices.so", "option r: choices: found none"},
    {"adapter-option_range.so", "option r: min and max: found a range without a number"},
    {"adapter-option_twice.so", "option r: key: found twice"},
    {"adapter-option_pattern.so", "twice"},
    {"adapter-option_sites.so", "option r: pattern: found s, sites have none"},
    {"adapter-functions_none.so", "functions: found none, expected a struct graft_adapter"},
    {"adapter-functions_size.so", "functions.struct_size: found 8, expected 104"},
    {"adapter-functions_null.so", "functions: found no linear, norm, embedding, attention or block"},
    {"wrongly-named.so", "file name: expected KIND-NAME.so"},
};

static void test_refusals(void **state)
{
    struct text_list files = {0};
    struct error e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct plugin *plugin = NULL;
        char path[512];
        e.text[0] = '\0';
        snprintf(path, sizeof path, BAD "%s", refusals[i].file);
        assert_int_equal(plugin_load(GRAFT_PLUGIN_ADAPTER, path, NULL, &plugin, &e),
                         GRAFT_E_INVALID);
        assert_null(plugin);
        if (strstr(e.text, refusals[i].expected) == NULL)
            fail_msg("\"%s\" is not in: %s", refusals[i].expected, e.text);
    }
    /* Every bad plugin is in the table above. */
    assert_ok(search_files(BAD, &files, &e), &e);
    assert_int_equal(files.count, sizeof refusals / sizeof refusals[0]);
    text_list_fini(&files);
}

static const struct plugin *load_good(enum graft_plugin_kind kind, const char *file)
{
    struct error e = {0};
    const struct plugin *plugin = NULL, *again = NULL;
    assert_ok(plugin_load(kind, file, GOOD, &plugin, &e), &e);
    assert_ok(plugin_load(kind, file, GOOD, &again, &e), &e);
    assert_ptr_equal(plugin, again);
    return plugin;
}

static void test_minimal(void **state)
{
    const struct plugin *p = load_good(GRAFT_PLUGIN_ADAPTER, "./adapter-minimal.so");
    (void)state;
    assert_string_equal(p->name, "minimal");
    assert_string_equal(p->license, "Apache-2.0");
    assert_int_equal(p->option_count, 1);
    assert_string_equal(p->options[0].key, "r");
    assert_non_null(((const struct graft_adapter *)p->functions)->linear);
    p = load_good(GRAFT_PLUGIN_OPTIMIZER, "./optimizer-plain.so");
    assert_non_null(((const struct graft_optimizer *)p->functions)->update);
}

/* A stride of 48 (without pattern and help): the second option is found, the tail is empty. */
static void test_older(void **state)
{
    const struct plugin *p = load_good(GRAFT_PLUGIN_ADAPTER, "./adapter-older.so");
    (void)state;
    assert_int_equal(p->option_count, 2);
    assert_string_equal(p->options[1].key, "s");
    assert_int_equal(p->options[1].offset, 8);
    assert_null(p->options[0].pattern);
    assert_string_equal(p->options[0].help, "");
}

/* Descriptor, options and functions of a later minor version: larger, read as far as we know. */
static void test_newer(void **state)
{
    const struct plugin *p = load_good(GRAFT_PLUGIN_ADAPTER, "./adapter-newer.so");
    (void)state;
    assert_int_equal(p->abi_minor, GRAFT_ABI_MINOR + 1);
    assert_int_equal(p->option_count, 2);
    assert_string_equal(p->options[1].key, "s");
    assert_string_equal(p->options[1].help, "second");
    assert_true(((const struct graft_adapter *)p->functions)->struct_size >
                sizeof(struct graft_adapter));
}

static void test_wrong_kind(void **state)
{
    struct error e = {0};
    const struct plugin *plugin = NULL;
    (void)state;
    assert_int_equal(plugin_load(GRAFT_PLUGIN_BACKEND, "./adapter-minimal.so", GOOD, &plugin, &e),
                     GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "found a plugin of kind adapter, expected backend"));
}

static void write_layout(struct str *out)
{
#define MEMBER(type, member)                                                                       \
    str_printf(out, #type "." #member " at %zu, %zu bytes\n", offsetof(struct type, member),       \
               sizeof(((struct type *)0)->member));
#define SIZE(type) str_printf(out, #type " has %zu bytes\n", sizeof(type));
#define VALUE(name) str_printf(out, #name " is %d\n", (int)name);
#include "abi/layout.inc"
#undef MEMBER
#undef SIZE
#undef VALUE
}

/* Every line of layout.txt still holds. Members that were appended since have no line yet. */
static void test_layout(void **state)
{
    struct str now = {0};
    char line[256], name[512];
    size_t lines = 0;
    const char *target = getenv("GRAFT_LAYOUT_WRITE");
    (void)state;
    str_putc(&now, '\n');
    write_layout(&now);
    assert_false(now.failed);
    if (target != NULL) {
        FILE *out = fopen(target, "w");
        assert_non_null(out);
        assert_int_equal(fwrite(now.data + 1, 1, now.length - 1, out), now.length - 1);
        assert_int_equal(fclose(out), 0);
    }
    FILE *file = fopen(GRAFT_SOURCE_DIR "/tests/abi/layout.txt", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        snprintf(name, sizeof name, "\n%s", line);
        if (strstr(now.data, name) == NULL) fail_msg("the layout has changed, it was: %s", line);
        lines++;
    }
    fclose(file);
    assert_true(lines > 200);
    str_free(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_minimal),
        cmocka_unit_test(test_older),      cmocka_unit_test(test_newer),
        cmocka_unit_test(test_wrong_kind), cmocka_unit_test(test_layout),
    };
    return TEST_MAIN(tests);
}
