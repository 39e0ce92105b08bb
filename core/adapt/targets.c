/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists match a name or its end after a dot; a text is a regular expression over the whole name;
 * "all-linear" is every site in a block: every linear layer but the head.
 */
#include "adapt/targets.h"

#include "base/log.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

static bool ends_with_name(const char *site, const char *name)
{
    size_t n = strlen(name), length = strlen(site);
    if (length < n || strcmp(site + length - n, name) != 0) return false;
    return length == n || site[length - n - 1] == '.';
}

static bool in_names(const char *site, const struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (ends_with_name(site, names->items[i])) return true;
    return false;
}

/* A compiled pattern, or NULL with a text. */
static enum graft_status compile(const char *pattern, const char *key, pcre2_code **code,
                                 struct error *e)
{
    int fault;
    PCRE2_SIZE offset;
    *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                          PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF, &fault, &offset, NULL);
    if (*code != NULL) return GRAFT_OK;
    PCRE2_UCHAR text[128];
    pcre2_get_error_message(fault, text, sizeof text);
    return error_set(e, GRAFT_E_INVALID, "%s: \"%s\" is not a regular expression: %s at %zu", key,
                     pattern, (const char *)text, (size_t)offset);
}

static bool matches(const pcre2_code *code, const char *site)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (data == NULL) return false;
    int result = pcre2_match(code, (PCRE2_SPTR)site, PCRE2_ZERO_TERMINATED, 0, 0, data, NULL);
    pcre2_match_data_free(data);
    return result >= 0;
}

static enum graft_status match_pattern(const char *pattern, const char *key,
                                       const struct model_site *const *sites, size_t count,
                                       bool *hit, struct error *e)
{
    pcre2_code *code;
    enum graft_status status = compile(pattern, key, &code, e);
    if (status != GRAFT_OK) return status;
    for (size_t i = 0; i < count; i++) hit[i] = matches(code, sites[i]->name);
    pcre2_code_free(code);
    return GRAFT_OK;
}

static enum graft_status match_targets(const struct targets *targets, const char *key,
                                       const struct model_site *const *sites, size_t count,
                                       bool *hit, struct error *e)
{
    if (targets->pattern != NULL && strcmp(targets->pattern, "all-linear") == 0) {
        for (size_t i = 0; i < count; i++) hit[i] = sites[i]->layer >= 0;
        return GRAFT_OK;
    }
    if (targets->pattern != NULL) return match_pattern(targets->pattern, key, sites, count, hit, e);
    for (size_t i = 0; i < count; i++) hit[i] = in_names(sites[i]->name, &targets->names);
    return GRAFT_OK;
}

/* PEFT's (^|.*\.)NAME($|\..*) for each of modules_to_save: such modules are never targets. */
static bool kept_whole(const struct names *modules, const char *site)
{
    for (size_t i = 0; i < modules->count; i++) {
        size_t n = strlen(modules->items[i]);
        for (const char *at = strstr(site, modules->items[i]); at != NULL && n != 0;
             at = strstr(at + 1, modules->items[i]))
            if ((at == site || at[-1] == '.') && (at[n] == '\0' || at[n] == '.')) return true;
    }
    return false;
}

static bool layer_chosen(const struct numbers *layers, int32_t layer)
{
    if (layers->count == 0) return true;
    for (size_t i = 0; i < layers->count; i++)
        if (layers->items[i] == layer) return true;
    return false;
}

static enum graft_status check_layers(const struct settings_adapter *a,
                                      const struct model_site *const *sites, size_t count,
                                      struct error *e)
{
    int32_t most = -1;
    for (size_t i = 0; i < count; i++)
        if (sites[i]->layer > most) most = sites[i]->layer;
    for (size_t i = 0; i < a->layers_to_transform.count; i++)
        if (a->layers_to_transform.items[i] < 0 || a->layers_to_transform.items[i] > most)
            return error_set(e, GRAFT_E_INVALID,
                             "layers_to_transform: %lld: the model has layers 0 to %d",
                             (long long)a->layers_to_transform.items[i], most);
    for (size_t i = 0; i < a->layers_pattern.count; i++)
        if (strcmp(a->layers_pattern.items[i], "layers") != 0)
            return error_set(e, GRAFT_E_INVALID,
                             "layers_pattern: \"%s\": in this model the list is named \"layers\"",
                             a->layers_pattern.items[i]);
    return GRAFT_OK;
}

