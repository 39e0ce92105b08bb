/* SPDX-License-Identifier: Apache-2.0
 *
 * The conformance cases, dispatch by dispatch: what a shader reads and writes is what its op file
 * declared, to the byte, since barriers come from that. Each dispatch runs twice, the second time
 * with everything poisoned that it does not declare to read; buffers end before a page without
 * access. Needs a driver that runs in the host's memory.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
/* Before cmocka, whose macro `fail` would hit a member of the builder's table. */
#include "graph/op.h"

#include "unit/test.h"

#include "check/check.h"
#include "conform/host.h"
#include "program.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BUFFERS = 64, TAIL = 64, POISON = 0xFF };

/* A buffer that the case made, or the scratch of its program. */
struct memory {
    struct graft_buffer *buffer;
    uint8_t *base; /* of the mapping; NULL: scratch */
    size_t mapped;
    uint8_t *before, *after;
    uint8_t *modes; /* VK_READ and VK_WRITE of each byte, for one dispatch */
};

static struct memory memory[BUFFERS];
static uint32_t memory_count;
static bool forgetful; /* drop the last access of each dispatch: the audit must find it */
static uint32_t audited;

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static int32_t create(struct graft_device *device, uint64_t bytes, struct graft_buffer **out)
{
    size_t room = ((size_t)bytes + TAIL + VK_ALIGNMENT - 1) / VK_ALIGNMENT * VK_ALIGNMENT;
    size_t pages = (room + page() - 1) / page() * page();
    uint8_t *base =
        mmap(NULL, pages + page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(base != MAP_FAILED && memory_count < BUFFERS);
    assert_int_equal(mprotect(base + pages, page(), PROT_NONE), 0);
    uint8_t *data = base + pages - room;
    int32_t status = vk_buffer_import(device, data, bytes, out);
    assert_int_equal(status, GRAFT_OK);
    (*out)->imported = false; /* written like any other */
    (*out)->mapped = data;
    memory[memory_count++] =
        (struct memory){.buffer = *out, .base = base, .mapped = pages + page()};
    return status;
}

static void destroy(struct graft_buffer *buffer)
{
    vk_buffer_destroy(buffer);
    for (uint32_t i = 0; buffer != NULL && i < memory_count; i++) {
        if (memory[i].buffer != buffer) continue;
        munmap(memory[i].base, memory[i].mapped);
        memory[i] = memory[--memory_count];
    }
}

static int32_t make(struct graft_device *device, const struct graft_program_desc *desc,
                    struct graft_program **out, uint64_t *scratch)
{
    int32_t status = vk_program_create(device, desc, out, scratch);
    for (uint32_t i = 0; status == GRAFT_OK && forgetful && i < (*out)->step_count; i++)
        (*out)->steps[i].access_count--;
    return status;
}

static void fill_modes(const struct graft_program *p, const struct vk_step *s,
                       const struct memory *m)
{
    uint64_t begin = m->buffer->address, end = begin + m->buffer->bytes;
    memset(m->modes, 0, (size_t)m->buffer->bytes);
    for (uint32_t i = 0; i < s->access_count; i++) {
        const struct vk_access *a = &p->access[s->access + i];
        uint64_t from = a->address > begin ? a->address : begin;
        uint64_t to = a->address + a->bytes < end ? a->address + a->bytes : end;
        for (uint64_t at = from; at < to; at++) m->modes[at - begin] |= (uint8_t)a->mode;
    }
}

static int32_t run_step(struct graft_program *p, const struct vk_step *s)
{
    struct graft_device *d = p->device;
    struct vk_slot *slot;
    const uint64_t push[2] = {p->args->address + s->args, d->live->address};
    int32_t status = vk_slot_begin(d, &slot);
    if (status != GRAFT_OK) return status;
    d->vk.CmdBindPipeline(slot->commands, VK_PIPELINE_BIND_POINT_COMPUTE, s->pipeline);
    d->vk.CmdPushConstants(slot->commands, d->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push,
                           push);
    d->vk.CmdDispatchBase(slot->commands, 0, 0, 0, s->groups[0], s->groups[1], s->groups[2]);
    status = vk_slot_submit(d, slot, NULL, 0);
    return status == GRAFT_OK ? vk_wait(d, slot->value) : status;
}

static int32_t complain(const struct graft_program *p, const struct vk_step *s, const char *what,
                        const struct memory *m, uint64_t at)
{
    return vk_fail(p->device->host, GRAFT_E_FAILED,
                   "shader %s %s at byte %llu of a buffer of %llu, which its op does not declare",
                   vk_shader_code[s->shader].name, what, (unsigned long long)at,
                   (unsigned long long)m->buffer->bytes);
}

/* What was not to be written is as before. */
static int32_t check_writes(const struct graft_program *p, const struct vk_step *s,
                            const struct memory *m)
{
    for (uint64_t i = 0; i < m->buffer->bytes; i++)
        if (m->after[i] != m->before[i] && !(m->modes[i] & VK_WRITE))
            return complain(p, s, "writes", m, i);
    return GRAFT_OK;
}

static void poison(const struct memory *m)
{
    for (uint64_t i = 0; i < m->buffer->bytes; i++)
        m->buffer->mapped[i] = m->modes[i] != 0 ? m->before[i] : (uint8_t)POISON;
}

/* With all else poisoned the results were the same; what was poisoned is put back. */
static int32_t check_reads(const struct graft_program *p, const struct vk_step *s,
                           const struct memory *m)
{
    int32_t status = GRAFT_OK;
    for (uint64_t i = 0; i < m->buffer->bytes && status == GRAFT_OK; i++)
        if (m->modes[i] != 0 && m->buffer->mapped[i] != m->after[i])
            status = complain(p, s, "depends on what it reads: other results", m, i);
    memcpy(m->buffer->mapped, m->after, (size_t)m->buffer->bytes);
    return status;
}

static int32_t audit(struct graft_program *p, const struct vk_step *s, struct memory *all,
                     uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        fill_modes(p, s, &all[i]);
        memcpy(all[i].before, all[i].buffer->mapped, (size_t)all[i].buffer->bytes);
    }
    int32_t status = run_step(p, s);
    for (uint32_t i = 0; i < count && status == GRAFT_OK; i++) {
        memcpy(all[i].after, all[i].buffer->mapped, (size_t)all[i].buffer->bytes);
        status = check_writes(p, s, &all[i]);
    }
    for (uint32_t i = 0; i < count; i++) poison(&all[i]);
    if (status == GRAFT_OK) status = run_step(p, s);
    for (uint32_t i = 0; i < count && status == GRAFT_OK; i++) status = check_reads(p, s, &all[i]);
    audited++;
    return status;
}

