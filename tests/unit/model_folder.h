/* SPDX-License-Identifier: Apache-2.0
 *
 * Models for tests: a folder made of a golden one with changes, and opening.
 */
#ifndef TESTS_UNIT_MODEL_FOLDER_H
#define TESTS_UNIT_MODEL_FOLDER_H

#include "unit/test_model.h"

#include "base/json.h"
#include "file/safetensors.h"

#include <stdio.h>
#include <unistd.h>

#define Q0 "model.layers.0.self_attn.q_proj.weight"
#define NORM1 "model.layers.1.input_layernorm.weight"

static char folder[] = "/tmp/graft-model-XXXXXX";

static inline int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static inline int teardown(void **state)
{
    char path[256];
    (void)state;
    snprintf(path, sizeof path, "%s/config.json", folder);
    remove(path);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    remove(path);
    return rmdir(folder);
}

typedef void edit(struct tensor_view *views, size_t *count);

static inline struct tensor_view *view_of(struct tensor_view *views, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(views[i].name, name) == 0) return &views[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static inline void write_config(const char *name, const char *changes)
{
    struct error e = {0};
    char path[256];
    json_t *root, *over;
    snprintf(path, sizeof path, GOLDEN "%s/config.json", name);
    assert_ok(json_read_file(path, 1 << 20, &root, &e), &e);
    assert_ok(json_read_bytes(changes, strlen(changes), &over, &e), &e);
    assert_int_equal(json_object_update(root, over), 0);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
    json_decref(over);
}

/* The golden model `name` with changes to its tensors and its config, in `folder`. */
static inline void make_folder(const char *name, edit *change, const char *config_changes)
{
    struct error e = {0};
    char path[256];
    struct safetensors *file;
    struct tensor_view views[128];
    snprintf(path, sizeof path, GOLDEN "%s/model.safetensors", name);
    assert_ok(safetensors_open(path, &file, &e), &e);
    size_t count = safetensors_count(file);
    assert_true(count < 120);
    for (size_t i = 0; i < count; i++) views[i] = *safetensors_tensor(file, i);
    if (change != NULL) change(views, &count);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(safetensors_write(path, views, count, NULL, 0, &e), &e);
    safetensors_close(file);
    write_config(name, config_changes);
}

struct opened {
    struct store *store;
    struct model *model;
};

static inline enum graft_status try_open(struct opened *o, const char *path, const char *quantize,
                                         struct error *e)
{
    struct model_options options = {.quantize = quantize};
    o->model = NULL;
    assert_ok(store_create(&o->store, e), e);
    return model_open(path, &options, o->store, &o->model, e);
}

static inline void open_good(struct opened *o, const char *path, const char *quantize)
{
    struct error e = {0};
    assert_ok(try_open(o, path, quantize, &e), &e);
}

static inline void done(struct opened *o)
{
    model_close(o->model);
    store_destroy(o->store);
}

static inline const struct model_site *head_of(const struct opened *o)
{
    size_t count;
    const struct model_site *sites = model_sites(o->model, &count);
    assert_string_equal(sites[count - 1].name, "lm_head");
    assert_int_equal(sites[count - 1].layer, -1);
    return &sites[count - 1];
}

#endif
