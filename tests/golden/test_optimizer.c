/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules against transformers' optimization.py, and AdamW through its plugin and the update
 * program against torch.
 */
#include "golden/training.h"

#include "base/json.h"
#include "train/loss_scale.h"

/* ---- schedules ---- */

/* As enum schedule and enum schedule_curve. */
static const char *const kinds[] = {"constant",     "constant_with_warmup", "linear",
                                    "cosine",       "cosine_with_restarts", "polynomial",
                                    "inverse_sqrt", "cosine_with_min_lr",   "warmup_stable_decay"};
static const char *const curves[] = {"linear", "cosine", "1-sqrt"};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static int32_t word(const json_t *object, const char *key, const char *const *words, int32_t count,
                    int32_t fallback)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL) return fallback;
    for (int32_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0) return i;
    fail_msg("%s: unknown word %s", key, text);
    return -1;
}

static double number(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);
    return value != NULL ? json_number_value(value) : fallback;
}

static int64_t integer(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return value != NULL ? (int64_t)json_integer_value(value) : fallback;
}

static struct settings_schedule schedule_of(const json_t *c)
{
    struct settings_schedule s = {.kind = word(c, "schedule", kinds, KINDS, 0)};
    s.warmup_ratio = number(c, "warmup_ratio", 0);
    s.warmup_steps = integer(c, "warmup_steps", 0);
    s.num_cycles = number(c, "num_cycles", s.kind == SCHEDULE_COSINE_WITH_RESTARTS ? 1 : 0.5);
    s.lr_end = number(c, "lr_end", 1e-7);
    s.power = number(c, "power", 1);
    s.timescale = integer(c, "timescale", SETTINGS_AUTO);
    s.has_min_lr = json_object_get(c, "min_lr") != NULL;
    s.min_lr = number(c, "min_lr", 0);
    s.min_lr_rate = number(c, "min_lr_rate", 0);
    s.num_stable_steps = integer(c, "num_stable_steps", SETTINGS_AUTO);
    s.num_decay_steps = integer(c, "num_decay_steps", 0);
    s.min_lr_ratio = number(c, "min_lr_ratio", 0);
    s.warmup_type = word(c, "warmup_type", curves, 3, CURVE_LINEAR);
    s.decay_type = word(c, "decay_type", curves, 3, CURVE_COSINE);
    return s;
}

static void test_schedules(void **state)
{
    (void)state;
    struct error e = {0};
    json_t *cases = NULL;
    unsigned seen = 0;
    assert_ok(json_read_file(GOLDEN "schedules.json", 1 << 20, &cases, &e), &e);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *expected = json_object_get(c, "multipliers");
        struct settings_schedule s = schedule_of(c);
        int64_t total = integer(c, "total", 0);
        seen |= 1U << s.kind;
        assert_int_equal(json_array_size(expected), total + 2);
        for (int64_t t = 0; t < total + 2; t++) {
            double a = schedule_multiplier(&s, t, total, number(c, "lr", 0));
            double b = json_number_value(json_array_get(expected, (size_t)t));
            if (!(fabs(a - b) <= 1e-12))
                fail_msg("case %zu, %s: multiplier of update %d is %.17g, expected %.17g", i,
                         kinds[s.kind], (int)t, a, b);
        }
    }
    assert_int_equal(seen, (1U << KINDS) - 1);
    json_decref(cases);
}

/* ---- AdamW ---- */

struct adamw_fixture {
    struct safetensors *file;
    const float *start, *gradients, *after, *norms;
    const double *rates;
    size_t values, steps;
};

static void fixture_open(struct adamw_fixture *f, const char *name)
{
    struct error e = {0};
    char norms[64];
    assert_ok(safetensors_open(GOLDEN "adamw.safetensors", &f->file, &e), &e);
    snprintf(norms, sizeof norms, "%s_norms", name);
    const struct tensor_view *gradients = safetensors_find(f->file, "gradients");
    f->steps = (size_t)gradients->shape.dim[0];
    f->values = (size_t)gradients->shape.dim[1];
    f->gradients = gradients->data;
    f->start = safetensors_find(f->file, "start")->data;
    f->rates = safetensors_find(f->file, "rates")->data;
    f->after = safetensors_find(f->file, name)->data;
    f->norms = safetensors_find(f->file, norms)->data;
}

/* Writes the values, over and over, into all parameters (or gradients); returns how many. */
static size_t fill(struct rig *r, bool gradient, const float *values, size_t count)
{
    struct error e = {0};
    size_t at = 0;
    for (const struct stored *p = rig_first(r); p != NULL; p = p->next) {
        float *data = malloc(p->bytes);
        assert_non_null(data);
        for (size_t i = 0; i < p->bytes / sizeof *data; i++) data[i] = values[at++ % count];
        assert_ok(stored_write(gradient ? p->gradient : p, r->session->backend, data, p->bytes, &e),
                  &e);
        free(data);
    }
    return at;
}

/* ‖found - expected‖ / ‖expected‖ over all parameters; gradients must be cleared. */
static double off(struct rig *r, const float *expected, size_t count)
{
    double difference = 0, norm = 0;
    size_t at = 0;
    for (const struct stored *p = rig_first(r); p != NULL; p = p->next) {
        float *found = rig_read(r, p, false), *gradient = rig_read(r, p, true);
        for (size_t i = 0; i < p->bytes / sizeof *found; i++, at++) {
            double b = (double)expected[at % count], d = (double)found[i] - b;
            assert_true(gradient[i] == 0.0F);
            difference += d * d;
            norm += b * b;
        }
        free(found);
        free(gradient);
    }
    return sqrt(difference / norm);
}

