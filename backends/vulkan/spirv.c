/* SPDX-License-Identifier: Apache-2.0
 *
 * Shaders as a device should take them: what a driver may do to infinities, NaNs and subnormal
 * numbers is said by execution modes, which GLSL cannot, and which only some devices offer.
 */
#include "device.h"

#include <string.h>

/* Of the SPIR-V specification. */
enum {
    HEADER = 5, /* words */
    OP_ENTRY_POINT = 15,
    OP_EXECUTION_MODE = 16,
    OP_CAPABILITY = 17,
    CAPABILITY_DENORM_PRESERVE = 4464,
    CAPABILITY_INF_NAN_PRESERVE = 4466,
    MODE_DENORM_PRESERVE = 4459,
    MODE_INF_NAN_PRESERVE = 4461,
    MOST_MORE = 2 * (2 + 4) /* words of both */
};

static size_t add_capability(uint32_t *to, uint32_t capability)
{
    to[0] = 2u << 16 | OP_CAPABILITY;
    to[1] = capability;
    return 2;
}

static size_t add_mode(uint32_t *to, uint32_t function, uint32_t mode)
{
    to[0] = 4u << 16 | OP_EXECUTION_MODE;
    to[1] = function;
    to[2] = mode;
    to[3] = 32; /* bits */
    return 4;
}

/* The first word behind the entry point, whose function is put out. */
static size_t behind_entry(const struct vk_code *code, uint32_t *function)
{
    size_t at = HEADER;
    while (at < code->words && (code->code[at] & 0xFFFFu) != OP_ENTRY_POINT)
        at += code->code[at] >> 16;
    *function = code->code[at + 2];
    return at + (code->code[at] >> 16);
}

uint32_t *vk_spirv_make(const struct graft_device *d, const struct vk_code *code, size_t *words)
{
    const struct vk_probe *p = &d->probe;
    uint32_t function;
    size_t entry = behind_entry(code, &function), at = HEADER;
    uint32_t *to = d->host->alloc(d->host->context, (code->words + MOST_MORE) * sizeof *to);
    if (to == NULL) return NULL;
    memcpy(to, code->code, HEADER * sizeof *to);
    if (p->inf_nan_preserve) at += add_capability(to + at, CAPABILITY_INF_NAN_PRESERVE);
    if (p->denorm_preserve) at += add_capability(to + at, CAPABILITY_DENORM_PRESERVE);
    memcpy(to + at, code->code + HEADER, (entry - HEADER) * sizeof *to);
    at += entry - HEADER;
    if (p->inf_nan_preserve) at += add_mode(to + at, function, MODE_INF_NAN_PRESERVE);
    if (p->denorm_preserve) at += add_mode(to + at, function, MODE_DENORM_PRESERVE);
    memcpy(to + at, code->code + entry, (code->words - entry) * sizeof *to);
    *words = at + code->words - entry;
    return to;
}
