/* SPDX-License-Identifier: Apache-2.0
 *
 * Methods at attention, block, embedding and norm sites against PEFT and the `adapters` library
 * (make_site_methods.py): ten steps, the trained adapter, and their files read here. What no
 * library says stands in test_site_stacks.c.
 */
#include "unit/test.h"

#include "golden/site_run.h"

/* The file of numbers in an adapter's folder. */
static struct safetensors *open_numbers(const char *folder)
{
    struct error e = {0};
    struct safetensors *file = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/adapter.safetensors", folder);
    if (access(path, R_OK) != 0)
        snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    assert_ok(safetensors_open(path, &file, &e), &e);
    return file;
}

/* AdapterHub's keys hold the adapter's name: "golden" there, "default" here. */
static void our_name(const char *name, char out[256])
{
    const char *golden = strstr(name, ".golden.");
    if (golden == NULL)
        snprintf(out, 256, "%s", name);
    else
        snprintf(out, 256, "%.*s.default.%s", (int)(golden - name), name, golden + 8);
}

/* ---- a golden case ---- */

static void write_initial(const struct run *r, const struct safetensors *trace)
{
    struct error e = {0};
    size_t written = 0, expected = 0;
    for (size_t i = 0; i < safetensors_count(trace); i++) {
        const struct tensor_view *view = safetensors_tensor(trace, i);
        if (strncmp(view->name, "initial.", 8) != 0) continue;
        const struct stored *p = store_find(r->session->store, STORE_ADAPTER, view->name + 8);
        if (p == NULL) fail_msg("%s is no parameter here", view->name + 8);
        assert_int_equal(p->bytes, view->bytes);
        assert_ok(stored_write(p, r->session->backend, view->data, view->bytes, &e), &e);
        written++;
    }
    for (const struct stored *p = store_first(r->session->store, STORE_ADAPTER); p != NULL;
         p = p->next)
        expected++;
    assert_int_equal(written, expected);
}

static void compare_files(const char *name, const char *ours, const char *theirs)
{
    struct safetensors *a = open_numbers(ours), *b = open_numbers(theirs);
    assert_int_equal(safetensors_count(a), safetensors_count(b));
    double worst = 0;
    for (size_t i = 0; i < safetensors_count(b); i++) {
        char key[256];
        const struct tensor_view *want = safetensors_tensor(b, i);
        our_name(want->name, key);
        const struct tensor_view *got = safetensors_find(a, key);
        if (got == NULL) fail_msg("%s is not in the saved file", key);
        assert_memory_equal(got->shape.dim, want->shape.dim, sizeof got->shape.dim);
        assert_int_equal(got->shape.rank, want->shape.rank);
        for (uint64_t k = 0; k < want->bytes / sizeof(float); k++) {
            double x = (double)((const float *)got->data)[k],
                   y = (double)((const float *)want->data)[k];
            worst = fmax(worst, fabs(x - y));
        }
    }
    print_message("  %s, trained adapter: %.1e\n", name, worst);
    if (!(worst <= BUDGET)) fail_msg("%s: the trained adapter differs by %g", name, worst);
    safetensors_close(a);
    safetensors_close(b);
}

/* What PEFT's config says must stand in ours. */
static void compare_configs(const char *ours, const char *theirs)
{
    static const char *const skipped[] = {"peft_version",
                                          "base_model_name_or_path",
                                          "revision",
                                          "encoder_hidden_size",
                                          "tokenizer_name_or_path",
                                          "name",
                                          "model_name",
                                          "version"};
    struct error e = {0};
    json_t *a = NULL, *b = NULL, *value;
    const char *key;
    char path[600];
    snprintf(path, sizeof path, "%s/adapter_config.json", ours);
    assert_ok(json_read_file(path, 1 << 20, &a, &e), &e);
    snprintf(path, sizeof path, "%s/adapter_config.json", theirs);
    assert_ok(json_read_file(path, 1 << 20, &b, &e), &e);
    bool hub = json_object_get(b, "config") != NULL;
    json_object_foreach(hub ? json_object_get(b, "config") : b, key, value)
    {
        const json_t *got = json_object_get(hub ? json_object_get(a, "config") : a, key);
        bool skip = false;
        for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++)
            skip |= strcmp(key, skipped[i]) == 0;
        if (skip || strcmp(key, "target_modules") == 0) continue;
        bool same = json_is_number(value) && json_is_number(got)
                        ? fabs(json_number_value(value) - json_number_value(got)) == 0.0
                        : json_equal(value, got) || (got == NULL && json_is_null(value));
        if (!same) fail_msg("%s: %s differs", theirs, key);
    }
    json_decref(a);
    json_decref(b);
}