static void check_adamw(const char *name, double limit)
{
    struct adamw_fixture f;
    struct rig r;
    struct error e = {0};
    double worst = 0;
    fixture_open(&f, name);
    rig_open(&r, &(struct rig_request){.model = "llama", .adapter = "llama", .max_norm = limit});
    assert_int_equal(fill(&r, false, f.start, f.values), 14 * f.values);
    for (size_t step = 0; step < f.steps; step++) {
        float norm = 0;
        (void)fill(&r, true, f.gradients + step * f.values, f.values);
        assert_ok(
            update_run(r.session, &r.update, f.rates[step], 0.1, (int64_t)step + 1, &norm, &e), &e);
        double expected = (double)f.norms[step];
        assert_true(fabs((double)norm - expected) <= 1e-6 * expected);
        double d = off(&r, f.after + step * f.values, f.values);
        if (!(d <= worst)) worst = d;
    }
    print_message("  AdamW, %s: parameters differ by %.1e\n", name, worst);
    rig_close(&r);
    safetensors_close(f.file);
    if (!(worst <= 1e-6)) fail_msg("AdamW, %s: off by %g, at most 1e-6", name, worst);
}

static void test_adamw(void **state)
{
    (void)state;
    check_adamw("free", -1);
    check_adamw("clipped", 1);
}

/* Gradients that are too large by a power of 2, which the update is told, give the same bits. */
static void test_loss_scale(void **state)
{
    const double scale = 1024.0;
    struct adamw_fixture f;
    struct error e = {0};
    (void)state;
    fixture_open(&f, "clipped");
    float *scaled = malloc(f.values * sizeof *scaled), norms[2];
    assert_non_null(scaled);
    for (int run = 0; run < 2; run++) {
        struct rig r;
        rig_open(&r, &(struct rig_request){.model = "llama", .adapter = "llama", .max_norm = 1});
        (void)fill(&r, false, f.start, f.values);
        for (size_t i = 0; i < f.values; i++)
            scaled[i] = f.gradients[i] * (run == 0 ? 1.0f : (float)scale);
        (void)fill(&r, true, scaled, f.values);
        r.update.loss_scale = run == 0 ? 1.0 : scale;
        assert_ok(update_run(r.session, &r.update, f.rates[0], 0.1, 1, &norms[run], &e), &e);
        assert_true(off(&r, f.after, f.values) <= 1e-6);
        rig_close(&r);
    }
    assert_true(norms[0] == norms[1]);
    free(scaled);
    safetensors_close(f.file);
}

/* What torch.amp.GradScaler does: 2^16, halved by an overflow, doubled after 2000 good steps. */
static void test_loss_scale_rule(void **state)
{
    (void)state;
    struct loss_scale fixed = loss_scale_begin(false), s = loss_scale_begin(true);
    assert_false(loss_scale_step(&fixed, false));
    assert_true(fixed.value == 1.0);
    assert_true(s.value == 65536.0);
    assert_true(loss_scale_step(&s, false));
    assert_true(s.value == 32768.0);
    for (int i = 0; i < 1999; i++) assert_false(loss_scale_step(&s, true));
    assert_true(s.value == 32768.0);
    assert_false(loss_scale_step(&s, true));
    assert_true(s.value == 65536.0);
    for (int i = 0; i < 16; i++) assert_true(loss_scale_step(&s, false));
    assert_true(s.value == 1.0);
    assert_false(loss_scale_step(&s, false)); /* a skip that counts against the run */
}

/* A gradient that is not finite changes nothing and is cleared. */
static void test_not_finite(void **state)
{
    (void)state;
    struct adamw_fixture f;
    struct error e = {0};
    struct rig r;
    float norm = 0, bad[3] = {1, NAN, 2};
    fixture_open(&f, "free");
    rig_open(&r, &(struct rig_request){.model = "llama", .adapter = "llama", .max_norm = -1});
    (void)fill(&r, false, f.start, f.values);
    (void)fill(&r, true, bad, 3);
    assert_ok(update_run(r.session, &r.update, 1, 0.1, 1, &norm, &e), &e);
    assert_true(!isfinite(norm));
    assert_true(off(&r, f.start, f.values) == 0);
    /* and nothing is left of it in the states */
    (void)fill(&r, true, f.gradients, f.values);
    assert_ok(update_run(r.session, &r.update, f.rates[0], 0.1, 1, &norm, &e), &e);
    (void)fill(&r, true, f.gradients + f.values, f.values);
    assert_ok(update_run(r.session, &r.update, f.rates[1], 0.1, 2, &norm, &e), &e);
    assert_true(off(&r, f.after + f.values, f.values) <= 1e-6);
    rig_close(&r);
    safetensors_close(f.file);
}

int main(void)
{
    use_built_plugins();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules),  cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_loss_scale), cmocka_unit_test(test_loss_scale_rule),
        cmocka_unit_test(test_not_finite),
    };
    return TEST_MAIN(tests);
}
