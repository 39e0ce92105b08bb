/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs are run here: their steps are recorded once into command buffers, and a run submits
 * these behind the upload of its live counts. A display driver kills what lasts too long, so the
 * pieces are cut by the rate that the device shows; the first runs are timed for that.
 */
#include "program.h"

#include <math.h>

static const double TARGET = 0.1, LIMIT = 0.2; /* seconds of a piece: aimed at, cut anew above */
static const double LEAST = 0.005;             /* shorter ones say nothing about the rate */

enum { TIMED_RUNS = 16 };

/* Until a program has been timed: a slow device of its kind. */
static double rate_of(const struct graft_device *d)
{
    if (d->rate > 0.0) return d->rate;
    switch (d->probe.properties.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 5e11;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return 2e9;
    default: return 5e10;
    }
}

/* A walk over the parts of all steps, each short enough for a piece. */
struct walk {
    const struct graft_program *p;
    double most;          /* operations of a piece */
    uint32_t step, begin; /* the next part */
};

struct part {
    const struct vk_step *step;
    int axis;              /* along which it is cut */
    uint32_t begin, count; /* workgroups along it */
    double work;
};

static bool next_part(struct walk *w, struct part *out)
{
    if (w->step == w->p->step_count) return false;
    const struct vk_step *s = &w->p->steps[w->step];
    int axis = 0;
    for (int i = 1; i < 3; i++)
        if (s->groups[i] > s->groups[axis]) axis = i;
    uint32_t all = s->groups[axis], count = all;
    if (s->work > w->most) count = (uint32_t)fmax(1.0, floor(all * (w->most / s->work)));
    if (count > all - w->begin) count = all - w->begin;
    *out = (struct part){s, axis, w->begin, count, s->work * count / all};
    w->begin += count;
    if (w->begin == all) {
        w->step++;
        w->begin = 0;
    }
    return true;
}

static void dispatch(const struct graft_program *p, VkCommandBuffer commands, const struct part *t)
{
    const struct graft_device *d = p->device;
    const struct vk_step *s = t->step;
    const uint64_t push[2] = {p->args->address + s->args, d->live->address};
    uint32_t begin[3] = {0, 0, 0}, count[3] = {s->groups[0], s->groups[1], s->groups[2]};
    begin[t->axis] = t->begin;
    count[t->axis] = t->count;
    d->vk.CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, s->pipeline);
    d->vk.CmdPushConstants(commands, d->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, push);
    d->vk.CmdDispatchBase(commands, begin[0], begin[1], begin[2], count[0], count[1], count[2]);
}

static void stamp(const struct graft_program *p, uint32_t piece, bool end)
{
    const struct graft_device *d = p->device;
    uint32_t query = 2 * piece + end;
    if (p->queries == VK_NULL_HANDLE) return;
    if (!end) d->vk.CmdResetQueryPool(p->pieces[piece], p->queries, query, 2);
    d->vk.CmdWriteTimestamp(p->pieces[piece],
                            end ? VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT
                                : VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
                            p->queries, query);
}

/* Piece `index` from the walk's next part on. */
static VkResult record(struct graft_program *p, uint32_t index, struct walk *w)
{
    const struct graft_device *d = p->device;
    VkCommandBuffer commands = p->pieces[index];
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT};
    VkResult result = d->vk.BeginCommandBuffer(commands, &begin);
    if (result != VK_SUCCESS) return result;
    stamp(p, index, false);
    uint32_t level = 0;
    p->work[index] = 0.0;
    for (;;) {
        struct walk ahead = *w;
        struct part part;
        if (!next_part(&ahead, &part)) break;
        if (p->work[index] > 0.0 && p->work[index] + part.work > w->most) break;
        if (level != 0 && part.step->level != level) vk_barrier(d, commands);
        level = part.step->level;
        dispatch(p, commands, &part);
        p->work[index] += part.work;
        *w = ahead;
    }
    vk_barrier(d, commands);
    stamp(p, index, true);
    return d->vk.EndCommandBuffer(commands);
}

/* As record() cuts; at least one, so that a run always has something to wait for. */
static uint32_t count_pieces(struct walk w)
{
    struct part part;
    uint32_t count = 1;
    double work = 0.0;
    while (next_part(&w, &part)) {
        if (work > 0.0 && work + part.work > w.most) {
            count++;
            work = 0.0;
        }
        work += part.work;
    }
    return count;
}

static VkResult make_pieces(struct graft_program *p)
{
    const struct graft_device *d = p->device;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = d->probe.queue_family};
    VkQueryPoolCreateInfo queries = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                     .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                     .queryCount = 2 * p->piece_count};
    VkResult result = d->vk.CreateCommandPool(d->handle, &pool, NULL, &p->pool);
    if (result == VK_SUCCESS && d->probe.timestamp_bits > 0)
        result = d->vk.CreateQueryPool(d->handle, &queries, NULL, &p->queries);
    if (result != VK_SUCCESS) return result;
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = p->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = p->piece_count};
    return d->vk.AllocateCommandBuffers(d->handle, &info, p->pieces);
}

