/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the CPU backend: the processor (processor.c), devices and buffers
 * (device.c), programs (program.c), the yardstick (limits.c). Knows the sdk and kernels, never the
 * core.
 */
#ifndef BACKENDS_CPU_CPU_BACKEND_H
#define BACKENDS_CPU_CPU_BACKEND_H

#include "cpu/cpu.h"

#include <stdbool.h>

struct graft_device {
    const struct graft_host *host;
    const struct cpu_kernels *kernels;
    const struct cpu_narrow *narrow; /* NULL: products in f32 alone */
    /* Grows with the largest program; programs run one at a time and share it. */
    struct graft_buffer *region;
};

struct graft_buffer {
    struct graft_device *device;
    uint8_t *data; /* aligned to 64 */
    uint64_t bytes;
    void *block;   /* of host->alloc; NULL: mapped or imported */
    size_t mapped; /* bytes to unmap; 0: not mapped */
    bool imported;
};

/* One way of computing on this processor. */
struct cpu_path {
    const char *name; /* "avx2", as GRAFT_KERNELS takes it */
    const struct cpu_kernels *kernels;
    const struct cpu_narrow *narrow; /* its instructions for bf16 products; NULL: it has none */
    bool (*usable)(void);
};

/* The best of this processor's, or the one that the host asks for. NULL: it lacks that; text: what
 * it has. */
const struct cpu_path *cpu_path_pick(const struct graft_host *host, char text[256]);

uint32_t cpu_device_count(const struct graft_host *host);
int32_t cpu_device_info(const struct graft_host *host, uint32_t index,
                        struct graft_device_info *info);
int32_t cpu_open(const struct graft_host *host, uint32_t index, struct graft_device **device);
void cpu_close(struct graft_device *device);
int32_t cpu_buffer_create(struct graft_device *device, uint64_t bytes, struct graft_buffer **out);
int32_t cpu_buffer_import(struct graft_device *device, const void *memory, uint64_t bytes,
                          struct graft_buffer **out);
void cpu_buffer_destroy(struct graft_buffer *buffer);
int32_t cpu_buffer_write(struct graft_buffer *buffer, uint64_t offset, const void *from,
                         uint64_t bytes);
int32_t cpu_buffer_read(struct graft_buffer *buffer, uint64_t offset, void *to, uint64_t bytes);
int32_t cpu_program_create(struct graft_device *device, const struct graft_program_desc *desc,
                           struct graft_program **out, uint64_t *scratch);
int32_t cpu_program_run(struct graft_program *program, const struct graft_run *run);
void cpu_program_destroy(struct graft_program *program);
int32_t cpu_limits(struct graft_device *device, struct graft_limits *limits);

/* The host's error text; returns status. */
GRAFT_PRINTF(3, 4)
int32_t cpu_fail(const struct graft_host *host, int32_t status, const char *format, ...);

#endif
