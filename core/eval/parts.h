/* SPDX-License-Identifier: Apache-2.0
 *
 * What the metrics' files share.
 */
#ifndef CORE_EVAL_PARTS_H
#define CORE_EVAL_PARTS_H

#include "base/memory.h"
#include "eval/metric.h"

struct metric_context {
    size_t rows;
};

#endif
