/* SPDX-License-Identifier: Apache-2.0
 *
 * Ten updates of each optimizer plugin, on made-up gradients, against what torch and
 * the published formulas give (make_optimizers.py); through the trainer's own update program.
 */
#include "unit/test.h"

#include "base/json.h"
#include "base/memory.h"
#include "file/safetensors.h"
#include "train/update.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DATA GRAFT_SOURCE_DIR "/tests/golden/data/optimizers/"

enum { TENSORS = 3, MOST = 1024, OPTIONS = 8 };

struct golden {
    json_t *cases;
    struct safetensors *trace;
};

struct run {
    struct session session;
    struct settings settings;
    struct update_program update;
    struct stored *params[TENSORS];
};

static const char *const names[TENSORS] = {"w", "tall", "b"};

static void shape_of(const json_t *cases, size_t index, struct graft_shape *shape)
{
    const json_t *list = json_object_get(json_object_get(cases, "shapes"), names[index]);
    *shape = graft_shape1(1);
    shape->rank = (int32_t)json_array_size(list);
    for (size_t i = 0; i < json_array_size(list); i++)
        shape->dim[i] = json_integer_value(json_array_get(list, i));
}

/* As make_optimizers.py: tensor(step, index). */
static void numbers(int step, size_t index, float *out, size_t count)
{
    uint32_t seed = (uint32_t)step * 16 + (uint32_t)index;
    for (size_t i = 0; i < count; i++) {
        uint32_t h = (uint32_t)i * 2654435761u + seed * 40503u + 12345u;
        h = (h ^ h >> 16) * 0x7FEB352Du;
        h = (h ^ h >> 15) * 0x846CA68Bu;
        h ^= h >> 16;
        out[i] = (float)(h >> 8) / 8388608.0f - 1.0f;
        if (step != 0) out[i] *= ldexpf(1.0f, step % 3 - 5);
    }
}

static void write_numbers(struct run *r, int step)
{
    struct error e = {0};
    float x[MOST];
    for (size_t i = 0; i < TENSORS; i++) {
        const struct stored *p = step == 0 ? r->params[i] : r->params[i]->gradient;
        numbers(step, i, x, (size_t)graft_shape_count(p->shape));
        assert_ok(stored_write(p, r->session.backend, x, p->bytes, &e), &e);
    }
}

static void load_optimizer(struct settings *s, const char *method, const json_t *options)
{
    struct error e = {0};
    struct option_input inputs[OPTIONS];
    struct option_request request = {.path = "optimizer", .place = "here", .inputs = inputs};
    assert_ok(plugin_load(GRAFT_PLUGIN_OPTIMIZER, method, NULL, &s->optimizer.plugin, &e), &e);
    for (void *it = json_object_iter((json_t *)(uintptr_t)options); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)options, it)) {
        const json_t *v = json_object_iter_value(it);
        inputs[request.count++] =
            (struct option_input){.key = json_object_iter_key(it),
                                  .type = json_is_boolean(v)   ? OPTION_INPUT_BOOL
                                          : json_is_integer(v) ? OPTION_INPUT_INT
                                          : json_is_real(v)    ? OPTION_INPUT_FLOAT
                                                               : OPTION_INPUT_STRING,
                                  .b = json_is_true(v),
                                  .i = json_integer_value(v),
                                  .f = json_real_value(v),
                                  .s = json_string_value(v),
                                  .place = "here"};
    }
    request.plugin = s->optimizer.plugin;
    assert_ok(option_values_create(&request, &s->optimizer.options, &e), &e);
}

static void run_open(struct run *r, const struct golden *g, const char *method,
                     const json_t *options)
{
    struct error e = {0};
    struct device_request request = {.name = "cpu", .threads = 2};
    struct session *s = &r->session;
    load_optimizer(&r->settings, method, options);
    assert_ok(store_create(&s->store, &e), &e);
    for (size_t i = 0; i < TENSORS; i++) {
        struct graft_shape shape;
        shape_of(g->cases, i, &shape);
        r->params[i] = store_add_trained(s->store, names[i], shape);
        assert_non_null(r->params[i]);
    }
    assert_ok(update_plan(s, &r->settings, &r->update, &e), &e);
    assert_ok(device_open(&request, &s->device, &e), &e);
    s->backend = device_backend(s->device);
    for (int kind = STORE_ADAPTER; kind < STORE_CLASSES; kind++)
        assert_ok(store_allocate(s->store, (enum store_class)kind, s->backend, &e), &e);
    assert_int_equal(
        s->backend->api->buffer_create(s->backend->device, session_transient(s), &s->transient), 0);
    assert_ok(update_compile(s, &r->update, &e), &e);
    write_numbers(r, 0);
}

