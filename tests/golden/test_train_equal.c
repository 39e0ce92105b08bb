/* SPDX-License-Identifier: Apache-2.0
 *
 * What must not change a training run: how a step is cut, gradient checkpointing, the number of
 * threads, the file format of the base; and an adapter that is saved, loaded and saved again.
 */
#include "golden/training.h"

/* All parameters after the whole trace, end to end; free. */
static float *trained(const struct rig_request *q, size_t together, size_t *count)
{
    struct trace t;
    struct rig r;
    float *all = NULL;
    *count = 0;
    trace_open(&t, q->adapter);
    rig_open(&r, q);
    rig_train(&r, &t, together);
    for (const struct stored *p = rig_first(&r); p != NULL; p = p->next) {
        size_t n = p->bytes / sizeof *all;
        float *values = rig_read(&r, p, false), *grown = realloc(all, (*count + n) * sizeof *all);
        assert_non_null(grown);
        all = grown;
        memcpy(all + *count, values, p->bytes);
        *count += n;
        free(values);
    }
    rig_close(&r);
    trace_close(&t);
    return all;
}

/* The largest difference of the adapters after both runs; exact 0 is bit-equal. */
static double difference(const struct rig_request *a, size_t together_a,
                         const struct rig_request *b, size_t together_b)
{
    size_t na, nb;
    float *x = trained(a, together_a, &na), *y = trained(b, together_b, &nb);
    double worst = 0;
    assert_int_equal(na, nb);
    for (size_t i = 0; i < na; i++) {
        double d = fabs((double)x[i] - (double)y[i]);
        if (!(d <= worst)) worst = d;
    }
    if (worst == 0 && memcmp(x, y, na * sizeof *x) != 0) worst = 1; /* signed zeros */
    free(x);
    free(y);
    return worst;
}

/* ---- accumulation ---- */

static void check_accumulation(const char *name, double dropout)
{
    const struct rig_request q = {.model = name, .adapter = name, .dropout = dropout};
    struct trace t;
    struct rig one, eight;
    double worst = 0;
    trace_open(&t, name);
    rig_open(&one, &q);
    rig_open(&eight, &q);
    double a = rig_loss(&one, &t, 0, 0, MOST_ROWS, MOST_ROWS);
    double b = rig_loss(&eight, &t, 0, 0, MOST_ROWS, 1);
    assert_true(fabs(a - b) <= 1e-6 * fabs(b));
    const struct stored *p = rig_first(&one), *q8 = rig_first(&eight);
    for (; p != NULL; p = p->next, q8 = q8->next) {
        double norm = 0;
        float *g1 = rig_read(&one, p, true), *g8 = rig_read(&eight, q8, true);
        double d = distance(g1, g8, p->bytes / sizeof *g1, &norm);
        assert_true(norm > 0);
        if (!(d / norm <= worst)) worst = d / norm;
        free(g1);
        free(g8);
    }
    print_message("  %s, dropout %.1f: 8 rows x 1 and 1 row x 8 differ by %.1e\n", name, dropout,
                  worst);
    rig_close(&one);
    rig_close(&eight);
    trace_close(&t);
    if (!(worst <= 1e-5)) fail_msg("%s: gradients differ by %g, at most 1e-5", name, worst);
}

static void test_accumulation(void **state)
{
    (void)state;
    check_accumulation("llama", 0.1);
    check_accumulation("mistral", 0.1);
    check_accumulation("llama3", 0.0);
}

/* Without this the test above would pass where dropout did nothing. */
static void test_dropout_drops(void **state)
{
    (void)state;
    struct rig_request with = {.model = "llama", .adapter = "llama", .dropout = 0.1};
    struct rig_request without = {.model = "llama", .adapter = "llama"};
    assert_true(difference(&with, STEP_ROWS, &without, STEP_ROWS) > 1e-3);
}

/* ---- checkpointing, threads, file formats ---- */

