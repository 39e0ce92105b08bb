/* SPDX-License-Identifier: Apache-2.0
 *
 * What holds of every adapter that the build has: each option is taken at its bounds and in every
 * choice and refused just outside, and every such adapter either fits the golden model or says in
 * one line why not. Adapters of linear layers change nothing before they are trained.
 */
#include "unit/test.h"

#include "base/memory.h"
#include "file/safetensors.h"
#include "session/loss.h"

#include <graft/adapter.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN GRAFT_SOURCE_DIR "/tests/golden/data/"

enum { CAPACITY = 128 };

static enum graft_status options_make(const struct plugin *plugin, const struct option_input *in,
                                      size_t count, struct option_values **values, struct error *e)
{
    struct option_request request = {
        .plugin = plugin, .path = "adapter", .place = "the test", .inputs = in, .count = count};
    return option_values_create(&request, values, e);
}

static enum graft_status open_with(const struct settings_adapter *adapter, struct session **session,
                                   struct error *e)
{
    struct session_request request = {.model = GOLDEN "llama",
                                      .quantize = "keep",
                                      .adapters = adapter,
                                      .adapter_count = adapter != NULL,
                                      .no_text = true,
                                      .seed = 42};
    return session_open(&request, session, e);
}

/* Each adapter of the build, as `found` sees it. */
static void for_each(void (*found)(const struct plugin *plugin))
{
    struct error e = {0};
    struct plugin_list *list = NULL;
    size_t count = 0;
    assert_ok(plugin_list_create(&list, &e), &e);
    for (size_t i = 0; i < list->count; i++) {
        const struct plugin *plugin = list->items[i].plugin;
        if (plugin == NULL || plugin->kind != GRAFT_PLUGIN_ADAPTER) continue;
        found(plugin);
        count++;
    }
    plugin_list_destroy(list);
    assert_true(count >= 9);
}

/* ---- options ---- */

enum { MOST_REQUIRED = 8 };

/* `in`, and the least value of every other option that has no default. */
static size_t with_required(const struct plugin *plugin, const struct option_input *in,
                            struct option_input all[MOST_REQUIRED])
{
    size_t count = 1;
    all[0] = *in;
    for (size_t i = 0; i < plugin->option_count; i++) {
        const struct graft_option *o = &plugin->options[i];
        if (o->fallback != NULL || strcmp(o->key, in->key) == 0) continue;
        assert_int_equal(o->type, GRAFT_OPTION_INT);
        assert_true(count < MOST_REQUIRED);
        all[count++] = (struct option_input){
            .key = o->key, .type = OPTION_INPUT_INT, .i = (int64_t)o->min, .place = "the test"};
    }
    return count;
}

/* One option at one value: taken, and then the model is built or a line says why not. */
static void try_value(const struct plugin *plugin, const struct option_input *in, bool taken)
{
    struct error e = {0};
    struct settings_adapter adapter = {.method = plugin->name, .plugin = plugin};
    struct session *session = NULL;
    struct option_input all[MOST_REQUIRED];
    size_t count = with_required(plugin, in, all);
    enum graft_status status = options_make(plugin, all, count, &adapter.options, &e);
    if ((status == GRAFT_OK) != taken)
        fail_msg("%s: %s: %s", plugin->name, in->key, taken ? e.text : "was not refused");
    if (!taken) {
        assert_int_equal(status, GRAFT_E_INVALID);
        assert_non_null(strstr(e.text, in->key));
        return;
    }
    status = open_with(&adapter, &session, &e);
    if (status != GRAFT_OK && (status != GRAFT_E_INVALID || strncmp(e.text, "adapter: ", 9) != 0 ||
                               strchr(e.text, '\n') != NULL))
        fail_msg("%s: %s: %s", plugin->name, in->key, e.text);
    session_close(session);
    option_values_destroy(adapter.options);
}

static void try_number(const struct plugin *plugin, const struct graft_option *o, double value,
                       bool taken)
{
    struct option_input in = {.key = o->key, .place = "the test"};
    in.type = o->type == GRAFT_OPTION_INT ? OPTION_INPUT_INT : OPTION_INPUT_FLOAT;
    in.i = (int64_t)value;
    in.f = value;
    try_value(plugin, &in, taken);
}

static void try_option(const struct plugin *plugin, const struct graft_option *o)
{
    struct option_input in = {.key = o->key, .type = OPTION_INPUT_BOOL, .place = "the test"};
    bool bounded = o->min < 0 || o->min > 0 || o->max < 0 || o->max > 0;
    double step = o->type == GRAFT_OPTION_INT ? 1.0 : 1e-9;
    switch (o->type) {
    case GRAFT_OPTION_BOOL:
        for (int i = 0; i < 2; i++) {
            in.b = i != 0;
            try_value(plugin, &in, true);
        }
        break;
    case GRAFT_OPTION_CHOICE:
        in.type = OPTION_INPUT_STRING;
        for (size_t i = 0; o->choices[i] != NULL; i++) {
            in.s = o->choices[i];
            try_value(plugin, &in, true);
        }
        in.s = "nonesuch";
        try_value(plugin, &in, false);
        break;
    case GRAFT_OPTION_INT:
    case GRAFT_OPTION_FLOAT:
        if (!bounded) break;
        try_number(plugin, o, o->min, true);
        try_number(plugin, o, o->max, true);
        try_number(plugin, o, o->min - step, false);
        try_number(plugin, o, o->max + step * fmax(1.0, o->max), false);
        break;
    default: break;
    }
}

