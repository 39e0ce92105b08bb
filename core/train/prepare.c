/* SPDX-License-Identifier: Apache-2.0
 *
 * From settings to planned programs.
 */
#include "train/trainer.h"

#include "base/log.h"
#include "session/source.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { AUTO_MICRO_TOKENS = 2048, EVAL_SLOTS = 32 };

static enum graft_status open_session(struct trainer *t, struct error *e)
{
    struct session_request request = source_request(t->settings);
    return session_open(&request, &t->session, e);
}

/* Every row's tokens and labels, whatever the files look like. */
static void hash_rows(const struct data_tokens *tokens, char out[HASH_HEX_SIZE])
{
    struct hash h;
    hash_begin(&h);
    for (size_t i = 0; i < tokens->count; i++) {
        const struct data_sequence *row = &tokens->rows[i];
        hash_add(&h, &row->length, sizeof row->length);
        hash_add(&h, row->ids, row->length * sizeof *row->ids);
        hash_add(&h, row->labels, row->length * sizeof *row->labels);
    }
    hash_end_hex(&h, out);
}

static enum graft_status read_data(struct trainer *t, struct error *e)
{
    const struct settings *s = t->settings;
    struct data_tokenize_options options = source_tokenize(t->session, s);
    size_t limit = (size_t)s->eval.rows;
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < s->data.train.count && status == GRAFT_OK; i++)
        status = data_read(s->data.train.items[i], &t->rows, e);
    if (status == GRAFT_OK) status = data_tokenize(&t->rows, &options, &t->tokens, e);
    if (status == GRAFT_OK && s->data.valid != NULL) {
        status = eval_set_load(t->session, s->data.valid, &options, limit, &t->valid, e);
        t->has_valid = status == GRAFT_OK;
    }
    if (status == GRAFT_OK && (s->data.test != NULL || s->data.valid != NULL)) {
        const char *path = s->data.test != NULL ? s->data.test : s->data.valid;
        t->final_name = s->data.test != NULL ? "test" : "valid";
        status = eval_set_load(t->session, path, &options, limit, &t->final, e);
        if (status == GRAFT_OK) status = eval_set_choose(&t->final, s->eval.metrics, &t->rows, e);
        t->has_final = status == GRAFT_OK;
    }
    if (status != GRAFT_OK) return status;
    hash_rows(&t->tokens, t->rows_hash);
    if (t->has_valid) hash_rows(&t->valid.tokens, t->valid_hash);
    if (t->has_final) hash_rows(&t->final.tokens, t->final_hash);
    data_log_template(&options, &t->tokens.ledger);
    log_info("%zu rows, %zu tokens, %zu of them trained", t->tokens.ledger.rows,
             t->tokens.ledger.tokens, t->tokens.ledger.trained);
    return GRAFT_OK;
}

static enum graft_status make_order(struct trainer *t, struct error *e)
{
    const struct settings *s = t->settings;
    struct data_order_options options = {.seed = (uint64_t)s->train.seed,
                                         .rows = t->tokens.count,
                                         .batch_size = (size_t)s->train.batch_size,
                                         .shuffle = s->data.shuffle != 0,
                                         .whole_epochs = s->train.max_steps == 0};
    t->total_steps =
        s->train.max_steps > 0
            ? s->train.max_steps
            : (int64_t)ceil(s->train.epochs * (double)data_order_steps_per_epoch(&options));
    t->step_rows = mem_zalloc(options.batch_size, sizeof *t->step_rows);
    t->step_begin = mem_zalloc(options.batch_size + 1, sizeof *t->step_begin);
    if (t->step_rows == NULL || t->step_begin == NULL)
        return error_memory(e, "a step's rows", options.batch_size * 12);
    if (!options.whole_epochs && options.batch_size > options.rows)
        log_warning("train.batch_size: %zu is more than the %zu rows: a step takes rows more than "
                    "once; lower it, or give train.epochs instead of max_steps",
                    options.batch_size, options.rows);
    return data_order_create(&options, &t->order, e);
}

enum graft_status trainer_rows(struct trainer *t, struct train_rows *rows, struct error *e)
{
    struct hash hash;
    hash_begin(&hash);
    rows->trained_tokens = 0;
    for (int64_t step = 0; step < t->total_steps; step++) {
        size_t n = data_order_step(&t->order, (uint64_t)step, t->step_rows);
        for (size_t i = 0; i < n; i++) {
            const struct data_sequence *row = &t->tokens.rows[t->step_rows[i]];
            uint64_t entry[3] = {(uint64_t)step, row->source, row->trained};
            hash_add(&hash, entry, sizeof entry);
            rows->trained_tokens += row->trained;
        }
    }
    hash_end_hex(&hash, rows->hash);
    if (rows->trained_tokens != 0) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "the steps train no token");
}

