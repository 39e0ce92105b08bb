/* SPDX-License-Identifier: Apache-2.0
 *
 * The options of good/adapter-full.c, for the plugin and the tests that read them.
 */
#ifndef TESTS_ABI_FULL_H
#define TESTS_ABI_FULL_H

#include <stdint.h>

struct full {
    int64_t r;
    double lora_alpha;
    int32_t use_rslora, init;
    const char *note;
    int64_t steps;
};

#endif
