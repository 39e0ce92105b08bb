/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the cooperative matrices of a device multiply: a driver may take their shaders and
 * compute garbage without a word. Small whole numbers, whose products and sums every type holds
 * exactly, go through y = x · wᵀ and dx = y · w, and the host knows what comes out.
 */
#include "device.h"

#include "legal.h"

#include <stdio.h>
#include <string.h>

/* No multiples of a tile, and rows enough to be computed by matrices at all. */
enum { M = 67, N = 70, K = 72, X = 0, W = 1, Y = 2, DX = 3, TENSORS = 4 };

static const uint64_t count[TENSORS] = {[X] = M * K, [W] = N * K, [Y] = N * M, [DX] = K * M};

static uint64_t offset_of(int tensor)
{
    uint64_t at = 0;
    for (int i = 0; i < tensor; i++)
        at += (count[i] * sizeof(float) + VK_ALIGNMENT - 1) / VK_ALIGNMENT * VK_ALIGNMENT;
    return at;
}

/* -1, 0 or 1. */
static float digit(uint32_t i)
{
    return (float)((i * 2654435761u >> 16) % 3) - 1.0f;
}

static void expect(float *numbers[TENSORS])
{
    for (uint32_t i = 0; i < M * K; i++) numbers[X][i] = digit(i);
    for (uint32_t i = 0; i < N * K; i++) numbers[W][i] = digit(i + M * K);
    memset(numbers[Y], 0, M * N * sizeof(float));
    memset(numbers[DX], 0, M * K * sizeof(float));
    for (uint32_t m = 0; m < M; m++)
        for (uint32_t n = 0; n < N; n++) {
            float *y = &numbers[Y][m * N + n];
            for (uint32_t k = 0; k < K; k++) *y += numbers[X][m * K + k] * numbers[W][n * K + k];
            for (uint32_t k = 0; k < K; k++) numbers[DX][m * K + k] += *y * numbers[W][n * K + k];
        }
}

static int32_t multiply(struct graft_device *d, int32_t compute, struct graft_buffer *buffer)
{
    struct graft_tensor tensors[TENSORS] = {{.shape = {{M, K, 1, 1}, 2}, .offset = offset_of(X)},
                                            {.shape = {{N, K, 1, 1}, 2}, .offset = offset_of(W)},
                                            {.shape = {{M, N, 1, 1}, 2}, .offset = offset_of(Y)},
                                            {.shape = {{M, K, 1, 1}, 2}, .offset = offset_of(DX)}};
    struct graft_node nodes[2] = {{.op = GRAFT_OP_MATMUL,
                                   .input_count = 2,
                                   .output_count = 1,
                                   .input = {X, W},
                                   .output = {Y}},
                                  {.op = GRAFT_OP_MATMUL,
                                   .input_count = 2,
                                   .output_count = 1,
                                   .input = {Y, W},
                                   .output = {DX}}};
    nodes[0].params.matmul.transpose_b = 1;
    nodes[0].params.matmul.compute = nodes[1].params.matmul.compute = compute;
    struct graft_program_desc desc = {.struct_size = sizeof desc,
                                      .tensor_stride = sizeof tensors[0],
                                      .node_stride = sizeof nodes[0],
                                      .tensor_count = TENSORS,
                                      .node_count = 2,
                                      .buffer_count = 1,
                                      .tensors = tensors,
                                      .nodes = nodes,
                                      .buffers = &buffer};
    struct graft_run run = {.struct_size = sizeof run};
    struct graft_program *program = NULL;
    int32_t status = vk_program_create(d, &desc, &program, NULL);
    if (status == GRAFT_OK) status = vk_program_run(program, &run);
    vk_program_destroy(program);
    return status;
}

static int32_t try(struct graft_device *d, int32_t compute, float *memory, bool *right)
{
    uint64_t bytes = offset_of(TENSORS);
    float *found = memory + bytes / sizeof(float), *numbers[TENSORS];
    struct graft_buffer *buffer = NULL;
    for (int i = 0; i < TENSORS; i++) numbers[i] = memory + offset_of(i) / sizeof(float);
    memset(memory, 0, bytes);
    expect(numbers);
    int32_t status = vk_buffer_create(d, bytes, &buffer);
    if (status == GRAFT_OK) status = vk_buffer_write(buffer, 0, memory, offset_of(Y));
    if (status == GRAFT_OK) status = multiply(d, compute, buffer);
    if (status == GRAFT_OK) status = vk_buffer_read(buffer, 0, found, bytes);
    vk_buffer_destroy(buffer);
    *right = status == GRAFT_OK && memcmp(memory, found, bytes) == 0;
    return status;
}

static int32_t test(struct graft_device *d, int32_t compute, struct vk_matrix *matrix)
{
    char line[320];
    bool right = false;
    if (matrix->m == 0) return GRAFT_OK;
    float *memory = d->host->alloc(d->host->context, 2 * offset_of(TENSORS));
    if (memory == NULL) return vk_fail(d->host, GRAFT_E_MEMORY, "no memory to test matrices");
    int32_t status = try(d, compute, memory, &right);
    d->host->release(d->host->context, memory);
    if (status != GRAFT_OK || right) return status;
    snprintf(line, sizeof line,
             "%.100s: its %s matrices multiply wrongly; products are computed in f32 instead "
             "(driver %.100s)",
             d->probe.properties.deviceName, compute == GRAFT_DTYPE_F16 ? "f16" : "bf16",
             d->probe.driver);
    d->host->log(d->host->context, line);
    *matrix = (struct vk_matrix){0, 0, 0};
    return GRAFT_OK;
}

static bool asks(const struct graft_node *n)
{
    return (n->op == GRAFT_OP_MATMUL && n->params.matmul.compute != GRAFT_DTYPE_F32) ||
           (n->op == GRAFT_OP_HEAD_LOSS && n->params.head.compute != GRAFT_DTYPE_F32);
}

int32_t vk_matrices_test(struct graft_device *d, const struct graft_program_desc *desc)
{
    bool wanted = false;
    for (uint32_t i = 0; i < desc->node_count && !d->matrices_tested; i++) {
        struct graft_node n = desc_node(desc, i);
        wanted = wanted || asks(&n);
    }
    if (!wanted) return GRAFT_OK;
    d->matrices_tested = true; /* the tests are such programs too */
    int32_t status = test(d, GRAFT_DTYPE_F16, &d->probe.caps.f16);
    if (status == GRAFT_OK) status = test(d, GRAFT_DTYPE_BF16, &d->probe.caps.bf16);
    d->matrices_tested = status == GRAFT_OK;
    return status;
}