static size_t longest_row(const struct trainer *t)
{
    size_t longest = t->tokens.ledger.longest;
    if (t->has_valid && t->valid.tokens.ledger.longest > longest)
        longest = t->valid.tokens.ledger.longest;
    if (t->has_final && t->final.tokens.ledger.longest > longest)
        longest = t->final.tokens.ledger.longest;
    return longest;
}

/* The largest step of the run, in tokens. */
static size_t largest_step(struct trainer *t)
{
    size_t largest = 0;
    for (int64_t step = 0; step < t->total_steps; step++) {
        size_t tokens = 0, n = data_order_step(&t->order, (uint64_t)step, t->step_rows);
        for (size_t i = 0; i < n; i++) tokens += t->tokens.rows[t->step_rows[i]].length;
        if (tokens > largest) largest = tokens;
        if (largest >= AUTO_MICRO_TOKENS) break;
    }
    return largest;
}

static enum graft_status choose_micro_batch(struct trainer *t, struct error *e)
{
    size_t longest = longest_row(t), given = 0;
    if (t->settings->train.micro_batch_tokens != SETTINGS_AUTO)
        given = (size_t)t->settings->train.micro_batch_tokens;
    if (given != 0 && given < longest)
        return error_set(e, GRAFT_E_INVALID,
                         "train.micro_batch_tokens: %zu is less than the longest row, %zu tokens",
                         given, longest);
    size_t need = given != 0 ? given : largest_step(t);
    if (given == 0 && need > AUTO_MICRO_TOKENS) need = AUTO_MICRO_TOKENS;
    if (need < longest) need = longest;
    t->micro_tokens = given != 0 ? given : bucket_for(need, need > 128 ? need : 128);
    if (t->micro_tokens < need) t->micro_tokens = need;
    t->settings->train.micro_batch_tokens = (int64_t)t->micro_tokens;
    return GRAFT_OK;
}

static uint64_t physical_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

/* auto: recompute only where keeping everything would take more than half of the memory. */
static enum graft_status plan_training(struct trainer *t, struct error *e)
{
    int32_t *choice = &t->settings->train.gradient_checkpointing;
    t->recompute = *choice == AUTO_TRUE;
    enum graft_status status =
        loss_program_plan(t->session, &t->slot, true, t->recompute, &t->train_program, e);
    if (status == GRAFT_OK && *choice == AUTO_AUTO &&
        plan_memory(t->train_program.plan).transient > physical_memory() / 2) {
        t->recompute = true;
        loss_program_destroy(&t->train_program);
        t->session->transient_bytes = t->session->alone_bytes = 0;
        log_info("gradient_checkpointing: on, since keeping all activations needs more than half "
                 "of the memory");
        status = loss_program_plan(t->session, &t->slot, true, true, &t->train_program, e);
    }
    *choice = t->recompute ? AUTO_TRUE : AUTO_FALSE;
    return status;
}

static enum graft_status plan_answers(struct trainer *t, struct error *e)
{
    size_t new_tokens = (size_t)t->settings->eval.max_new_tokens;
    if (!t->has_final || !eval_set_has_answers(&t->final)) return GRAFT_OK;
    struct generator_size size = {.slots =
                                      t->final.count < EVAL_SLOTS ? t->final.count : EVAL_SLOTS,
                                  .length = t->final.longest_prompt + new_tokens,
                                  .tokens = t->micro_tokens};
    if (size.tokens < size.slots) size.tokens = size.slots;
    return generator_plan(t->session, &size, &t->generator, e);
}

static enum graft_status plan_programs(struct trainer *t, struct error *e)
{
    enum graft_status status = choose_micro_batch(t, e);
    if (status == GRAFT_OK) status = batch_slot_create(t->session, t->micro_tokens, &t->slot, e);
    if (status == GRAFT_OK) status = micro_batch_create(t->micro_tokens, &t->batch, e);
    if (status == GRAFT_OK) t->batch.position_offset = (int32_t)t->session->rows.position_offset;
    if (status == GRAFT_OK) status = plan_training(t, e);
    if (status == GRAFT_OK)
        status = loss_program_plan(t->session, &t->slot, false, false, &t->eval_program, e);
    if (status == GRAFT_OK) status = update_plan(t->session, t->settings, &t->update, e);
    if (status == GRAFT_OK) status = plan_answers(t, e);
    return status;
}

