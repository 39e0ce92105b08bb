/* SPDX-License-Identifier: Apache-2.0
 *
 * A named tensor inside an open file, whatever the format. Borrowed: it lives as long as the file.
 */
#ifndef CORE_FILE_TENSOR_H
#define CORE_FILE_TENSOR_H

#include <graft/types.h>

/* shape is row-major, outermost first (GGUF's dimensions are turned round by the reader). */
struct tensor_view {
    const char *name;
    int32_t dtype; /* enum graft_dtype */
    struct graft_shape shape;
    const void *data; /* inside the mapping; aligned to 8 at least (GGUF: 32) */
    size_t bytes;
};

#endif