static void run_close(struct run *r)
{
    update_destroy(&r->update);
    r->session.backend->api->buffer_destroy(r->session.transient);
    store_destroy(r->session.store);
    device_close(r->session.device);
    option_values_destroy(r->settings.optimizer.options);
}

static void run_steps(struct run *r, const json_t *cases, int from, int to)
{
    double lr = json_real_value(json_object_get(cases, "lr"));
    struct error e = {0};
    for (int step = from; step <= to; step++) {
        float norm = 0;
        write_numbers(r, step);
        assert_ok(update_run(&r->session, &r->update, lr * (1.0 - 0.05 * step),
                             r->settings.optimizer.weight_decay, step, &norm, &e),
                  &e);
        assert_true(norm > 0);
    }
}

static void compare(const struct run *r, const struct golden *g, const char *name, double tolerance)
{
    struct error e = {0};
    float ours[MOST];
    double worst = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        char key[128];
        double most = 0, difference = 0;
        snprintf(key, sizeof key, "%s.%s", name, names[i]);
        const struct tensor_view *view = safetensors_find(g->trace, key);
        assert_non_null(view);
        assert_int_equal(view->bytes, r->params[i]->bytes);
        const float *theirs = view->data;
        assert_ok(stored_read(r->params[i], r->session.backend, ours, view->bytes, &e), &e);
        for (size_t k = 0; k < view->bytes / sizeof(float); k++) {
            difference = fmax(difference, fabs((double)ours[k] - (double)theirs[k]));
            most = fmax(most, fabs((double)theirs[k]));
        }
        worst = fmax(worst, difference / most);
    }
    printf("%-14s %.1e\n", name, worst);
    if (!(worst <= tolerance))
        fail_msg("%s: differs by %.2e, at most %.0e", name, worst, tolerance);
}

static void golden_open(struct golden *g)
{
    struct error e = {0};
    assert_ok(json_read_file(DATA "cases.json", 1 << 20, &g->cases, &e), &e);
    assert_ok(safetensors_open(DATA "trace.safetensors", &g->trace, &e), &e);
}

static void golden_close(struct golden *g)
{
    json_decref(g->cases);
    safetensors_close(g->trace);
}

/* The codes after the last step are the nearest ones.  */
static void compare_codes(const struct run *r, const struct golden *g)
{
    static const char *const states[] = {"exp_avg", "exp_avg_sq"};
    struct error e = {0};
    for (int i = 0; i < 2; i++) {
        unsigned char codes[MOST];
        char key[128], name[128];
        snprintf(key, sizeof key, "adamw8bit.state.%s", states[i]);
        snprintf(name, sizeof name, "tall/%s", states[i]);
        const struct tensor_view *view = safetensors_find(g->trace, key);
        const struct stored *state = store_find(r->session.store, STORE_STATE, name);
        assert_non_null(view);
        assert_non_null(state);
        assert_int_equal(state->dtype, GRAFT_DTYPE_U8);
        assert_int_equal(state->bytes, view->bytes);
        assert_ok(stored_read(state, r->session.backend, codes, state->bytes, &e), &e);
        assert_memory_equal(codes, view->data, view->bytes);
    }
}

static void test_golden(void **state)
{
    struct golden g;
    size_t index;
    const json_t *item;
    (void)state;
    golden_open(&g);
    const json_t *cases = json_object_get(g.cases, "cases");
    assert_true(json_array_size(cases) >= 11);
    json_array_foreach(cases, index, item)
    {
        struct run r = {0};
        const char *name = json_string_value(json_object_get(item, "name"));
        r.settings.optimizer.weight_decay =
            json_number_value(json_object_get(item, "weight_decay"));
        run_open(&r, &g, json_string_value(json_object_get(item, "method")),
                 json_object_get(item, "options"));
        run_steps(&r, g.cases, 1, (int)json_integer_value(json_object_get(g.cases, "steps")));
        compare(&r, &g, name, json_real_value(json_object_get(item, "tolerance")));
        if (strcmp(name, "adamw8bit") == 0) compare_codes(&r, &g);
        run_close(&r);
    }
    golden_close(&g);
}

