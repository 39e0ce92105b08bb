/* SPDX-License-Identifier: Apache-2.0
 *
 * A mapping's pages leave memory when they are told to, and come back with the same bytes.
 */
#define _DEFAULT_SOURCE /* mkdtemp */
#include "unit/test.h"

#include "file/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BYTES = 8 << 20 };

/* Pages of files in this process's memory. */
static long file_pages(void)
{
    long size, resident, shared = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld %ld", &size, &resident, &shared), 3);
    fclose(file);
    return shared;
}

static void resting_pages_leave_memory(void **state)
{
    char folder[] = "/tmp/graft-map-XXXXXX", path[64];
    unsigned char *bytes = malloc(BYTES);
    struct file_map map;
    struct error e = {0};
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    for (size_t i = 0; i < BYTES; i++) bytes[i] = (unsigned char)(i * 31 + i / 4096);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, BYTES, file), BYTES);
    assert_int_equal(fclose(file), 0);
    assert_ok(file_map_open(path, &map, &e), &e);
    assert_memory_equal(map.data, bytes, BYTES);
    long before = file_pages(), page = sysconf(_SC_PAGESIZE);
    file_map_rest(map.data + 1, BYTES - 2); /* the pages at the ends are not whole */
    assert_true(before - file_pages() > BYTES / page / 2);
    assert_memory_equal(map.data, bytes, BYTES);
    file_map_rest(map.data + 1, 1);
    file_map_close(&map);
    unlink(path);
    rmdir(folder);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resting_pages_leave_memory)};
    return TEST_MAIN(tests);
}
