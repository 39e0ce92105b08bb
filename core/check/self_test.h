/* SPDX-License-Identifier: Apache-2.0
 *
 * The test of a device before something is trained on it: silent wrong arithmetic is the worst
 * failure there is. Only where a driver that graft does not ship makes the arithmetic; once per
 * device, driver and version of the backend.
 */
#ifndef CORE_CHECK_SELF_TEST_H
#define CORE_CHECK_SELF_TEST_H

#include "graph/device.h"

/* UNSUPPORTED with the device and the op, where it computes wrongly. That it did not is noted in
 * the user's cache folder, and not looked for again. `begins` (may be NULL) is called with the
 * device's name before a test that takes time. */
GRAFT_MUST_USE enum graft_status self_test(const struct device_request *request,
                                           void (*begins)(const char *device), struct error *e);

#endif
