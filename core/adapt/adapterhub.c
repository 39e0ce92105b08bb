/* SPDX-License-Identifier: Apache-2.0
 *
 * The layout of the `adapters` library (AdapterHub) for bottleneck adapters: the method's keys
 * under "config", tensors under the module that the library puts into a block.
 */
#include "adapt/internal.h"

#include "base/json.h"

#include <string.h>

/* What the adapter is called in files that are written here. */
#define HUB_NAME "default"

/* The layers without an adapter. */
static json_t *left_out(const struct adapt *a, size_t index)
{
    json_t *list = json_array();
    for (int64_t layer = 0; layer < model_config(a->model)->layers; layer++) {
        bool matched = false;
        for (size_t i = 0; i < a->layers[index].site_count && !matched; i++)
            matched = a->layers[index].sites[i]->layer == layer;
        if (!matched) json_array_append_new(list, json_integer(layer));
    }
    return list;
}

json_t *hub_config(const struct adapt *a, size_t index, const char *base_name)
{
    json_t *method = option_values_json(a->layers[index].settings->options, true);
    if (method == NULL) return NULL;
    for (const struct graft_config_field *f = a->layers[index].functions->fields;
         f != NULL && f->key != NULL; f++) {
        json_t *value = NULL;
        if (json_read_bytes(f->json, strlen(f->json), &value, NULL) == GRAFT_OK)
            json_object_set_new(method, f->key, value);
    }
    json_object_set_new(method, "leave_out", left_out(a, index));
    return json_pack("{s:o, s:I, s:s, s:s, s:s, s:s, s:s}", "config", method, "hidden_size",
                     (json_int_t)model_config(a->model)->hidden, "model_class",
                     model_class(a->model), "model_name", base_name, "model_type",
                     model_config(a->model)->family, "name", HUB_NAME, "version", "adapters.1.2.0");
}

/* "model.layers.3.mlp.adapter_up.weight" is
 * "model.layers.3.output_adapters.adapters.default.adapter_up.weight" there. */
const char *hub_key(const struct parameter *p, struct arena *arena)
{
    static const char *const parts[2][2] = {{".self_attn.", "attention_adapters"},
                                            {".mlp.", "output_adapters"}};
    for (int i = 0; i < 2; i++) {
        const char *at = strstr(p->key, parts[i][0]);
        if (at != NULL)
            return arena_format(arena, "%.*s.%s.adapters.%s.%s", (int)(at - p->key), p->key,
                                parts[i][1], HUB_NAME, at + strlen(parts[i][0]));
    }
    return arena_strdup(arena, p->key);
}

bool hub_same(const char *name, const char *key)
{
    static const char marker[] = ".adapters.";
    const char *a = strstr(name, marker), *b = strstr(key, marker);
    if (a == NULL || b == NULL || a - name != b - key || memcmp(name, key, (size_t)(a - name)) != 0)
        return false;
    a = strchr(a + sizeof marker - 1, '.');
    b = strchr(b + sizeof marker - 1, '.');
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}