void targets_list(const struct model_site *const *sites, size_t count, struct str *out)
{
    for (size_t i = 0; i < count; i++) {
        const char *dot = strrchr(sites[i]->name, '.'),
                   *name = dot != NULL ? dot + 1 : sites[i]->name;
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) seen = ends_with_name(sites[j]->name, name);
        if (!seen) str_printf(out, "%s%s", out->length != 0 ? ", " : "", name);
    }
}

static enum graft_status nothing_matches(const struct settings_adapter *a,
                                         const struct model_site *const *sites, size_t count,
                                         struct error *e)
{
    struct str names = {0};
    targets_list(sites, count, &names);
    const char *wanted = a->target_modules.pattern;
    if (wanted == NULL)
        wanted = a->target_modules.names.count != 0 ? a->target_modules.names.items[0] : "all";
    enum graft_status status = error_set(
        e, GRAFT_E_INVALID,
        "target_modules: \"%s\" matches no site of this method in this model%s; it has %s", wanted,
        a->layers_to_transform.count != 0 || a->exclude_modules.names.count != 0 ||
                a->exclude_modules.pattern != NULL
            ? " that layers_to_transform and exclude_modules leave"
        : a->modules_to_save.count != 0 ? " that modules_to_save leaves"
                                        : "",
        names.data != NULL ? names.data : "");
    str_free(&names);
    return status;
}

/* A name in the list that hits nothing is most likely misspelt. */
static enum graft_status check_each_name(const struct targets *targets,
                                         const struct model_site *const *sites, size_t count,
                                         struct error *e)
{
    for (size_t n = 0; n < targets->names.count; n++) {
        bool hit = false;
        for (size_t i = 0; i < count && !hit; i++)
            hit = ends_with_name(sites[i]->name, targets->names.items[n]);
        if (hit) continue;
        struct str names = {0};
        targets_list(sites, count, &names);
        enum graft_status status =
            error_set(e, GRAFT_E_INVALID,
                      "target_modules: \"%s\" matches no site of this method; the model has %s",
                      targets->names.items[n], names.data != NULL ? names.data : "");
        str_free(&names);
        return status;
    }
    return GRAFT_OK;
}

/* The words of `usual`, as a list of names; false when memory ran out. */
static bool split(const char *usual, struct arena *arena, struct names *out)
{
    char *text = arena_strdup(arena, usual);
    out->items = arena_alloc(arena, strlen(usual) / 2 + 1, sizeof *out->items);
    if (text == NULL || out->items == NULL) return false;
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        out->items[out->count++] = word;
    return true;
}

static enum graft_status match_all(const struct settings_adapter *a,
                                   const struct model_site *const *sites, size_t count,
                                   bool *matched, bool *excluded, struct error *e)
{
    bool all = a->target_modules.pattern == NULL && a->target_modules.names.count == 0;
    bool excludes = a->exclude_modules.pattern != NULL || a->exclude_modules.names.count != 0;
    size_t hits = 0;
    enum graft_status status = check_layers(a, sites, count, e);
    if (status == GRAFT_OK) status = check_each_name(&a->target_modules, sites, count, e);
    if (status == GRAFT_OK && !all)
        status = match_targets(&a->target_modules, "target_modules", sites, count, matched, e);
    if (status == GRAFT_OK && excludes)
        status = match_targets(&a->exclude_modules, "exclude_modules", sites, count, excluded, e);
    for (size_t i = 0; i < count && status == GRAFT_OK; i++) {
        matched[i] = (all || matched[i]) && !excluded[i] &&
                     !kept_whole(&a->modules_to_save, sites[i]->name) &&
                     layer_chosen(&a->layers_to_transform, sites[i]->layer);
        hits += matched[i];
    }
    if (status == GRAFT_OK && hits == 0) status = nothing_matches(a, sites, count, e);
    return status;
}

enum graft_status targets_match(const struct settings_adapter *a, const char *usual,
                                const struct model_site *const *sites, size_t count, bool *matched,
                                struct error *e)
{
    struct settings_adapter with_default = *a;
    struct arena arena = {0};
    bool given = a->target_modules.pattern != NULL || a->target_modules.names.count != 0;
    bool *excluded = arena_alloc(&arena, count, sizeof *excluded);
    enum graft_status status = GRAFT_OK;
    if (excluded == NULL ||
        (!given && usual != NULL && !split(usual, &arena, &with_default.target_modules.names)))
        status = error_memory(e, "the sites", count);
    else
        status = match_all(&with_default, sites, count, matched, excluded, e);
    if (!given && usual != NULL && status == GRAFT_OK)
        log_info("target_modules: not given; %s, as in PEFT", usual);
    arena_free(&arena);
    return status;
}
