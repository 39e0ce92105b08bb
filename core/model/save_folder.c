/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json for the new weights; the other files as they are.
 */
#include "model/save_folder.h"

#include "base/json.h"
#include "base/memory.h"
#include "file/atomic.h"
#include "file/map.h"
#include "file/paths.h"
#include "model/save.h"

#include <dirent.h>
#include <string.h>

enum { CONFIG_LIMIT = 4 << 20 };

/* ---- config.json ---- */

static enum graft_status copy_file(const char *from, const char *folder, const char *name,
                                   struct error *e)
{
    struct file_map map = {0};
    char *source = path_join(from, name), *target = path_join(folder, name);
    enum graft_status status = GRAFT_OK;
    if (source == NULL || target == NULL)
        status = error_memory(e, name, strlen(from));
    else if (path_kind(source) == PATH_FILE) {
        status = file_map_open(source, &map, e);
        if (status == GRAFT_OK) status = atomic_write_file(target, map.data, map.size, e);
        file_map_close(&map);
    }
    mem_free(source);
    mem_free(target);
    return status;
}

static void change(json_t *root, const struct save_config *config)
{
    static const char *const words[] = {[GRAFT_DTYPE_F32] = "float32",
                                        [GRAFT_DTYPE_F16] = "float16",
                                        [GRAFT_DTYPE_BF16] = "bfloat16"};
    if (config->untied) json_object_set_new(root, "tie_word_embeddings", json_false());
    if (config->plain) json_object_del(root, "quantization_config");
    if (config->dtype == SAVE_DTYPE_AUTO) return;
    /* transformers 5 renamed the key and reads both. */
    const char *key = json_object_get(root, "dtype") != NULL ? "dtype" : "torch_dtype";
    json_object_set_new(root, key, json_string(words[config->dtype]));
}

static enum graft_status write_changed(const char *source, const char *target,
                                       const struct save_config *config, struct error *e)
{
    struct str text = {0};
    json_t *root = NULL;
    enum graft_status status = json_read_file(source, CONFIG_LIMIT, &root, e);
    if (status != GRAFT_OK) return status;
    change(root, config);
    json_write(&text, root, 2, false);
    str_putc(&text, '\n');
    status = text.failed ? error_memory(e, target, text.length)
                         : atomic_write_file(target, text.data, text.length, e);
    json_decref(root);
    str_free(&text);
    return status;
}

enum graft_status save_config_write(const char *from, const char *folder,
                                    const struct save_config *config, struct error *e)
{
    bool same = !config->untied && !config->plain && config->dtype == SAVE_DTYPE_AUTO;
    if (same) return copy_file(from, folder, "config.json", e);
    char *source = path_join(from, "config.json"), *target = path_join(folder, "config.json");
    enum graft_status status = source != NULL && target != NULL
                                   ? write_changed(source, target, config, e)
                                   : error_memory(e, "a path", strlen(from));
    mem_free(source);
    mem_free(target);
    return status;
}

/* ---- the other files ---- */

/* An adapter's configuration would make transformers look for an adapter in the merged model. */
static bool is_wanted(const char *name)
{
    static const char *const ends[] = {".json", ".txt", ".model", ".jinja", ".tiktoken", ".py"};
    static const char *const starts[] = {"LICENSE", "LICENCE", "NOTICE", "USE_POLICY"};
    if (strcmp(name, "config.json") == 0 || strcmp(name, "adapter_config.json") == 0 ||
        text_ends(name, ".index.json") || name[0] == '.')
        return false;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (text_ends(name, ends[i])) return true;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0) return true;
    return false;
}

static enum graft_status copy_all(const char *from, const char *folder, struct error *e)
{
    struct dirent *entry;
    enum graft_status status = GRAFT_OK;
    DIR *dir = opendir(from);
    if (dir == NULL) return error_errno(e, "cannot read", from);
    while (status == GRAFT_OK && (entry = readdir(dir)) != NULL)
        if (is_wanted(entry->d_name)) status = copy_file(from, folder, entry->d_name, e);
    closedir(dir);
    return status;
}

enum graft_status save_copy_files(const char *from, const char *folder, struct error *e)
{
    static const char templates[] = "additional_chat_templates"; /* transformers' folder of them */
    char *source = path_join(from, templates), *target = path_join(folder, templates);
    enum graft_status status = GRAFT_OK;
    if (source == NULL || target == NULL) status = error_memory(e, "a path", strlen(from));
    if (status == GRAFT_OK) status = copy_all(from, folder, e);
    if (status == GRAFT_OK && path_kind(source) == PATH_FOLDER) {
        status = folder_make(target, e);
        if (status == GRAFT_OK) status = copy_all(source, target, e);
    }
    mem_free(source);
    mem_free(target);
    return status;
}
