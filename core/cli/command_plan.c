/* SPDX-License-Identifier: Apache-2.0
 *
 * graft plan RECIPE: what a run would take, not started; of a comparison, each method's run.
 */
#include "cli/cli.h"
#include "cli/recipe.h"

#include "train/train.h"

static void plan_text(const struct train_plan *plan, struct str *out)
{
    char size[32];
    for (size_t i = 0; i < plan->count; i++)
        if (plan->classes[i].planned != 0) /* --json has every class */
            str_printf(out, "%-16s %12s\n", plan->classes[i].name,
                       format_bytes((uint64_t)plan->classes[i].planned, size));
    str_printf(out, "%-16s %12s\n", "total", format_bytes((uint64_t)plan->total, size));
    if (plan->alone > plan->total / 100)
        str_printf(out, "A backend that runs its ops one by one (not the CPU) needs %s more.\n",
                   format_bytes((uint64_t)plan->alone, size));
    str_puts(out, "\n");
    str_printf(out, "%lld trained numbers", (long long)plan->parameters);
    if (plan->sites != 0)
        str_printf(out, " at %zu layer%s", plan->sites, plan->sites == 1 ? "" : "s");
    str_printf(out, ", beside %lld frozen ones\n", (long long)plan->base_parameters);
    str_printf(out, "%lld steps, micro-batches of at most %zu tokens, gradient checkpointing %s\n",
               (long long)plan->steps, plan->micro_batch_tokens, plan->recompute ? "on" : "off");
}

static json_t *plan_json(const struct train_plan *plan)
{
    json_t *classes = json_object();
    for (size_t i = 0; i < plan->count; i++)
        json_object_set_new(classes, plan->classes[i].name,
                            json_integer((json_int_t)plan->classes[i].planned));
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "memory", classes, "total",
                     (json_int_t)plan->total, "more_run_alone", (json_int_t)plan->alone,
                     "trainable_parameters", (json_int_t)plan->parameters, "base_parameters",
                     (json_int_t)plan->base_parameters, "steps", (json_int_t)plan->steps,
                     "micro_batch_tokens", (json_int_t)plan->micro_batch_tokens,
                     "gradient_checkpointing", plan->recompute);
}

static int plan_one(const struct cli_args *args)
{
    struct error e = {0};
    struct settings *settings = NULL;
    struct train_plan plan;
    struct str text = {0};
    if (recipe_load(args, &settings, &e) != GRAFT_OK) return cli_fail(&e);
    enum graft_status status = train_plan(settings, &plan, &e);
    int failed = status != GRAFT_OK ? recipe_fail(settings, &e) : EXIT_DONE;
    settings_free(settings);
    if (failed != EXIT_DONE) return failed;
    if (cli_flag(args, "json")) return cli_print_json(plan_json(&plan));
    plan_text(&plan, &text);
    return cli_print(&text);
}

/* A method that does not fit is told in its place; the others are planned. */
static enum graft_status plan_method(const struct settings_compare *compare, size_t method,
                                     struct str *text, json_t *json, struct error *fault,
                                     struct error *e)
{
    const char *name = compare->methods[method].name;
    struct settings *settings = NULL;
    struct train_plan plan;
    enum graft_status status = settings_compare_run(compare, method, 0, 0, NULL, &settings, e);
    if (status != GRAFT_OK) return status;
    status = train_plan(settings, &plan, fault);
    if (status != GRAFT_OK) settings_locate(settings, fault);
    settings_free(settings);
    if (json != NULL) {
        json_object_set_new(json, name,
                            status == GRAFT_OK ? plan_json(&plan)
                                               : json_pack("{s:s}", "error", fault->text));
        return GRAFT_OK;
    }
    str_printf(text, "%s%s\n", method > 0 ? "\n" : "", name);
    if (status == GRAFT_OK)
        plan_text(&plan, text);
    else
        str_printf(text, "%s\n", fault->text);
    return GRAFT_OK;
}

static int plan_comparison(const struct cli_args *args)
{
    struct error e = {0};
    struct settings_compare *compare = NULL;
    struct str text = {0};
    bool faulty = false;
    if (recipe_load_compare(args, &compare, &e) != GRAFT_OK) return cli_fail(&e);
    json_t *json = cli_flag(args, "json") ? json_object() : NULL;
    enum graft_status status = GRAFT_OK;
    for (size_t m = 0; status == GRAFT_OK && m < compare->method_count; m++) {
        struct error fault = {0};
        status = plan_method(compare, m, &text, json, &fault, &e);
        faulty |= fault.status != GRAFT_OK;
    }
    settings_compare_free(compare);
    if (status != GRAFT_OK) {
        json_decref(json);
        str_free(&text);
        return cli_fail(&e);
    }
    int printed = json != NULL ? cli_print_json(json) : cli_print(&text);
    return printed == EXIT_DONE && faulty ? EXIT_FAILED : printed;
}

int command_plan(const struct cli_args *args)
{
    return recipe_is_compare(args) ? plan_comparison(args) : plan_one(args);
}