/* A folder's adapter on its base gives these logits. */
static void check_loaded(const char *name, const char *what, const char *base, const char *folder,
                         const float *logits, double budget)
{
    struct error e = {0};
    struct arena arena = {0};
    struct settings_adapter adapter = {0};
    struct run r;
    int64_t count;
    const char *folders[1] = {folder};
    assert_ok(adapt_read_config(folder, &arena, &adapter, &e), &e);
    run_open(&r, base, &adapter, 1, true, false);
    assert_ok(session_load_adapters(r.session, folders, &e), &e);
    float *found = row0_logits(&r, &count);
    compare(what, name, found, logits, count, budget);
    free(found);
    run_close(&r);
    option_values_destroy(adapter.options);
    arena_free(&arena);
}

static void check_case(const char *name, const char *base)
{
    struct error e = {0};
    struct arena arena = {0};
    struct settings_adapter adapter = {0};
    struct safetensors *trace;
    struct run r;
    char path[512], final[512], saved[64];
    float losses[STEPS];
    int64_t count;
    snprintf(path, sizeof path, CASES "%s/trace.safetensors", name);
    assert_ok(safetensors_open(path, &trace, &e), &e);
    snprintf(final, sizeof final, CASES "%s/final", name);
    assert_ok(adapt_read_config(final, &arena, &adapter, &e), &e);
    run_open(&r, base, &adapter, 1, false, false);
    write_initial(&r, trace);
    float *first = row0_logits(&r, &count);
    compare("logits", name, first, safetensors_find(trace, "logits")->data, count, BUDGET);
    for (uint32_t i = 0; i < STEPS; i++) losses[i] = step(&r, i + 1, ROWS * i);
    compare("losses", name, losses, safetensors_find(trace, "losses")->data, STEPS, BUDGET);
    float *last = row0_logits(&r, &count);
    temporary(saved);
    assert_ok(adapt_save(r.session->adapt, 0, saved, "base", r.session->backend, &e), &e);
    compare_files(name, saved, final);
    compare_configs(saved, final);
    run_close(&r);
    check_loaded(name, "logits of the library's file", base, final,
                 safetensors_find(trace, "final_logits")->data, BUDGET);
    check_loaded(name, "logits of our file", base, saved, last, 1e-5);
    remove_folder(saved);
    free(first);
    free(last);
    option_values_destroy(adapter.options);
    arena_free(&arena);
    safetensors_close(trace);
}

static void test_prefix(void **state)
{
    (void)state;
    check_case("prefix", "llama");
    check_case("prefix_qwen2", "qwen2");
    check_case("prefix_projection", "llama");
}

static void test_prompt(void **state)
{
    (void)state;
    check_case("prompt", "llama");
    check_case("p_tuning", "qwen2");
}

static void test_bottleneck(void **state)
{
    (void)state;
    check_case("bottleneck_houlsby", "llama");
    check_case("bottleneck_pfeiffer", "llama");
    check_case("bottleneck_parallel", "llama");
    check_case("bottleneck_ln", "llama");
}

static void test_others(void **state)
{
    (void)state;
    check_case("llama_adapter", "llama");
    check_case("ln_tuning", "llama");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_bottleneck),
        cmocka_unit_test(test_others),
    };
    setenv("GRAFT_PLUGIN_PATH", GRAFT_BUILD_DIR "/lib/graft/plugins", 1);
    return TEST_MAIN(tests);
}
