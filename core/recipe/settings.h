/* SPDX-License-Identifier: Apache-2.0
 *
 * A recipe as plain C: everything checked, every default filled in, paths made usable from the
 * working directory. What each member means stands in the table of schema.c.
 *
 * A stage that resolves an `auto` writes the result into the member before it writes the effective
 * recipe; nothing else changes after loading.
 */
#ifndef CORE_RECIPE_SETTINGS_H
#define CORE_RECIPE_SETTINGS_H

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "plugin/options.h"
#include "plugin/plugin.h"

enum { SETTINGS_AUTO = -1 }; /* of integers that may be "auto" */

enum model_quantize { QUANTIZE_KEEP, QUANTIZE_NF4 };
enum model_compute { COMPUTE_AUTO, COMPUTE_F32, COMPUTE_BF16, COMPUTE_F16 };
enum train_on { TRAIN_ON_ANSWERS, TRAIN_ON_ALL };
enum too_long { TOO_LONG_ERROR, TOO_LONG_DROP };
enum schedule {
    SCHEDULE_CONSTANT,
    SCHEDULE_CONSTANT_WITH_WARMUP,
    SCHEDULE_LINEAR,
    SCHEDULE_COSINE,
    SCHEDULE_COSINE_WITH_RESTARTS,
    SCHEDULE_POLYNOMIAL,
    SCHEDULE_INVERSE_SQRT,
    SCHEDULE_COSINE_WITH_MIN_LR,
    SCHEDULE_WARMUP_STABLE_DECAY
};
enum schedule_curve { CURVE_LINEAR, CURVE_COSINE, CURVE_ONE_MINUS_SQRT };
enum auto_bool { AUTO_AUTO, AUTO_TRUE, AUTO_FALSE };
/* What eval.metrics chooses from; sets are bits, 1 << metric. core/eval has the table. */
enum metric {
    METRIC_LOSS,
    METRIC_PERPLEXITY,
    METRIC_EXACT_MATCH,
    METRIC_EXACT_MATCH_NORMALIZED,
    METRIC_TOKEN_F1,
    METRIC_ROUGE_L,
    METRIC_BLEU,
    METRIC_CHRF,
    METRIC_NUMBER_MATCH,
    METRIC_ACCURACY,
    METRIC_MACRO_F1,
    METRIC_JSON_VALID,
    METRIC_ANSWER_LENGTH,
    METRIC_LENGTH_RATIO,
    METRIC_SAME_SCRIPT,
    METRIC_CUT_OFF,
    METRIC_STYLE,
    METRIC_KINDS
};
extern const char *const settings_metric_names[METRIC_KINDS + 1]; /* ends with NULL */

/* Texts; count 0: not given. */
struct names {
    const char **items;
    size_t count;
};

/* A list of names, or one regular expression ("all-linear" is a word of its own). */
struct targets {
    const char *pattern; /* NULL: names */
    struct names names;  /* both absent: not given */
};

struct numbers {
    int64_t *items;
    size_t count;
};

struct rates {
    double *items;
    size_t count;
};

/* Parameters whose key the regular expression finds; the first group that finds one has it. */
struct settings_group {
    const char *match;
    double lr_scale, weight_decay;
};

/* Which keys were given, and where: one text per row of the table that owns the struct. */
struct places {
    const char **of; /* NULL: the default */
};

enum adapter_bias { ADAPTER_BIAS_NONE, ADAPTER_BIAS_ALL, ADAPTER_BIAS_ONLY };

struct settings_adapter {
    const char *method;
    const struct plugin *plugin;
    struct option_values *options; /* the plugin's own keys */
    struct targets target_modules, exclude_modules;
    struct numbers layers_to_transform;
    struct names layers_pattern;
    const char *init_from; /* a folder to start from; NULL: none */
    int32_t bias;          /* enum adapter_bias */
    bool from_peft;        /* all of this was read from an adapter's folder */
    const char *bias_word; /* of a PEFT folder: "vera_only"; NULL: as a recipe has it */
    struct names modules_to_save;
    struct places places; /* rows of schema_adapter */
};