static int32_t run(struct graft_program *p, const struct graft_run *run)
{
    struct graft_device *d = p->device;
    struct memory all[BUFFERS + 1];
    uint32_t count = memory_count, live[GRAFT_ROWS_KINDS];
    memcpy(all, memory, count * sizeof *all);
    if (p->scratch != NULL) all[count++] = (struct memory){.buffer = p->scratch};
    for (uint32_t i = 0; i < count; i++) {
        all[i].before = mem_alloc((size_t)all[i].buffer->bytes + 1);
        all[i].after = mem_alloc((size_t)all[i].buffer->bytes + 1);
        all[i].modes = mem_alloc((size_t)all[i].buffer->bytes + 1);
    }
    for (int i = 0; i < GRAFT_ROWS_KINDS; i++) live[i] = (uint32_t)run->live[i];
    int32_t status = vk_wait(d, d->submitted);
    memcpy(d->live->mapped, live, sizeof live);
    for (uint32_t i = 0; i < p->step_count && status == GRAFT_OK; i++)
        status = audit(p, &p->steps[i], all, count);
    for (uint32_t i = 0; i < count; i++) {
        mem_free(all[i].before);
        mem_free(all[i].after);
        mem_free(all[i].modes);
    }
    return status;
}

static const struct graft_backend audited_backend = {
    .struct_size = sizeof(struct graft_backend),
    .device_count = vk_device_count,
    .device_info = vk_device_info,
    .open = vk_open,
    .close = vk_close,
    .buffer_create = create,
    .buffer_destroy = destroy,
    .buffer_write = vk_buffer_write,
    .buffer_read = vk_buffer_read,
    .program_create = make,
    .program_run = run,
    .program_destroy = vk_program_destroy,
};

static enum graft_status check(const char *op, struct check_report *report, struct error *e)
{
    const struct check_options options = {.seed = 2, .op = op};
    struct test_host h;
    test_host_init(&h, 1);
    const struct graft_host *host = &h.host;
    enum graft_status status = check_backend(&audited_backend, &host, 1, 0, &options, report, e);
    test_host_fini(&h);
    return status;
}

static void test_all(void **state)
{
    struct check_report report = {0};
    struct error e = {0};
    (void)state;
    enum graft_status status = check(NULL, &report, &e);
    print_message("%u cases, %u dispatches, %u failed\n%s", report.cases, audited, report.failed,
                  report.text.data != NULL ? report.text.data : "");
    check_report_free(&report);
    assert_ok(status, &e);
    assert_true(audited > 0);
}

/* An access that is not declared is found: the output's, or an input's. */
static void test_forgetful(void **state)
{
    static const char *const ops[] = {"add", "sum", "gather_rows", "assign"};
    (void)state;
    forgetful = true;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        struct check_report report = {0};
        struct error e = {0};
        assert_int_not_equal(check(ops[i], &report, &e), GRAFT_OK);
        assert_non_null(strstr(e.text, "does not declare"));
        check_report_free(&report);
    }
    forgetful = false;
}

static bool usable(void)
{
    struct test_host h;
    struct graft_device *d = NULL;
    bool fits = false;
    test_host_init(&h, 1);
    if (vk_device_count(&h.host) > 0 && vk_open(&h.host, 0, &d) == GRAFT_OK)
        fits = d->probe.software && d->probe.import_alignment > 0;
    vk_close(d);
    test_host_fini(&h);
    return fits;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forgetful),
        cmocka_unit_test(test_all),
    };
    if (!usable()) return 77;
    return TEST_MAIN(tests);
}