enum graft_status trainer_prepare(struct trainer *t, struct error *e)
{
    t->steps_file = -1;
    t->best_loss = (double)INFINITY;
    enum graft_status status = open_session(t, e);
    if (status == GRAFT_OK) status = read_data(t, e);
    if (status == GRAFT_OK) status = make_order(t, e);
    if (status == GRAFT_OK) status = adapt_check_steps(t->session->adapt, t->total_steps, e);
    if (status == GRAFT_OK) status = plan_programs(t, e);
    return status;
}

/* What `auto` became. */
static void record_device(struct trainer *t)
{
    struct settings *s = t->settings;
    int32_t compute = t->session->backend->compute;
    s->backend.name = device_plugin(t->session->device)->name;
    s->model.compute = compute == GRAFT_DTYPE_BF16  ? COMPUTE_BF16
                       : compute == GRAFT_DTYPE_F16 ? COMPUTE_F16
                                                    : COMPUTE_F32;
    t->loss_scale = loss_scale_begin(compute == GRAFT_DTYPE_F16);
}

enum graft_status trainer_start(struct trainer *t, struct error *e)
{
    struct device_request request = source_device(t->settings, NULL);
    enum graft_status status = session_start(t->session, &request, e);
    if (status == GRAFT_OK) status = loss_program_compile(t->session, &t->train_program, e);
    if (status == GRAFT_OK) status = loss_program_compile(t->session, &t->eval_program, e);
    if (status == GRAFT_OK) status = update_compile(t->session, &t->update, e);
    if (status == GRAFT_OK && t->generator != NULL) status = generator_compile(t->generator, e);
    if (status == GRAFT_OK) record_device(t);
    return status;
}

void trainer_fini(struct trainer *t)
{
    generator_destroy(t->generator);
    update_destroy(&t->update);
    loss_program_destroy(&t->eval_program);
    loss_program_destroy(&t->train_program);
    batch_slot_destroy(&t->slot);
    micro_batch_destroy(&t->batch);
    eval_measure_free(&t->before);
    eval_measure_free(&t->after);
    eval_set_free(&t->valid);
    eval_set_free(&t->final);
    data_order_destroy(&t->order);
    data_tokens_free(&t->tokens);
    data_rows_free(&t->rows);
    parameter_copy_free(&t->best);
    session_close(t->session);
    if (t->steps_file >= 0) close(t->steps_file);
    run_folder_close(t->folder);
    mem_free(t->step_rows);
    mem_free(t->step_begin);
    mem_free(t->steps);
    mem_free(t->evals);
    mem_free(t->recipe);
}

static void add_class(struct train_plan *plan, const char *name, uint64_t bytes)
{
    plan->classes[plan->count++] =
        (struct report_memory){.name = name, .planned = (int64_t)bytes, .used = -1};
    plan->total += (int64_t)bytes;
}

void trainer_memory(const struct trainer *t, struct train_plan *plan)
{
    const struct store *store = t->session->store;
    struct plan_memory m = plan_memory(t->train_program.plan);
    uint64_t scratch = 0;
    *plan = (struct train_plan){.parameters = adapt_parameters(t->session->adapt),
                                .base_parameters = model_parameters(t->session->model),
                                .sites = adapt_sites(t->session->adapt),
                                .steps = t->total_steps,
                                .steps_per_epoch =
                                    (double)data_order_steps_per_epoch(&t->order.options),
                                .micro_batch_tokens = t->micro_tokens,
                                .recompute = t->recompute};
    add_class(plan, store_class_name(STORE_BASE), model_bytes(t->session->model));
    for (int kind = STORE_ADAPTER; kind < STORE_CLASSES; kind++)
        add_class(plan, store_class_name((enum store_class)kind),
                  store_bytes(store, (enum store_class)kind));
    uint64_t activations = m.activations < m.transient ? m.activations : m.transient;
    add_class(plan, "activations", activations);
    add_class(plan, "workspace", session_transient(t->session) - activations);
    plan->alone = (int64_t)(t->session->alone_bytes - session_transient(t->session));
    if (t->train_program.program != NULL) scratch = program_scratch(t->train_program.program);
    if (scratch != 0) add_class(plan, "backend scratch", scratch);
}