struct settings_schedule {
    int32_t kind; /* enum schedule */
    double warmup_ratio;
    int64_t warmup_steps;     /* given if > 0, else ceil(total * warmup_ratio) */
    double num_cycles;        /* the cosines; its default depends on the schedule */
    double lr_end, power;     /* polynomial */
    int64_t timescale;        /* inverse_sqrt; auto: the warm-up steps, or 10000 without them */
    double min_lr;            /* cosine_with_min_lr: this one when has_min_lr, */
    double min_lr_rate;       /* else this one */
    int64_t num_stable_steps; /* warmup_stable_decay; auto: what is left */
    int64_t num_decay_steps;
    double min_lr_ratio;
    int32_t warmup_type, decay_type; /* enum schedule_curve */
    bool has_min_lr;
};

struct settings {
    const char *file;   /* as the user named it */
    const char *folder; /* that its relative paths start from */

    struct {
        const char *path;
        int32_t quantize, compute;
    } model;
    struct {
        struct names train;
        const char *valid, *test; /* NULL: none */
        int32_t train_on;
        int64_t max_length;
        int32_t too_long;
        int32_t shuffle;
        const char *template_name; /* "auto": recognized from the model */
    } data;

    struct settings_adapter *adapters; /* lowest first */
    size_t adapter_count;
    bool adapter_is_list; /* as the recipe wrote it */

    struct {
        const char *method;
        const struct plugin *plugin;
        struct option_values *options;
        double lr, weight_decay;
        struct settings_group *groups;
        size_t group_count;
    } optimizer;
    struct {
        int64_t max_steps; /* 0: by epochs */
        double epochs;     /* 0: by max_steps */
        int64_t batch_size;
        int64_t micro_batch_tokens; /* or SETTINGS_AUTO */
        struct settings_schedule schedule;
        double max_grad_norm;           /* 0: no clipping */
        int32_t gradient_checkpointing; /* enum auto_bool */
        int64_t seed;
    } train;
    struct {
        bool enabled;
        int64_t patience;
        double min_delta;
    } early_stopping;
    struct {
        int64_t every; /* steps; 0: only before and after */
        int64_t rows;  /* 0: all */
        int64_t max_new_tokens;
        int32_t metrics; /* 1 << enum metric, or'ed */
    } eval;
    struct {
        int64_t every; /* 0: only at the end */
        int64_t keep;
    } checkpoint;
    struct {
        const char *name; /* or a file (with a slash); "auto": the best that passes its self-test */
        int64_t device;
        int64_t threads; /* 0: every processor */
    } backend;
    const char *output; /* NULL: not given */

    struct places places; /* rows of schema_core */
    struct arena arena;   /* holds every text and list above */
};

/* Is it named as a recipe is: .yaml, .yml? */
bool settings_is_recipe(const char *path);

/* Reads the recipe, applies the --set texts ("key.path=value") in order, checks everything, loads
 * the adapters' and the optimizer's plugins. Errors are "FILE:LINE:COLUMN: KEY: ..." or
 * "--set N: KEY: ...". */
GRAFT_MUST_USE enum graft_status settings_load(const char *path, const char *const *sets,
                                               size_t set_count, struct settings **settings,
                                               struct error *e);
/* The same for who looks at model and data alone: adapter and optimizer may be missing, and are
 * then absent (no adapters, optimizer.method NULL); a comparison's recipe will do. */
GRAFT_MUST_USE enum graft_status settings_load_data(const char *path, const char *const *sets,
                                                    size_t set_count, struct settings **settings,
                                                    struct error *e);
/* The same of a run that has been: of its files only the model must be there still. */
GRAFT_MUST_USE enum graft_status settings_load_run(const char *path, const char *const *sets,
                                                   size_t set_count, struct settings **settings,
                                                   struct error *e);
void settings_free(struct settings *settings);

/* For an error of a later layer, which knows the key and no file: where it begins with a core key
 * that was given ("data.max_length: ..."), the place is put in front. */
void settings_locate(const struct settings *settings, struct error *e);

/* Appends the effective recipe: every key, defaults included. With comments: where each value came
 * from, and paths as they are used; without: paths relative to `relative_to` (a folder that
 * exists) and no output, as the run folder keeps it. */
GRAFT_MUST_USE enum graft_status settings_write_yaml(const struct settings *settings,
                                                     const char *relative_to, bool with_comments,
                                                     struct str *out, struct error *e);

#endif
