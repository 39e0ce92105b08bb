/* SPDX-License-Identifier: Apache-2.0
 *
 * Levels from memory ranges.
 */
#include "tracker.h"

#include <string.h>

void vk_tracker_init(struct vk_tracker *t, const struct graft_host *host)
{
    *t = (struct vk_tracker){.host = host};
}

void vk_tracker_fini(struct vk_tracker *t)
{
    if (t->interval != NULL) t->host->release(t->host->context, t->interval);
    *t = (struct vk_tracker){.host = t->host};
}

static bool reserve(struct vk_tracker *t, uint32_t more)
{
    if (t->count + more <= t->room) return true;
    uint32_t room = 2 * t->room + more + 64;
    struct vk_interval *to = t->host->alloc(t->host->context, room * sizeof *to);
    if (to == NULL) return false;
    if (t->interval != NULL) {
        memcpy(to, t->interval, t->count * sizeof *to);
        t->host->release(t->host->context, t->interval);
    }
    t->interval = to;
    t->room = room;
    return true;
}

/* The first interval that ends after `at`. */
static uint32_t find(const struct vk_tracker *t, uint64_t at)
{
    uint32_t low = 0, high = t->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->interval[middle].end > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void insert(struct vk_tracker *t, uint32_t at, struct vk_interval v)
{
    memmove(t->interval + at + 1, t->interval + at, (t->count - at) * sizeof v);
    t->interval[at] = v;
    t->count++;
}

static void split(struct vk_tracker *t, uint64_t at)
{
    uint32_t i = find(t, at);
    if (i == t->count || t->interval[i].begin >= at) return;
    struct vk_interval low = t->interval[i];
    low.end = at;
    t->interval[i].begin = at;
    insert(t, i, low);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The highest level that the access conflicts with. */
static uint32_t conflict(const struct vk_tracker *t, const struct vk_access *a)
{
    uint32_t level = 0;
    uint64_t end = a->address + a->bytes;
    for (uint32_t i = find(t, a->address); i < t->count && t->interval[i].begin < end; i++) {
        level = larger(level, t->interval[i].written);
        if (a->mode & VK_WRITE) level = larger(level, t->interval[i].read);
    }
    return level;
}

/* Whole intervals of the range are replaced by one; what lies before and after keeps its levels. */
static void write(struct vk_tracker *t, uint64_t begin, uint64_t end, uint32_t level)
{
    split(t, begin);
    split(t, end);
    uint32_t i = find(t, begin), k = i;
    while (k < t->count && t->interval[k].end <= end) k++;
    memmove(t->interval + i, t->interval + k, (t->count - k) * sizeof *t->interval);
    t->count -= k - i;
    insert(t, i, (struct vk_interval){begin, end, level, 0});
}

static bool read(struct vk_tracker *t, uint64_t begin, uint64_t end, uint32_t level)
{
    split(t, begin);
    split(t, end);
    for (uint32_t i = find(t, begin); begin < end; i++) {
        bool hole = i == t->count || t->interval[i].begin > begin;
        if (!reserve(t, 1)) return false;
        uint64_t until = i < t->count && t->interval[i].begin < end ? t->interval[i].begin : end;
        if (hole)
            insert(t, i, (struct vk_interval){begin, until, 0, level});
        else
            t->interval[i].read = larger(t->interval[i].read, level);
        begin = t->interval[i].end;
    }
    return true;
}

uint32_t vk_tracker_add(struct vk_tracker *t, const struct vk_access *access, uint32_t count)
{
    uint32_t level = 0;
    for (uint32_t i = 0; i < count; i++)
        if (access[i].address != 0 && access[i].bytes > 0)
            level = larger(level, conflict(t, &access[i]));
    level++;
    for (uint32_t i = 0; i < count; i++) {
        const struct vk_access *a = &access[i];
        if (a->address == 0 || a->bytes == 0) continue;
        if (!reserve(t, 3)) return 0;
        if (a->mode & VK_WRITE)
            write(t, a->address, a->address + a->bytes, level);
        else if (!read(t, a->address, a->address + a->bytes, level))
            return 0;
    }
    return level;
}
