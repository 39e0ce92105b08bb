/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kernel computes which op.
 */
#include "ref/real.h"
#include "ref/ref.h"

kernel_function *REF_NAME(kernel)(int32_t op)
{
    switch (op) {
    case GRAFT_OP_ADD:
    case GRAFT_OP_SUB:
    case GRAFT_OP_MUL:
    case GRAFT_OP_DIV:
    case GRAFT_OP_AFFINE:
    case GRAFT_OP_SQRT:
    case GRAFT_OP_EXP:
    case GRAFT_OP_EXPM1:
    case GRAFT_OP_TANH:
    case GRAFT_OP_SIGMOID:
    case GRAFT_OP_SILU:
    case GRAFT_OP_FINITE:
    case GRAFT_OP_MINIMUM:
    case GRAFT_OP_MAXIMUM:
    case GRAFT_OP_ABS:
    case GRAFT_OP_SIGN:
    case GRAFT_OP_RELU:
    case GRAFT_OP_GELU:
    case GRAFT_OP_GELU_TANH: return REF_NAME(elementwise);
    case GRAFT_OP_SUM: return REF_NAME(sum);
    case GRAFT_OP_BROADCAST: return REF_NAME(broadcast);
    case GRAFT_OP_RESHAPE: return REF_NAME(reshape);
    case GRAFT_OP_SLICE: return REF_NAME(slice);
    case GRAFT_OP_PLACE: return REF_NAME(place);
    case GRAFT_OP_PERMUTE: return REF_NAME(permute);
    case GRAFT_OP_SKEW: return REF_NAME(skew);
    case GRAFT_OP_SKEW_BACKWARD: return REF_NAME(skew_backward);
    case GRAFT_OP_MATMUL: return REF_NAME(matmul);
    case GRAFT_OP_DEQUANTIZE: return REF_NAME(dequantize);
    case GRAFT_OP_EMBEDDING: return REF_NAME(embedding);
    case GRAFT_OP_EMBEDDING_BACKWARD: return REF_NAME(embedding_backward);
    case GRAFT_OP_GATHER_ROWS: return REF_NAME(gather_rows);
    case GRAFT_OP_SCATTER_ROWS: return REF_NAME(scatter_rows);
    case GRAFT_OP_RMS_NORM: return REF_NAME(rms_norm);
    case GRAFT_OP_RMS_NORM_BACKWARD: return REF_NAME(rms_norm_backward);
    case GRAFT_OP_ROPE_TABLE: return REF_NAME(rope_table);
    case GRAFT_OP_ROPE: return REF_NAME(rope);
    case GRAFT_OP_SWIGLU: return REF_NAME(swiglu);
    case GRAFT_OP_SWIGLU_BACKWARD: return REF_NAME(swiglu_backward);
    case GRAFT_OP_ATTENTION: return REF_NAME(attention);
    case GRAFT_OP_ATTENTION_BACKWARD: return REF_NAME(attention_backward);
    case GRAFT_OP_CROSS_ENTROPY: return REF_NAME(cross_entropy);
    case GRAFT_OP_CROSS_ENTROPY_BACKWARD: return REF_NAME(cross_entropy_backward);
    case GRAFT_OP_HEAD_LOSS: return REF_NAME(head_loss);
    case GRAFT_OP_DROPOUT: return REF_NAME(dropout);
    case GRAFT_OP_ENCODE: return REF_NAME(encode);
    case GRAFT_OP_DECODE: return REF_NAME(decode);
    case GRAFT_OP_ASSIGN: return REF_NAME(assign);
    case GRAFT_OP_ACCUMULATE: return REF_NAME(accumulate);
    case GRAFT_OP_WRITE_ROWS: return REF_NAME(write_rows);
    default: return NULL;
    }
}
