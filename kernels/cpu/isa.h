/* SPDX-License-Identifier: Apache-2.0
 *
 * Included by the compiler before every file that is built once per instruction set (CPU_ISA is its
 * name): gives each copy of an external name its own ending, so that the copies live in one
 * library.
 */
#ifndef KERNELS_CPU_ISA_H
#define KERNELS_CPU_ISA_H

#define CPU_JOIN_(name, isa) name##_##isa
#define CPU_JOIN(name, isa) CPU_JOIN_(name, isa)
#define CPU_NAME(name) CPU_JOIN(name, CPU_ISA)
#define CPU_TEXT_(text) #text
#define CPU_TEXT(text) CPU_TEXT_(text)

#define gemm CPU_NAME(gemm)
#define gemm_pack_rows CPU_NAME(gemm_pack_rows)
#define gemm_pack_columns CPU_NAME(gemm_pack_columns)
#define cpu_binary CPU_NAME(cpu_binary)
#define cpu_unary CPU_NAME(cpu_unary)
#define cpu_sum CPU_NAME(cpu_sum)
#define cpu_broadcast CPU_NAME(cpu_broadcast)
#define cpu_reshape CPU_NAME(cpu_reshape)
#define cpu_matmul CPU_NAME(cpu_matmul)
#define cpu_embedding CPU_NAME(cpu_embedding)
#define cpu_gather_rows CPU_NAME(cpu_gather_rows)
#define cpu_scatter_rows CPU_NAME(cpu_scatter_rows)
#define cpu_rms_norm CPU_NAME(cpu_rms_norm)
#define cpu_rms_norm_backward CPU_NAME(cpu_rms_norm_backward)
#define cpu_rope_table CPU_NAME(cpu_rope_table)
#define cpu_rope CPU_NAME(cpu_rope)
#define cpu_swiglu CPU_NAME(cpu_swiglu)
#define cpu_swiglu_backward CPU_NAME(cpu_swiglu_backward)
#define cpu_attention CPU_NAME(cpu_attention)
#define cpu_attention_backward CPU_NAME(cpu_attention_backward)
#define cpu_cross_entropy CPU_NAME(cpu_cross_entropy)
#define cpu_cross_entropy_backward CPU_NAME(cpu_cross_entropy_backward)
#define cpu_head_loss CPU_NAME(cpu_head_loss)
#define cpu_dropout CPU_NAME(cpu_dropout)
#define cpu_assign CPU_NAME(cpu_assign)
#define cpu_accumulate CPU_NAME(cpu_accumulate)
#define cpu_dequantize CPU_NAME(cpu_dequantize)
#define cpu_write_rows CPU_NAME(cpu_write_rows)
#define cpu_slice CPU_NAME(cpu_slice)
#define cpu_place CPU_NAME(cpu_place)
#define cpu_permute CPU_NAME(cpu_permute)
#define cpu_skew CPU_NAME(cpu_skew)
#define cpu_skew_backward CPU_NAME(cpu_skew_backward)
#define cpu_dequantize_op CPU_NAME(cpu_dequantize_op)
#define cpu_embedding_backward CPU_NAME(cpu_embedding_backward)
#define cpu_encode CPU_NAME(cpu_encode)
#define cpu_decode CPU_NAME(cpu_decode)

/* kernels/ref/quant*.c */
#define quant_name CPU_NAME(quant_name)
#define quant_block CPU_NAME(quant_block)
#define quant_row_bytes CPU_NAME(quant_row_bytes)
#define quant_is_weight CPU_NAME(quant_is_weight)
#define dequantize_row CPU_NAME(dequantize_row)
#define dequantize_nf4 CPU_NAME(dequantize_nf4)
#define dequantize_tile CPU_NAME(dequantize_tile)
#define dequantize_q8_0 CPU_NAME(dequantize_q8_0)
#define dequantize_q4_0 CPU_NAME(dequantize_q4_0)
#define dequantize_q4_1 CPU_NAME(dequantize_q4_1)
#define dequantize_q5_0 CPU_NAME(dequantize_q5_0)
#define dequantize_q5_1 CPU_NAME(dequantize_q5_1)
#define dequantize_q4_k CPU_NAME(dequantize_q4_k)
#define dequantize_q5_k CPU_NAME(dequantize_q5_k)
#define dequantize_q6_k CPU_NAME(dequantize_q6_k)
#define quantize_row CPU_NAME(quantize_row)
#define quantize_q8_0 CPU_NAME(quantize_q8_0)
#define quantize_q4_0 CPU_NAME(quantize_q4_0)
#define quantize_q4_1 CPU_NAME(quantize_q4_1)
#define quantize_q5_0 CPU_NAME(quantize_q5_0)
#define quantize_q5_1 CPU_NAME(quantize_q5_1)
#define nf4_bytes CPU_NAME(nf4_bytes)
#define nf4_init CPU_NAME(nf4_init)
#define quantize_nf4 CPU_NAME(quantize_nf4)
#define quantize_nf4_scales CPU_NAME(quantize_nf4_scales)
#define nf4_map CPU_NAME(nf4_map)
#define nf4_nested_map CPU_NAME(nf4_nested_map)

#endif
