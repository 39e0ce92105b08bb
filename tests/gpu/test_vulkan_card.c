/* SPDX-License-Identifier: Apache-2.0
 *
 * The conformance cases on a device that has next to nothing: it is a card, whose memory the host
 * reaches by copies alone, with the least limits and none of what only some devices offer. The
 * driver in software is made to look like one. Argument: only every Nth case and the first of each
 * op.
 */
/* Before cmocka, whose macro `fail` would hit a member of the builder's table. */
#include "graph/op.h"

#include "unit/test.h"

#include "check/check.h"
#include "conform/host.h"
#include "program.h"

#include <stdlib.h>
#include <string.h>

static uint32_t stride, copied;

static int32_t open_bare(const struct graft_host *host, uint32_t index, struct graft_device **out)
{
    int32_t status = vk_open(host, index, out);
    if (status != GRAFT_OK) return status;
    struct vk_probe *p = &(*out)->probe;
    struct vk_caps *c = &p->caps;
    p->unified = false;
    p->import_alignment = 0;
    p->timestamp_bits = 0;
    p->inf_nan_preserve = p->denorm_preserve = false;
    c->subgroup_least = c->subgroup_most = c->subgroup;
    c->fixed_subgroup = c->f16_arithmetic = false;
    c->shared_bytes = 16384;
    c->threads = 256;
    c->f16 = c->bf16 = (struct vk_matrix){0, 0, 0};
    return GRAFT_OK;
}

static int32_t create(struct graft_device *device, uint64_t bytes, struct graft_buffer **out)
{
    int32_t status = vk_buffer_create(device, bytes, out);
    if (status == GRAFT_OK && (*out)->mapped == NULL) copied++;
    return status;
}

/* Each dispatch of a program keeps to the limits. */
static int32_t make(struct graft_device *device, const struct graft_program_desc *desc,
                    struct graft_program **out, uint64_t *scratch)
{
    int32_t status = vk_program_create(device, desc, out, scratch);
    for (uint32_t i = 0; i < device->pipeline_count; i++) {
        const struct vk_pipeline *p = &device->pipelines[i];
        if (p->subgroup != 0 || p->constants[0] > device->probe.caps.threads)
            fail_msg("%s: %u threads in subgroups of %u", vk_shader_code[p->shader].name,
                     (unsigned)p->constants[0], (unsigned)p->subgroup);
    }
    return status;
}

static const struct graft_backend bare = {
    .struct_size = sizeof(struct graft_backend),
    .device_count = vk_device_count,
    .device_info = vk_device_info,
    .open = open_bare,
    .close = vk_close,
    .buffer_create = create,
    .buffer_import = vk_buffer_import,
    .buffer_destroy = vk_buffer_destroy,
    .buffer_write = vk_buffer_write,
    .buffer_read = vk_buffer_read,
    .program_create = make,
    .program_run = vk_program_run,
    .program_destroy = vk_program_destroy,
};

static void test_all(void **state)
{
    const struct check_options options = {.seed = 3, .stride = stride};
    struct check_report report = {0};
    struct test_host h;
    struct error e = {0};
    (void)state;
    test_host_init(&h, 1);
    const struct graft_host *host = &h.host;
    enum graft_status status = check_backend(&bare, &host, 1, 0, &options, &report, &e);
    print_message("%u cases, %u buffers of a card, %u failed\n%s", report.cases, copied,
                  report.failed, report.text.data != NULL ? report.text.data : "");
    check_report_free(&report);
    test_host_fini(&h);
    assert_ok(status, &e);
    assert_true(copied > 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
    struct test_host h;
    stride = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
    test_host_init(&h, 1);
    bool none = vk_device_count(&h.host) == 0;
    test_host_fini(&h);
    return none ? 77 : TEST_MAIN(tests);
}
