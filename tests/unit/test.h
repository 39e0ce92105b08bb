/* SPDX-License-Identifier: Apache-2.0
 *
 * What every cmocka test includes: the headers cmocka needs before itself, and an end for main
 * that does not wrap at 256 failures.
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEST_MAIN(tests) (cmocka_run_group_tests(tests, NULL, NULL) != 0)

/* The status is OK, else the error's text is printed. */
#define assert_ok(call, error)                                                                     \
    do {                                                                                           \
        if ((call) != GRAFT_OK) fail_msg("%s", (error)->text);                                     \
    } while (0)

#endif
