/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the small families.
 */
#ifndef BACKENDS_VULKAN_SMALL_H
#define BACKENDS_VULKAN_SMALL_H

#include "vulkan_backend.h"

/* y = 0 in its live rows. */
void vk_zero(struct vk_recorder *r, const struct vk_tensor *y);

#endif