/* A group's learning rate and decay are those of a run that has them for everything. */
static void check_groups(const char *method)
{
    struct settings_group groups[] = {{"^tall$", 3.0, 0.25}, {"w|tall", 0.5, 0.0}};
    struct golden g;
    struct error e = {0};
    struct run mixed = {0};
    golden_open(&g);
    mixed.settings.optimizer.weight_decay = 0.1;
    mixed.settings.optimizer.groups = groups;
    mixed.settings.optimizer.group_count = 2;
    run_open(&mixed, &g, method, NULL);
    run_steps(&mixed, g.cases, 1, 3);
    for (size_t i = 0; i < TENSORS; i++) {
        static const double scales[TENSORS] = {0.5, 3.0, 1.0}, decays[TENSORS] = {0.0, 0.25, 0.1};
        struct run alone = {0};
        float a[MOST], b[MOST];
        alone.settings.optimizer.weight_decay = decays[i];
        run_open(&alone, &g, method, NULL);
        for (int step = 1; step <= 3; step++) {
            float norm;
            double lr = json_real_value(json_object_get(g.cases, "lr"));
            write_numbers(&alone, step);
            assert_ok(update_run(&alone.session, &alone.update,
                                 scales[i] * lr * (1.0 - 0.05 * step), decays[i], step, &norm, &e),
                      &e);
        }
        const struct stored *p = mixed.params[i];
        assert_ok(stored_read(p, mixed.session.backend, a, p->bytes, &e), &e);
        assert_ok(stored_read(alone.params[i], alone.session.backend, b, p->bytes, &e), &e);
        for (size_t k = 0; k < p->bytes / sizeof(float); k++)
            if (fabsf(a[k] - b[k]) > 1e-6f * fmaxf(1.0f, fabsf(b[k])))
                fail_msg("%s: %s[%zu] is %g, alone %g", method, names[i], k, (double)a[k],
                         (double)b[k]);
        run_close(&alone);
    }
    run_close(&mixed);
    golden_close(&g);
}

static void test_groups(void **state)
{
    (void)state;
    check_groups("adamw");     /* one flat vector */
    check_groups("adafactor"); /* tensor by tensor */
}

static void refused(const struct settings_group *groups, size_t count, const char *text)
{
    struct golden g;
    struct error e = {0};
    struct run r = {0};
    golden_open(&g);
    load_optimizer(&r.settings, "sgd", NULL);
    r.settings.optimizer.groups = (struct settings_group *)(uintptr_t)groups;
    r.settings.optimizer.group_count = count;
    assert_ok(store_create(&r.session.store, &e), &e);
    assert_non_null(store_add_trained(r.session.store, "w", graft_shape1(4)));
    assert_int_equal(update_plan(&r.session, &r.settings, &r.update, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, text);
    store_destroy(r.session.store);
    option_values_destroy(r.settings.optimizer.options);
    golden_close(&g);
}

static void test_bad_groups(void **state)
{
    static const struct settings_group none[] = {{"lora_B", 16, 0}};
    static const struct settings_group late[] = {{".", 1, 0}, {"w", 16, 0}};
    static const struct settings_group wrong[] = {{"(", 1, 0}};
    (void)state;
    refused(none, 1, "optimizer.groups.0.match: \"lora_B\" finds no parameter; a key is w");
    refused(late, 2,
            "optimizer.groups.1.match: \"w\" finds only parameters that groups before it have: put "
            "it first");
    refused(wrong, 1,
            "optimizer.groups.0.match: \"(\" is not a regular expression: missing closing "
            "parenthesis at 1");
}

/* A step whose gradient is not finite changes nothing, whatever the state's type. */
static void test_guard(void **state)
{
    static const char *const methods[] = {"sgd",  "adam",      "adamw",    "lion",
                                          "muon", "adafactor", "adamw8bit"};
    struct golden g;
    struct error e = {0};
    (void)state;
    golden_open(&g);
    for (size_t m = 0; m < sizeof methods / sizeof methods[0]; m++) {
        struct run r = {0};
        float before[MOST], after[MOST], norm = 0, bad = (float)NAN;
        unsigned char states[2][MOST * 16];
        const struct stored *s;
        json_t *small =
            strcmp(methods[m], "adamw8bit") == 0 ? json_pack("{s:i}", "min_8bit_size", 1) : NULL;
        run_open(&r, &g, methods[m], small);
        run_steps(&r, g.cases, 1, 2);
        for (int round = 0; round < 2; round++) {
            uint64_t at = 0;
            for (s = store_first(r.session.store, STORE_STATE); s != NULL; s = s->next) {
                assert_true(at + s->bytes <= sizeof states[0]);
                assert_ok(stored_read(s, r.session.backend, states[round] + at, s->bytes, &e), &e);
                at += s->bytes;
            }
            assert_ok(stored_read(r.params[1], r.session.backend, round == 0 ? before : after,
                                  r.params[1]->bytes, &e),
                      &e);
            if (round == 1) {
                assert_memory_equal(before, after, r.params[1]->bytes);
                assert_memory_equal(states[0], states[1], at);
                break;
            }
            write_numbers(&r, 3);
            assert_ok(stored_write(r.params[2]->gradient, r.session.backend, &bad, sizeof bad, &e),
                      &e);
            assert_ok(update_run(&r.session, &r.update, 0.1, 0.0, 3, &norm, &e), &e);
            assert_true(isfinite(norm) == 0);
        }
        run_close(&r);
        json_decref(small);
    }
    golden_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_bad_groups),
        cmocka_unit_test(test_guard),
    };
    return TEST_MAIN(tests);
}
