/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to an adapter's table that more than one room asks.
 */
#include "plugin/plugin.h"

#include <graft/adapter.h>
#include <string.h>

const struct graft_config_field *plugin_config_field(const struct plugin *plugin, const char *key)
{
    const struct graft_adapter *a = plugin->functions;
    for (const struct graft_config_field *f = a->fields; f != NULL && f->key != NULL; f++)
        if (strcmp(f->key, key) == 0) return f;
    return NULL;
}

bool plugin_trains_own(const struct plugin *plugin, const char *key)
{
    const struct graft_adapter *a = plugin->functions;
    return a->layout == GRAFT_LAYOUT_PEFT && plugin_config_field(plugin, key) != NULL;
}
