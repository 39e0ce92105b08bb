/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that can be found before the first step: does each method fit the model, does each
 * train the same rows, is the budget enough for the sweep, do test rows stand in train.
 */
#include "compare/parts.h"

#include "base/log.h"

#include <string.h>

/* A fault of the budget or the data is the comparison's, not the method's. */
static enum graft_status check_budget(const struct comparison *c, size_t method,
                                      const struct settings *s, struct error *e)
{
    const struct train_plan *plan = &c->plans[method];
    char number[32];
    if (s->train.max_steps == 0 && s->train.epochs * plan->steps_per_epoch < 1)
        return error_set(e, GRAFT_E_INVALID,
                         "train.epochs: %s of an epoch of %.0f steps is less than one step",
                         format_f64(s->train.epochs, number), plan->steps_per_epoch);
    enum graft_status status = halving_check(c->settings->methods[method].rates.count,
                                             c->settings->halving != 0, plan->steps, e);
    if (status != GRAFT_OK) error_place(e, "compare.methods.%zu: lr", method);
    return status;
}

/* Against the first method that could be planned. */
static enum graft_status check_same_rows(const struct comparison *c, size_t method, size_t first,
                                         struct error *e)
{
    const struct train_plan *a = &c->plans[first], *b = &c->plans[method];
    if (a->steps == b->steps && strcmp(a->rows.hash, b->rows.hash) == 0) return GRAFT_OK;
    return error_set(
        e, GRAFT_E_INVALID,
        "it would train other rows than %s (%lld steps with %llu trained tokens instead "
        "of %lld with %llu): rows that are too long for one of them must be left out for "
        "all, by a smaller data.max_length",
        c->settings->methods[first].name, (long long)b->steps,
        (unsigned long long)b->rows.trained_tokens, (long long)a->steps,
        (unsigned long long)a->rows.trained_tokens);
}

/* *fault: what stops this method alone. */
static enum graft_status plan_method(struct comparison *c, size_t method, size_t first,
                                     struct error *fault, struct error *e)
{
    struct settings *s = NULL;
    enum graft_status status = settings_compare_run(c->settings, method, 0, 0, NULL, &s, e);
    if (status != GRAFT_OK) return status;
    status = train_plan(s, &c->plans[method], fault);
    if (status == GRAFT_OK && first != SIZE_MAX) status = check_same_rows(c, method, first, fault);
    if (status == GRAFT_OK) {
        status = check_budget(c, method, s, e);
        settings_free(s);
        return status;
    }
    settings_free(s);
    c->state.methods[method].error = arena_strdup(&c->state.arena, fault->text);
    return c->state.methods[method].error != NULL ? GRAFT_OK : error_memory(e, "an error", 0);
}

enum graft_status compare_plan(struct comparison *c, struct error *e)
{
    struct error fault = {0};
    size_t first = SIZE_MAX;
    c->plans = arena_alloc(&c->state.arena, c->settings->method_count, sizeof *c->plans);
    if (c->plans == NULL) return error_memory(e, "plans", c->settings->method_count);
    for (size_t m = 0; m < c->settings->method_count; m++) {
        struct error own = {0};
        enum graft_status status = plan_method(c, m, first, &own, e);
        if (status != GRAFT_OK) return status;
        if (c->state.methods[m].error == NULL && first == SIZE_MAX) first = m;
        if (c->state.methods[m].error == NULL) continue;
        if (fault.status == GRAFT_OK) fault = own;
    }
    if (first == SIZE_MAX) {
        *e = fault;
        return e->status;
    }
    for (size_t m = 0; m < c->settings->method_count; m++)
        if (c->state.methods[m].error != NULL)
            log_warning("%s: %s", c->settings->methods[m].name, c->state.methods[m].error);
    c->state.steps = c->plans[first].steps;
    struct settings *s = NULL;
    enum graft_status status = settings_compare_run(c->settings, first, 0, 0, NULL, &s, e);
    if (status == GRAFT_OK && s->data.test == NULL && s->data.valid == NULL)
        status = error_set(e, GRAFT_E_INVALID,
                           "data.test: missing: without it (or data.valid) there is nothing to "
                           "compare by");
    if (status == GRAFT_OK)
        status = compare_check_leak(s, c->settings->allow_test_in_train != 0, &c->leak, e);
    settings_free(s);
    return status;
}
