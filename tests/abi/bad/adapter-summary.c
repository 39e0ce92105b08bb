/* SPDX-License-Identifier: Apache-2.0
 *
 * A summary of two lines.
 */
#define SUMMARY "two\nlines"
#include "descriptor.h"