static void check_options(const struct plugin *plugin)
{
    for (size_t i = 0; i < plugin->option_count; i++) try_option(plugin, &plugin->options[i]);
}

static void test_options(void **state)
{
    (void)state;
    for_each(check_options);
}

/* ---- the start ---- */

/* The loss of the first row of the golden trace; NULL: the bare model. */
static double first_loss(const struct settings_adapter *adapter)
{
    struct error e = {0};
    struct device_request device = {.name = "cpu", .base_dir = ".", .threads = 1};
    struct session *session = NULL;
    struct batch_slot slot;
    struct micro_batch batch;
    struct loss_program program;
    struct safetensors *trace = NULL;
    float loss = NAN;
    assert_ok(safetensors_open(GOLDEN "llama/trace.safetensors", &trace, &e), &e);
    struct data_sequence row = {.ids = safetensors_find(trace, "tokens")->data,
                                .labels = safetensors_find(trace, "labels")->data};
    row.length = (size_t)((const int32_t *)safetensors_find(trace, "row_lengths")->data)[0];
    for (size_t k = 1; k < row.length; k++) row.trained += row.labels[k] != LABEL_IGNORED;
    struct data_tokens tokens = {.rows = &row, .count = 1};
    const uint32_t rows[1] = {0};
    size_t begin[2];
    struct packed_step packed;

    assert_ok(open_with(adapter, &session, &e), &e);
    assert_ok(batch_slot_create(session, CAPACITY, &slot, &e), &e);
    assert_ok(micro_batch_create(CAPACITY, &batch, &e), &e);
    assert_ok(loss_program_plan(session, &slot, false, false, &program, &e), &e);
    assert_ok(session_start(session, &device, &e), &e);
    assert_ok(loss_program_compile(session, &program, &e), &e);
    assert_ok(pack_step(&tokens, rows, 1, CAPACITY, begin, &packed, &e), &e);
    pack_micro_batch(&packed, 0, &batch);
    assert_ok(
        loss_program_run(session, &program, &batch, 1.0 / (double)packed.trained, 1, &loss, &e),
        &e);
    loss_program_destroy(&program);
    micro_batch_destroy(&batch);
    batch_slot_destroy(&slot);
    session_close(session);
    safetensors_close(trace);
    return (double)loss;
}

static void check_identity(const struct plugin *plugin)
{
    struct error e = {0};
    struct settings_adapter adapter = {.method = plugin->name, .plugin = plugin};
    struct option_input inputs[8];
    const struct graft_adapter *functions = plugin->functions;
    size_t count = 0;
    if (functions->linear == NULL) return;
    /* The default rank may exceed these layers (OFT's is 0 by default), and some keys have none. */
    for (size_t i = 0; i < plugin->option_count && count < 8; i++) {
        const struct graft_option *o = &plugin->options[i];
        if (o->fallback == NULL || (strcmp(o->key, "r") == 0 && o->min > 0))
            inputs[count++] = (struct option_input){
                .key = o->key, .type = OPTION_INPUT_INT, .i = 4, .place = "the test"};
    }
    assert_ok(options_make(plugin, inputs, count, &adapter.options, &e), &e);
    double bare = first_loss(NULL), found = first_loss(&adapter);
    if (!(fabs(found - bare) <= 1e-6 * bare))
        fail_msg("%s: the loss begins at %.9g, not %.9g", plugin->name, found, bare);
    option_values_destroy(adapter.options);
}

static void test_identity(void **state)
{
    (void)state;
    for_each(check_identity);
}

/* ---- refusals of one plugin's own ---- */

static void refused(const char *method, const struct option_input *in, size_t count,
                    const char *expected)
{
    struct error e = {0};
    struct settings_adapter adapter = {.method = method};
    struct session *session = NULL;
    assert_ok(plugin_load(GRAFT_PLUGIN_ADAPTER, method, ".", &adapter.plugin, &e), &e);
    assert_ok(options_make(adapter.plugin, in, count, &adapter.options, &e), &e);
    assert_int_equal(open_with(&adapter, &session, &e), GRAFT_E_INVALID);
    if (strstr(e.text, expected) == NULL) fail_msg("\"%s\" is not in: %s", expected, e.text);
    option_values_destroy(adapter.options);
}

static void test_refusals(void **state)
{
    const struct option_input name = {.type = OPTION_INPUT_STRING, .s = "dwn", .place = "p"};
    const struct option_input sites = {.key = "feedforward_modules",
                                       .type = OPTION_INPUT_LIST,
                                       .items = &name,
                                       .count = 1,
                                       .place = "p"};
    const struct option_input r = {.key = "r", .type = OPTION_INPUT_INT, .i = 100, .place = "p"};
    (void)state;
    refused("ia3", &sites, 1, "adapter: feedforward_modules: \"dwn\" matches none of the");
    refused("lora", &r, 1, "r: 100 exceeds the layer's 32 inputs or 32 outputs");
    refused("miss", &r, 1, "r: 100 exceeds the layer's 32 inputs");
    refused("oft", &r, 1, "r: 100 and oft_block_size: 32: one of them is 0");
}

int main(void)
{
    setenv("GRAFT_PLUGIN_PATH", GRAFT_BUILD_DIR "/" GRAFT_PLUGIN_DIR, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_refusals),
    };
    return TEST_MAIN(tests);
}
