/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions over keys; the first group that finds a parameter has it.
 */
#include "adapt/groups.h"

#include "base/memory.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

static enum graft_status compile(const struct settings_group *group, size_t index,
                                 pcre2_code **code, struct error *e)
{
    int fault;
    PCRE2_SIZE offset;
    PCRE2_UCHAR why[128] = "";
    *code = pcre2_compile((PCRE2_SPTR)group->match, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &fault,
                          &offset, NULL);
    if (*code != NULL) return GRAFT_OK;
    pcre2_get_error_message(fault, why, sizeof why);
    return error_set(e, GRAFT_E_INVALID,
                     "optimizer.groups.%zu.match: \"%s\" is not a regular expression: %s at %zu",
                     index, group->match, (const char *)why, (size_t)offset);
}

static bool found(const pcre2_code *code, const char *key)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (data == NULL) return false;
    int result = pcre2_match(code, (PCRE2_SPTR)key, PCRE2_ZERO_TERMINATED, 0, 0, data, NULL);
    pcre2_match_data_free(data);
    return result >= 0;
}

static enum graft_status nothing_found(const struct settings_group *group, size_t index, bool taken,
                                       const struct store *store, struct error *e)
{
    const struct stored *first = store_first(store, STORE_ADAPTER);
    if (taken)
        return error_set(e, GRAFT_E_INVALID,
                         "optimizer.groups.%zu.match: \"%s\" finds only parameters that groups "
                         "before it have: put it first",
                         index, group->match);
    return error_set(e, GRAFT_E_INVALID,
                     "optimizer.groups.%zu.match: \"%s\" finds no parameter; a key is %s", index,
                     group->match, first != NULL ? first->name : "(there is none)");
}

static void assign(const struct settings_group *group, const struct stored *p, float *lr_scales,
                   float *decays)
{
    uint64_t at = p->offset / sizeof(float), end = at + p->bytes / sizeof(float);
    for (; at < end; at++) {
        lr_scales[at] *= (float)group->lr_scale;
        decays[at] = (float)group->weight_decay;
    }
}

enum graft_status groups_apply(const struct settings_group *groups, size_t count,
                               const struct store *store, float *lr_scales, float *decays,
                               struct error *e)
{
    size_t parameters = 0;
    for (const struct stored *p = store_first(store, STORE_ADAPTER); p != NULL; p = p->next)
        parameters++;
    bool *taken = mem_zalloc(parameters, sizeof *taken);
    if (taken == NULL) return error_memory(e, "parameter groups", parameters);
    enum graft_status status = GRAFT_OK;
    for (size_t g = 0; g < count && status == GRAFT_OK; g++) {
        pcre2_code *code;
        bool any = false, late = false;
        size_t i = 0;
        if ((status = compile(&groups[g], g, &code, e)) != GRAFT_OK) break;
        for (const struct stored *p = store_first(store, STORE_ADAPTER); p != NULL;
             p = p->next, i++) {
            if (!found(code, p->name)) continue;
            late |= taken[i];
            if (taken[i]) continue;
            any = taken[i] = true;
            assign(&groups[g], p, lr_scales, decays);
        }
        pcre2_code_free(code);
        if (!any) status = nothing_found(&groups[g], g, late, store, e);
    }
    mem_free(taken);
    return status;
}
