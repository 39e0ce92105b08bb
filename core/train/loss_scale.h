/* SPDX-License-Identifier: Apache-2.0
 *
 * Dynamic loss scaling (Micikevicius et al. 2018) with torch.amp.GradScaler's constants. In f16
 * small gradients vanish and large ones overflow, so the loss is multiplied by a power of 2 that
 * is halved when a gradient is not finite and doubled after a long peace. In other types it is 1.
 */
#ifndef CORE_TRAIN_LOSS_SCALE_H
#define CORE_TRAIN_LOSS_SCALE_H

#include <stdbool.h>
#include <stdint.h>

struct loss_scale {
    double value;  /* 1 or more */
    int64_t steps; /* since it last changed */
    bool dynamic;
};

struct loss_scale loss_scale_begin(bool dynamic);
/* After a step. True: its gradients were not finite, the scale was to blame and is now smaller. */
bool loss_scale_step(struct loss_scale *scale, bool finite);

#endif