/* The last one is wide enough that its work is cut into blocks. */
static const struct rig_request models[] = {
    {.model = "llama", .adapter = "llama", .dropout = 0.1}, /* the draws must come again, too */
    {.model = "llama3", .adapter = "llama3"},
    {.model = "qwen2", .adapter = "qwen2"},
    {.model = "qwen3", .adapter = "qwen3"},
    {.model = "mistral", .adapter = "mistral"},
    {.model = "../../../examples/models/stories260K/stories260K.gguf",
     .adapter = "llama",
     .fresh = true},
};
enum { MODELS = sizeof models / sizeof models[0] };

static void test_recompute(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODELS; i++) {
        struct rig_request on = models[i];
        on.recompute = true;
        if (difference(&models[i], STEP_ROWS, &on, STEP_ROWS) != 0)
            fail_msg("%s: gradient checkpointing changes bits", models[i].model);
    }
}

static void test_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODELS; i++) {
        for (uint32_t threads = 1; threads <= 3; threads++) {
            struct rig_request other = models[i];
            other.threads = threads;
            if (difference(&models[i], STEP_ROWS, &other, STEP_ROWS) != 0)
                fail_msg("%s: %u threads change bits", models[i].model, (unsigned)threads);
        }
    }
}

/* GGUF keeps llama3's scaling as a table of f32 divisors: equal bits there would be luck. */
static void check_formats(const char *name, const char *gguf, double most)
{
    struct rig_request a = {.model = name, .adapter = name}, b = {.model = gguf, .adapter = name};
    double worst = difference(&a, STEP_ROWS, &b, STEP_ROWS);
    print_message("  %s: adapters from safetensors and GGUF differ by %.1e\n", name, worst);
    if (!(worst <= most)) fail_msg("%s: adapters differ by %g, at most %g", name, worst, most);
}

static void test_formats(void **state)
{
    (void)state;
    check_formats("llama", "llama/model.gguf", 0);
    check_formats("qwen2", "qwen2/model.gguf", 0);
    check_formats("llama3", "llama3/model.gguf", 1e-6);
}

/* ---- files ---- */

static char *read_all(const struct scratch *s, const char *name, size_t *length)
{
    char path[128], *bytes = malloc(1 << 20);
    snprintf(path, sizeof path, "%s/%s", s->folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_non_null(bytes);
    *length = fread(bytes, 1, 1 << 20, file);
    assert_true(*length > 0 && *length < 1 << 20);
    fclose(file);
    return bytes;
}

static void assert_same_file(const struct scratch *a, const struct scratch *b, const char *name)
{
    size_t na, nb;
    char *x = read_all(a, name, &na), *y = read_all(b, name, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    free(x);
    free(y);
}

static void check_saved(const char *name, const char *base)
{
    const struct rig_request q = {.model = base, .adapter = name};
    struct error e = {0};
    struct scratch first, second;
    struct trace t;
    struct rig r;
    trace_open(&t, name);
    scratch_make(&first);
    scratch_make(&second);
    rig_open(&r, &q);
    rig_train(&r, &t, STEP_ROWS);
    rig_save(&r, &first);
    rig_close(&r);
    rig_open(&r, &q);
    const char *folders[1] = {first.folder};
    assert_ok(session_load_adapters(r.session, folders, &e), &e);
    rig_save(&r, &second);
    rig_close(&r);
    trace_close(&t);
    assert_same_file(&first, &second, "adapter_model.safetensors");
    assert_same_file(&first, &second, "adapter_config.json");
    scratch_remove(&first);
    scratch_remove(&second);
}

static void test_saved(void **state)
{
    (void)state;
    check_saved("llama", "llama");
    check_saved("llama_rslora", "llama");
    check_saved("qwen2", "qwen2");
}

int main(void)
{
    use_built_plugins();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accumulation), cmocka_unit_test(test_dropout_drops),
        cmocka_unit_test(test_recompute),    cmocka_unit_test(test_threads),
        cmocka_unit_test(test_formats),      cmocka_unit_test(test_saved),
    };
    return TEST_MAIN(tests);
}
