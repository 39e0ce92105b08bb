/* SPDX-License-Identifier: Apache-2.0
 *
 * What a compute backend implements: devices, buffers and programs. The host places every value
 * before the first run; a backend only executes. It must compute every op of ops.h.
 *
 * Threads: the host calls one function of a device at a time, from any of its threads.
 * Failure: a status, after host->error with the text; nothing is changed then.
 * Order: calls on a device take effect in the order they were made; program_run may return before
 * the work is done, buffer_read waits for it.
 */
#ifndef GRAFT_BACKEND_H
#define GRAFT_BACKEND_H

#include <graft/host.h>
#include <graft/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

struct graft_device; /* opaque, the backend's own */
struct graft_buffer;
struct graft_program;

enum { GRAFT_MAX_INPUTS = 10, GRAFT_MAX_OUTPUTS = 6 };
enum { GRAFT_SUM_DEPTH = 256 };
#define GRAFT_ABSENT 0xFFFFFFFFu /* an optional input or an output that nobody reads */

struct graft_device_info {
    uint32_t struct_size;
    int32_t usable;  /* 0: `note` says why not */
    uint64_t memory; /* bytes the device may use; 0: unknown */
    char name[128];  /* "AMD EPYC, 2 threads, AVX2, OpenBLAS 0.3.21" */
    char note[256];  /* else what the device has, beside its name: "discrete GPU, .." */
    double gflops;   /* rough f32 rate: `backend: auto` takes the largest; 0: unknown */
    /* Bit 1 << dtype of each narrow type (F16, BF16) that products may be computed in: ops.h,
     * `compute`. F32 is always there. */
    uint32_t compute;
    /* Not 0: it runs sweeps (graft_node) as such, and is handed some. Else each node is run alone
     * and every tensor has memory. */
    uint32_t sweeps;
    /* What compiles the work and runs it, if the backend does not itself, with its version: a
     * device with a new one is tested before something is trained on it. Empty: nothing. */
    char driver[128];
};

/* One placed value. Weights of any type; NF4: the struct graft_nf4 buffer of quant.h. */
struct graft_tensor {
    int32_t dtype;
    int32_t rows; /* enum graft_rows: the run's live count replaces shape.dim[0] */
    struct graft_shape shape;
    uint32_t buffer; /* index into the program's buffers */
    /* Not 0: only nodes of one sweep touch it, and it has no memory: buffer and offset are 0. Those
     * of one number are one piece of memory, wherever the backend keeps it meanwhile. */
    uint32_t inner;
    uint64_t offset; /* bytes; a multiple of 64 */
};

struct graft_node {
    int32_t op; /* enum graft_op */
    uint32_t input_count, output_count;
    uint32_t input[GRAFT_MAX_INPUTS]; /* indices of tensors, or GRAFT_ABSENT */
    uint32_t output[GRAFT_MAX_OUTPUTS];
    /* A sweep: this node and those after it, `sweep` in all (0: none begins here), make the same
     * number of rows along the first dimension. Row r of a node's outputs needs row r of the inputs
     * whose bits are set in by_row, and of other inputs whatever of them, which none of the nodes
     * writes. So all of them may be run for some rows before any is for others, rows in any order
     * and at once.
     *
     * A sweep begins with a MATMUL or has none. One that does is a sum: each of its ADDs takes what
     * is there so far (first the MATMUL's output), and adds to it a value from outside, once at
     * most, or, once at most, the output of a second MATMUL in the sweep, of rank 2 as the first,
     * that transposes as it does, with an f32 b and a K of at most GRAFT_SUM_DEPTH. Sums are made
     * in that order. */
    uint16_t sweep, by_row;
    union graft_params params;
};

/* Nodes in the order to run them. An output may lie in the memory of an input only where the
 * host's op table allows it (elementwise ops and their like: same shape, element for element). */
struct graft_program_desc {
    uint32_t struct_size, tensor_stride, node_stride;
    uint32_t tensor_count, node_count, buffer_count;
    const struct graft_tensor *tensors; /* borrowed during program_create only */
    const struct graft_node *nodes;
    struct graft_buffer *const *buffers; /* must outlive the program */
};

struct graft_run {
    uint32_t struct_size, reserved;
    int64_t live[GRAFT_ROWS_KINDS]; /* live[FIXED] is not used; 0 rows are legal */
};

/* What a device can do at most, by measurement: the yardstick of `graft bench`. 0: not known. */
struct graft_limits {
    uint32_t struct_size, reserved;
    double flops_f32, flops_bf16, flops_f16; /* of its fastest multiply-adds, sums in f32, per s */
    double read, copy; /* bytes of memory a second; copy: read and written, counted once each */
};

struct graft_backend {
    uint32_t struct_size;
    uint32_t reserved;

    uint32_t (*device_count)(const struct graft_host *host);
    /* False (0) when index is out of range. */
    int32_t (*device_info)(const struct graft_host *host, uint32_t index,
                           struct graft_device_info *info);
    /* `host` stays valid until close. */
    int32_t (*open)(const struct graft_host *host, uint32_t index, struct graft_device **device);
    void (*close)(
        struct graft_device *device); /* after all its buffers and programs; NULL is fine */

    /* Zeroed device memory. */
    int32_t (*buffer_create)(struct graft_device *device, uint64_t bytes,
                             struct graft_buffer **out);
    /* Optional (NULL): a read-only buffer over host memory that outlives it; no copy. */
    int32_t (*buffer_import)(struct graft_device *device, const void *memory, uint64_t bytes,
                             struct graft_buffer **out);
    void (*buffer_destroy)(struct graft_buffer *buffer); /* NULL is fine */
    int32_t (*buffer_write)(struct graft_buffer *buffer, uint64_t offset, const void *from,
                            uint64_t bytes);
    int32_t (*buffer_read)(struct graft_buffer *buffer, uint64_t offset, void *to, uint64_t bytes);

    /* Copies what it needs of desc. *scratch: bytes of its own that the program holds while the
     * device lives, for the memory report. */
    int32_t (*program_create)(struct graft_device *device, const struct graft_program_desc *desc,
                              struct graft_program **out, uint64_t *scratch);
    int32_t (*program_run)(struct graft_program *program, const struct graft_run *run);
    void (*program_destroy)(struct graft_program *program); /* NULL is fine */

    /* Optional (absent or NULL), since 0.2: measures for some tenths of a second, with all of the
     * device. Fills what limits->struct_size has room for. */
    int32_t (*limits)(struct graft_device *device, struct graft_limits *limits);
};

#ifdef __cplusplus
}
#endif

#endif
