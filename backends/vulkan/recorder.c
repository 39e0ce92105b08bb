/* SPDX-License-Identifier: Apache-2.0
 *
 * The one way to compute: dispatches of a program, with their arguments, levels and scratch.
 */
#include "program.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct vk_caps *vk_caps(const struct vk_recorder *r)
{
    return &r->device->probe.caps;
}

bool vk_has_shader(const struct vk_recorder *r, enum vk_shader shader)
{
    (void)r;
    return vk_shader_code[shader].words > 0;
}

static void no_memory(struct vk_recorder *r)
{
    r->status = vk_fail(r->device->host, GRAFT_E_MEMORY, "no memory to record a program");
}

void vk_unsupported(struct vk_recorder *r, const char *format, ...)
{
    char text[384];
    va_list list;
    if (r->status != GRAFT_OK) return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    r->status =
        vk_fail(r->device->host, GRAFT_E_UNSUPPORTED, "node %u: %s", (unsigned)r->node, text);
}

struct vk_tensor vk_scratch(struct vk_recorder *r, uint64_t bytes)
{
    struct vk_tensor t = {.address = r->scratch_at, .bytes = bytes};
    r->scratch_at += (bytes + VK_ALIGNMENT - 1) / VK_ALIGNMENT * VK_ALIGNMENT + VK_ALIGNMENT;
    return t;
}

/* Room for one more of `size` bytes in a list of the host's memory. */
static bool grow(const struct graft_host *host, void **list, size_t size, uint32_t count,
                 uint32_t more, uint32_t *room)
{
    if (count + more <= *room) return true;
    uint32_t wanted = 2 * *room + more + 64;
    void *to = host->alloc(host->context, wanted * size);
    if (to == NULL) return false;
    if (*list != NULL) {
        memcpy(to, *list, count * size);
        host->release(host->context, *list);
    }
    *list = to;
    *room = wanted;
    return true;
}

static bool append_args(struct vk_recorder *r, const void *args, uint32_t bytes, uint32_t *at)
{
    const struct graft_host *host = r->device->host;
    size_t begin = (r->args_bytes + 15) / 16 * 16;
    if (begin + bytes > r->args_room) {
        size_t room = 2 * r->args_room + bytes + 4096;
        uint8_t *to = host->alloc(host->context, room);
        if (to == NULL) return false;
        if (r->args != NULL) {
            memcpy(to, r->args, r->args_bytes);
            host->release(host->context, r->args);
        }
        r->args = to;
        r->args_room = room;
    }
    memset(r->args + r->args_bytes, 0, begin - r->args_bytes);
    memcpy(r->args + begin, args, bytes);
    r->args_bytes = begin + bytes;
    *at = (uint32_t)begin;
    return true;
}

static bool append_access(struct vk_recorder *r, const struct vk_dispatch *d, struct vk_step *s)
{
    void *list = r->program->access;
    bool fits = grow(r->device->host, &list, sizeof(struct vk_access), r->access_count, VK_ACCESSES,
                     &r->access_room);
    r->program->access = list;
    if (!fits) return false;
    s->access = r->access_count;
    for (uint32_t i = 0; i < VK_ACCESSES; i++)
        if (d->access[i].address != 0) r->program->access[r->access_count++] = d->access[i];
    s->access_count = r->access_count - s->access;
    return true;
}

static double work_of(const struct vk_dispatch *d)
{
    double bytes = 0.0;
    if (d->work > 0.0) return d->work;
    for (uint32_t i = 0; i < VK_ACCESSES; i++)
        if (d->access[i].address != 0) bytes += (double)d->access[i].bytes;
    return bytes / 4.0;
}

static bool append(struct vk_recorder *r, struct vk_step *step, const struct vk_dispatch *d)
{
    struct graft_program *p = r->program;
    void *list = p->steps;
    bool fits = grow(r->device->host, &list, sizeof *p->steps, p->step_count, 1, &r->step_room);
    p->steps = list;
    if (!fits || !append_args(r, d->args, d->args_bytes, &step->args) || !append_access(r, d, step))
        return false;
    step->level = vk_tracker_add(&r->tracker, p->access + step->access, step->access_count);
    if (step->level == 0) return false;
    p->steps[p->step_count++] = *step;
    return true;
}

void vk_dispatch(struct vk_recorder *r, const struct vk_dispatch *d)
{
    if (r->measuring || r->status != GRAFT_OK) return;
    if (!vk_has_shader(r, d->shader)) {
        vk_unsupported(r, "shader %s is not in this build", vk_shader_code[d->shader].name);
        return;
    }
    struct vk_step step = {.shader = d->shader,
                           .node = r->node,
                           .groups = {d->groups[0], d->groups[1], d->groups[2]},
                           .work = work_of(d)};
    r->status = vk_pipeline_find(r->device, d, &step.pipeline);
    if (r->status == GRAFT_OK && !append(r, &step, d)) no_memory(r);
}

int32_t vk_recorder_sort(struct vk_recorder *r)
{
    struct graft_program *p = r->program;
    const struct graft_host *host = r->device->host;
    uint32_t levels = 0, at = 0;
    for (uint32_t i = 0; i < p->step_count; i++)
        if (p->steps[i].level > levels) levels = p->steps[i].level;
    struct vk_step *to = host->alloc(host->context, (p->step_count + 1) * sizeof *to);
    uint32_t *begin = host->alloc(host->context, (levels + 2) * sizeof *begin);
    if (to == NULL || begin == NULL) {
        if (to != NULL) host->release(host->context, to);
        if (begin != NULL) host->release(host->context, begin);
        return vk_fail(host, GRAFT_E_MEMORY, "no memory to record a program");
    }
    memset(begin, 0, (levels + 2) * sizeof *begin);
    for (uint32_t i = 0; i < p->step_count; i++) begin[p->steps[i].level]++;
    for (uint32_t i = 0; i <= levels; i++) {
        uint32_t count = begin[i];
        begin[i] = at;
        at += count;
    }
    for (uint32_t i = 0; i < p->step_count; i++) to[begin[p->steps[i].level]++] = p->steps[i];
    host->release(host->context, begin);
    if (p->steps != NULL) host->release(host->context, p->steps);
    p->steps = to;
    return GRAFT_OK;
}

void vk_recorder_fini(struct vk_recorder *r)
{
    vk_tracker_fini(&r->tracker);
    if (r->args != NULL) r->device->host->release(r->device->host->context, r->args);
    r->args = NULL;
}
