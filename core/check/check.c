/* SPDX-License-Identifier: Apache-2.0
 *
 * All cases on one device, with each host.
 */
#include "check/run.h"
#include "ref/quant.h"

#include <string.h>

const struct check_family *const check_families[] = {&check_elementwise,
                                                     &check_broadcast,
                                                     &check_sum,
                                                     &check_matmul,
                                                     &check_embedding,
                                                     &check_rows,
                                                     &check_rms_norm,
                                                     &check_rms_norm_backward,
                                                     &check_rope_table,
                                                     &check_rope,
                                                     &check_swiglu,
                                                     &check_swiglu_backward,
                                                     &check_attention,
                                                     &check_attention_backward,
                                                     &check_cross_entropy,
                                                     &check_cross_entropy_backward,
                                                     &check_head_loss,
                                                     &check_dropout,
                                                     &check_assign,
                                                     &check_slice,
                                                     &check_skew,
                                                     &check_dequantize,
                                                     &check_embedding_backward,
                                                     &check_encode,
                                                     &check_decode,
                                                     NULL};

enum { LINES_PER_OP = 3 };

void check_report_free(struct check_report *report)
{
    str_free(&report->text);
    memset(report, 0, sizeof *report);
}

/* Plain and aliased on the first bench; plain on the others, compared with the first. */
static enum graft_status run_variants(const struct bench *benches, size_t count,
                                      const struct check_data *d, const struct check_family *family,
                                      uint8_t *results, uint8_t *other, struct error *e)
{
    enum graft_status status = run_case(&benches[0], d, family, RUN_PLAIN, results, e);
    for (int i = 0; i < GRAFT_MAX_INPUTS && status == GRAFT_OK; i++) {
        if (!may_alias(d, i)) continue;
        status = run_case(&benches[0], d, family, i, other, e);
        if (status != GRAFT_OK) error_place(e, "in place of input %d", i);
    }
    for (size_t i = 1; i < count && status == GRAFT_OK; i++) {
        status = run_case(&benches[i], d, family, RUN_PLAIN, other, e);
        if (status == GRAFT_OK)
            status = compare_results(d, results, other, "than with the first host's threads", e);
        if (status != GRAFT_OK)
            error_place(e, "with %u threads", benches[i].watch->host.thread_count);
    }
    return status;
}

static enum graft_status check_case(const struct bench *benches, size_t count,
                                    const struct check_data *d, const struct check_family *family,
                                    struct error *e)
{
    uint64_t bytes = case_result_bytes(d);
    uint8_t *results = mem_alloc((size_t)(2 * bytes));
    if (results == NULL) return error_memory(e, "the results of a case", (size_t)(2 * bytes));
    enum graft_status status = run_variants(benches, count, d, family, results, results + bytes, e);
    mem_free(results);
    return status;
}

void check_record(struct check_report *report, const struct check_data *d, uint64_t seed,
                  enum graft_status status, struct error *found, struct error *e)
{
    report->cases++;
    if (d->c.compute != GRAFT_DTYPE_F32) report->narrow++;
    report->op[d->c.op].cases++;
    if (status == GRAFT_OK) return;
    const char *compute = d->c.compute == GRAFT_DTYPE_F32 ? "" : ", computed in ";
    error_place(found, "%s (%s%s%s), seed %llu", d->info->name, d->c.name, compute,
                *compute != '\0' ? quant_name(d->c.compute) : "", (unsigned long long)seed);
    if (report->failed++ == 0 && e != NULL) *e = *found;
    if (report->op[d->c.op].failed++ < LINES_PER_OP) str_printf(&report->text, "%s\n", found->text);
}

bool check_passed_over(const struct check_options *options, const struct check_report *report,
                       const struct check_case *c)
{
    return options->stride > 1 && c->index % options->stride != 0 && report->op[c->op].cases > 0;
}

struct device_checks {
    struct bench *benches; /* one per host */
    size_t count;
    int32_t compute;
    const struct check_options *options;
    struct check_report *report;
};

static enum graft_status check_family(const struct device_checks *k,
                                      const struct check_family *family, struct error *e)
{
    const char *op = k->options->op;
    for (uint32_t i = 0; i < family->count; i++) {
        struct check_case c;
        struct check_data d;
        struct error found = {0};
        if (!case_make(family, i, k->compute, &c)) continue;
        if (op != NULL && strcmp(op_info(c.op)->name, op) != 0) continue;
        if (check_passed_over(k->options, k->report, &c)) continue;
        enum graft_status status = check_data_init(&d, family, &c, k->options->seed, e);
        if (status == GRAFT_OK)
            check_record(k->report, &d, k->options->seed,
                         check_case(k->benches, k->count, &d, family, &found), &found, e);
        check_data_fini(&d);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

/* Everything in f32, then what may be narrow in each type that the device offers. */
static enum graft_status check_all(struct device_checks *k, uint32_t offered, struct error *e)
{
    static const int32_t types[] = {GRAFT_DTYPE_F32, GRAFT_DTYPE_F16, GRAFT_DTYPE_BF16};
    enum graft_status status = GRAFT_OK;
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        k->compute = types[t];
        if (types[t] != GRAFT_DTYPE_F32 && (offered >> types[t] & 1) == 0) continue;
        for (size_t i = 0; check_families[i] != NULL && status == GRAFT_OK; i++)
            status = check_family(k, check_families[i], e);
    }
    return status;
}

static enum graft_status close_all(struct bench *benches, size_t count, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < count; i++) {
        struct error found = {0};
        if (bench_close(&benches[i], &found) == GRAFT_OK || status != GRAFT_OK) continue;
        status = found.status;
        if (e != NULL) *e = found;
    }
    return status;
}

enum graft_status check_backend(const struct graft_backend *backend,
                                const struct graft_host *const *hosts, size_t host_count,
                                uint32_t device, const struct check_options *options,
                                struct check_report *report, struct error *e)
{
    struct bench *benches = mem_zalloc(host_count, sizeof *benches);
    enum graft_status status = GRAFT_OK;
    if (benches == NULL || host_count == 0) {
        mem_free(benches);
        return error_set(e, GRAFT_E_FAILED, "no host to check with, or no memory for it");
    }
    for (size_t i = 0; i < host_count && status == GRAFT_OK; i++)
        status = bench_open(&benches[i], backend, hosts[i], device, e);
    struct device_checks k = {
        .benches = benches, .count = host_count, .options = options, .report = report};
    struct graft_device_info info = {.struct_size = sizeof info};
    if (status == GRAFT_OK && !backend->device_info(hosts[0], device, &info))
        status = error_set(e, GRAFT_E_FAILED, "device_info knows no device %u", device);
    if (status == GRAFT_OK) status = check_all(&k, info.compute, e);
    struct error leak = {0};
    enum graft_status closed = close_all(benches, host_count, &leak);
    mem_free(benches);
    if (status != GRAFT_OK) return status;
    if (report->failed > 0) return GRAFT_E_FAILED;
    if (report->cases == 0)
        return error_set(e, GRAFT_E_FAILED, "no case of op %s ran",
                         options->op != NULL ? options->op : "(any)");
    if (closed != GRAFT_OK && e != NULL) *e = leak;
    return closed;
}