int32_t vk_program_cut(struct graft_program *p)
{
    struct graft_device *d = p->device;
    const struct graft_host *host = d->host;
    struct walk w = {.p = p, .most = rate_of(d) * TARGET};
    uint32_t count = p->piece_count = count_pieces(w);
    p->pieces = host->alloc(host->context, count * sizeof *p->pieces);
    p->work = host->alloc(host->context, count * sizeof *p->work);
    p->times = host->alloc(host->context, count * 2 * sizeof *p->times);
    if (p->pieces == NULL || p->work == NULL || p->times == NULL)
        return vk_fail(host, GRAFT_E_MEMORY, "no memory for the commands of a program");
    VkResult result = make_pieces(p);
    for (uint32_t i = 0; i < count && result == VK_SUCCESS; i++) result = record(p, i, &w);
    return result == VK_SUCCESS ? GRAFT_OK : vk_failed(d, "recording a program", result);
}

void vk_program_uncut(struct graft_program *p)
{
    struct graft_device *d = p->device;
    const struct graft_host *host = d->host;
    d->vk.DestroyCommandPool(d->handle, p->pool, NULL);
    d->vk.DestroyQueryPool(d->handle, p->queries, NULL);
    if (p->pieces != NULL) host->release(host->context, p->pieces);
    if (p->work != NULL) host->release(host->context, p->work);
    if (p->times != NULL) host->release(host->context, p->times);
    p->pool = VK_NULL_HANDLE;
    p->queries = VK_NULL_HANDLE;
    p->pieces = NULL;
    p->work = NULL;
    p->times = NULL;
}

/* The longest piece of the last run in seconds; the device's rate follows the slowest. */
static double time_pieces(struct graft_program *p)
{
    struct graft_device *d = p->device;
    double unit = (double)d->probe.properties.limits.timestampPeriod * 1e-9, longest = 0.0;
    uint32_t bits = d->probe.timestamp_bits;
    uint64_t mask = bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    VkResult result = d->vk.GetQueryPoolResults(d->handle, p->queries, 0, 2 * p->piece_count,
                                                2 * p->piece_count * sizeof *p->times, p->times,
                                                sizeof *p->times, VK_QUERY_RESULT_64_BIT);
    if (result != VK_SUCCESS) return 0.0;
    for (uint32_t i = 0; i < p->piece_count; i++) {
        double seconds = (double)((p->times[2 * i + 1] - p->times[2 * i]) & mask) * unit;
        if (seconds > longest) longest = seconds;
        if (seconds < LEAST) continue;
        double rate = p->work[i] / seconds;
        if (d->rate == 0.0 || rate < d->rate) d->rate = rate;
    }
    return longest;
}

/* What the last run tells; it is over. Cut anew, if a piece lasted too long. */
static int32_t learn(struct graft_program *p)
{
    struct graft_device *d = p->device;
    if (p->value == 0 || p->queries == VK_NULL_HANDLE || p->timed == TIMED_RUNS) return GRAFT_OK;
    int32_t status = vk_wait(d, p->value);
    if (status != GRAFT_OK) return status;
    p->timed++;
    if (time_pieces(p) <= LIMIT) return GRAFT_OK;
    struct walk w = {.p = p, .most = rate_of(d) * TARGET};
    if (count_pieces(w) <= p->piece_count) return GRAFT_OK;
    vk_program_uncut(p);
    return vk_program_cut(p);
}

static int32_t check_live(const struct graft_program *p, const struct graft_run *run)
{
    const struct graft_host *host = p->device->host;
    if (run->struct_size < sizeof *run)
        return vk_fail(host, GRAFT_E_INVALID, "a run of %u bytes: the struct has %zu",
                       (unsigned)run->struct_size, sizeof *run);
    for (int i = 1; i < GRAFT_ROWS_KINDS; i++)
        if (p->capacity[i] >= 0 && (run->live[i] < 0 || run->live[i] > p->capacity[i]))
            return vk_fail(host, GRAFT_E_INVALID,
                           "a run with %lld live rows of kind %d: the program holds 0 to %lld",
                           (long long)run->live[i], i, (long long)p->capacity[i]);
    return GRAFT_OK;
}

int32_t vk_program_run(struct graft_program *program, const struct graft_run *run)
{
    struct graft_device *d = program->device;
    struct vk_slot *slot = NULL;
    uint32_t live[GRAFT_ROWS_KINDS];
    int32_t status = check_live(program, run);
    if (status == GRAFT_OK) status = learn(program);
    if (status == GRAFT_OK) status = vk_slot_begin(d, &slot);
    if (status != GRAFT_OK) return status;
    for (int i = 0; i < GRAFT_ROWS_KINDS; i++) live[i] = (uint32_t)run->live[i];
    d->vk.CmdUpdateBuffer(slot->commands, d->live->handle, 0, sizeof live, live);
    status = vk_slot_submit(d, slot, program->pieces, program->piece_count);
    if (status == GRAFT_OK) program->value = d->submitted;
    return status;
}
