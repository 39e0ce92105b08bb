/* SPDX-License-Identifier: Apache-2.0
 *
 * Telling runs, adapters and models apart by the files in them.
 */
#include "session/source.h"

#include "file/paths.h"

#include <string.h>

static bool has_file(const char *folder, const char *name)
{
    return path_kind_in(folder, name) == PATH_FILE;
}

static enum graft_status list_folders(struct source *s, const char *path, struct error *e)
{
    size_t count = s->request.adapter_count;
    const char **folders = arena_alloc(&s->arena, count, sizeof *folders);
    for (size_t i = 0; folders != NULL && i < count; i++) {
        folders[i] = count == 1 ? arena_strdup(&s->arena, path)
                                : arena_format(&s->arena, "%s/adapters/%zu-%s", path, i,
                                               s->request.adapters[i].method);
        if (folders[i] == NULL) folders = NULL;
    }
    s->folders = folders;
    return folders != NULL ? GRAFT_OK : error_memory(e, "a list of adapters", count);
}

struct session_request source_request(const struct settings *s)
{
    static const char *const quantize[] = {"keep", "nf4"};
    return (struct session_request){.model = s->model.path,
                                    .quantize = quantize[s->model.quantize],
                                    .template_name = s->data.template_name,
                                    .adapters = s->adapters,
                                    .adapter_count = s->adapter_count,
                                    .seed = (uint64_t)s->train.seed};
}

static enum graft_status open_run(const char *path, const char *model, struct source *s,
                                  struct error *e)
{
    char *recipe = path_join(path, "recipe.yaml");
    struct str set = {0};
    str_puts(&set, "model.path=");
    json_write_string(&set, model != NULL ? model : "", model != NULL ? strlen(model) : 0);
    enum graft_status status =
        recipe != NULL && !set.failed
            ? settings_load_run(recipe, (const char *[]){set.data}, model != NULL, &s->settings, e)
            : error_memory(e, "a path", strlen(path));
    mem_free(recipe);
    str_free(&set);
    if (status != GRAFT_OK) return status;
    s->request = source_request(s->settings);
    s->request.from_files = true;
    return list_folders(s, path, e);
}

static enum graft_status open_peft(const char *path, const char *model, struct source *s,
                                   struct error *e)
{
    if (model == NULL)
        return error_set(e, GRAFT_E_INVALID,
                         "%s is a PEFT adapter; name the model it belongs to with --model", path);
    enum graft_status status = adapt_read_config(path, &s->arena, &s->peft, e);
    if (status != GRAFT_OK) return status;
    s->request = (struct session_request){.model = model,
                                          .quantize = "keep",
                                          .adapters = &s->peft,
                                          .adapter_count = 1,
                                          .from_files = true};
    return list_folders(s, path, e);
}

enum graft_status source_open(const char *path, const char *model, struct source *s,
                              struct error *e)
{
    if (path_kind(path) == PATH_MISSING)
        return error_set(e, GRAFT_E_INVALID, "%s: there is no such file or folder", path);
    if (settings_is_recipe(path))
        return error_set(e, GRAFT_E_INVALID,
                         "%s: is a recipe; name the folder that its run left, or a model", path);
    if (has_file(path, "recipe.yaml")) {
        if (has_file(path, "adapter_model.safetensors") || has_file(path, "adapter.safetensors") ||
            has_file(path, "full.safetensors") || has_file(path, "stack.json"))
            return open_run(path, model, s, e);
        return error_set(e, GRAFT_E_INVALID,
                         "%s: this run has not finished: it has no adapter yet; go on with graft "
                         "train --resume",
                         path);
    }
    if (has_file(path, "adapter_config.json")) return open_peft(path, model, s, e);
    if (model != NULL)
        return error_set(e, GRAFT_E_INVALID, "%s is no adapter, so --model has no meaning", path);
    s->request = (struct session_request){.model = path, .quantize = "keep"};
    return GRAFT_OK;
}

struct data_tokenize_options source_tokenize(const struct session *session,
                                             const struct settings *s)
{
    size_t context = (size_t)model_config(session->model)->context;
    return (struct data_tokenize_options){
        .tokenizer = session->tokenizer,
        .chat = session->has_chat ? &session->chat : NULL,
        .chat_named = s != NULL && strcmp(s->data.template_name, "auto") != 0,
        .train_all = s != NULL && s->data.train_on == TRAIN_ON_ALL,
        .drop_long = s != NULL && s->data.too_long == TOO_LONG_DROP,
        .max_length = s != NULL ? (size_t)s->data.max_length : context,
        .context = context,
        .virtual_tokens = (size_t)session->rows.virtual_tokens,
        .first_virtual = (int32_t)model_config(session->model)->vocab};
}

struct device_request source_device(const struct settings *s, const char *backend)
{
    static const int32_t dtype[] = {[COMPUTE_AUTO] = DEVICE_COMPUTE_AUTO,
                                    [COMPUTE_F32] = GRAFT_DTYPE_F32,
                                    [COMPUTE_BF16] = GRAFT_DTYPE_BF16,
                                    [COMPUTE_F16] = GRAFT_DTYPE_F16};
    struct device_request r = {.name = backend != NULL ? backend : "auto",
                               .base_dir = s != NULL ? s->folder : ".",
                               .compute = DEVICE_COMPUTE_AUTO};
    if (s == NULL) return r;
    r.threads = (uint32_t)s->backend.threads;
    if (backend != NULL) return r; /* what suits the recipe's device says nothing about this one */
    r.name = s->backend.name;
    r.index = (uint32_t)s->backend.device;
    r.compute = dtype[s->model.compute];
    return r;
}

void source_free(struct source *s)
{
    option_values_destroy(s->peft.options);
    settings_free(s->settings);
    arena_free(&s->arena);
    *s = (struct source){0};
}
