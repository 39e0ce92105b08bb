/* SPDX-License-Identifier: Apache-2.0
 *
 * What every reader of tensors shares.
 */
#include "file/tensor.h"

#include "ref/quant.h"

enum graft_status tensor_check_weight(const struct tensor_view *tensor, struct error *e)
{
    if (quant_is_weight(tensor->dtype)) return GRAFT_OK;
    return error_set(
        e, GRAFT_E_INVALID,
        "tensor %s is of type %s, which graft does not read; allowed are F32, F16, BF16, "
        "Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K and bitsandbytes' NF4: use a file "
        "in one of these types",
        tensor->name, tensor->type_name);
}
