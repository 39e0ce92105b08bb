/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kernel computes which op, in one instruction set.
 */
#include "cpu/cpu.h"

static const struct cpu_kernel *find(int32_t op)
{
    switch (op) {
    case GRAFT_OP_ADD:
    case GRAFT_OP_SUB:
    case GRAFT_OP_MUL:
    case GRAFT_OP_DIV:
    case GRAFT_OP_MINIMUM:
    case GRAFT_OP_MAXIMUM: return &cpu_binary;
    case GRAFT_OP_AFFINE:
    case GRAFT_OP_SQRT:
    case GRAFT_OP_EXP:
    case GRAFT_OP_EXPM1:
    case GRAFT_OP_TANH:
    case GRAFT_OP_SIGMOID:
    case GRAFT_OP_SILU:
    case GRAFT_OP_FINITE:
    case GRAFT_OP_ABS:
    case GRAFT_OP_SIGN:
    case GRAFT_OP_RELU:
    case GRAFT_OP_GELU:
    case GRAFT_OP_GELU_TANH: return &cpu_unary;
    case GRAFT_OP_SUM: return &cpu_sum;
    case GRAFT_OP_BROADCAST: return &cpu_broadcast;
    case GRAFT_OP_RESHAPE: return &cpu_reshape;
    case GRAFT_OP_SLICE: return &cpu_slice;
    case GRAFT_OP_PLACE: return &cpu_place;
    case GRAFT_OP_PERMUTE: return &cpu_permute;
    case GRAFT_OP_SKEW: return &cpu_skew;
    case GRAFT_OP_SKEW_BACKWARD: return &cpu_skew_backward;
    case GRAFT_OP_MATMUL: return &cpu_matmul;
    case GRAFT_OP_DEQUANTIZE: return &cpu_dequantize_op;
    case GRAFT_OP_EMBEDDING: return &cpu_embedding;
    case GRAFT_OP_EMBEDDING_BACKWARD: return &cpu_embedding_backward;
    case GRAFT_OP_GATHER_ROWS: return &cpu_gather_rows;
    case GRAFT_OP_SCATTER_ROWS: return &cpu_scatter_rows;
    case GRAFT_OP_RMS_NORM: return &cpu_rms_norm;
    case GRAFT_OP_RMS_NORM_BACKWARD: return &cpu_rms_norm_backward;
    case GRAFT_OP_ROPE_TABLE: return &cpu_rope_table;
    case GRAFT_OP_ROPE: return &cpu_rope;
    case GRAFT_OP_SWIGLU: return &cpu_swiglu;
    case GRAFT_OP_SWIGLU_BACKWARD: return &cpu_swiglu_backward;
    case GRAFT_OP_ATTENTION: return &cpu_attention;
    case GRAFT_OP_ATTENTION_BACKWARD: return &cpu_attention_backward;
    case GRAFT_OP_CROSS_ENTROPY: return &cpu_cross_entropy;
    case GRAFT_OP_CROSS_ENTROPY_BACKWARD: return &cpu_cross_entropy_backward;
    case GRAFT_OP_HEAD_LOSS: return &cpu_head_loss;
    case GRAFT_OP_DROPOUT: return &cpu_dropout;
    case GRAFT_OP_ENCODE: return &cpu_encode;
    case GRAFT_OP_DECODE: return &cpu_decode;
    case GRAFT_OP_ASSIGN: return &cpu_assign;
    case GRAFT_OP_ACCUMULATE: return &cpu_accumulate;
    case GRAFT_OP_WRITE_ROWS: return &cpu_write_rows;
    default: return NULL;
    }
}

const struct cpu_kernels CPU_NAME(cpu_kernels) = {CPU_TEXT(CPU_ISA), find, cpu_multiply, cpu_read};
