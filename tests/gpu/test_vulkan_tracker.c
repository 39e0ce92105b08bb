/* SPDX-License-Identifier: Apache-2.0
 *
 * The levels of dispatches by their memory ranges: against a plain model that remembers every
 * access, and the cases that a reader would think of.
 */
#include "unit/test.h"

#include "conform/host.h"
#include "tracker.h"

enum { DISPATCHES = 400, RANGES = 3, ROUNDS = 50, SPACE = 64 };

#define R(begin, bytes)                                                                            \
    {                                                                                              \
        begin, bytes, VK_READ                                                                      \
    }
#define W(begin, bytes)                                                                            \
    {                                                                                              \
        begin, bytes, VK_WRITE                                                                     \
    }
#define U(begin, bytes)                                                                            \
    {                                                                                              \
        begin, bytes, VK_READ_WRITE                                                                \
    }

static struct test_host host;

static int set_up(void **state)
{
    (void)state;
    test_host_init(&host, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_host_fini(&host);
    return 0;
}

static void test_cases(void **state)
{
    static const struct {
        struct vk_access access[RANGES];
        uint32_t level;
    } rows[] = {
        {{W(100, 10)}, 1},             /* the first of all */
        {{W(200, 10)}, 1},             /* elsewhere: beside it */
        {{R(100, 10), W(300, 10)}, 2}, /* reads what was written */
        {{R(105, 1), W(400, 10)}, 2},  /* a part of it: beside the other reader */
        {{R(110, 10), W(500, 1)}, 1},  /* behind its end */
        {{R(99, 1), W(501, 1)}, 1},    /* before its begin */
        {{W(109, 1)}, 3},              /* writes where two read */
        {{R(100, 9), W(600, 1)}, 2},   /* what that did not write */
        {{R(100, 10), W(601, 1)}, 4},  /* and with what it did */
        {{W(300, 5), R(400, 10)}, 3},  /* after both writers */
        {{U(200, 10)}, 2},             /* in place */
        {{U(200, 10)}, 3},             /* and again */
        {{R(0, 5), W(0, 5)}, 1},       /* address 0 is absent */
        {{R(0, 5), W(0, 5)}, 1},
        {{W(700, 0)}, 1}, /* nothing */
        {{R(700, 1)}, 1},
    };
    struct vk_tracker t;
    (void)state;
    vk_tracker_init(&t, &host.host);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t level = vk_tracker_add(&t, rows[i].access, RANGES);
        if (level != rows[i].level)
            fail_msg("dispatch %zu: level %u, expected %u", i, level, rows[i].level);
    }
    vk_tracker_fini(&t);
}

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % n;
}

static bool conflicts(const struct vk_access *a, const struct vk_access *b)
{
    return a->address < b->address + b->bytes && b->address < a->address + a->bytes &&
           ((a->mode | b->mode) & VK_WRITE) != 0;
}

/* A level is one more than the highest of a dispatch before that it conflicts with. */
static void test_random(void **state)
{
    static struct vk_access access[DISPATCHES][RANGES];
    static uint32_t level[DISPATCHES];
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct vk_tracker t;
        vk_tracker_init(&t, &host.host);
        for (int i = 0; i < DISPATCHES; i++) {
            uint32_t expected = 1;
            for (int k = 0; k < RANGES; k++)
                access[i][k] = (struct vk_access){1 + random_below(SPACE), 1 + random_below(9),
                                                  random_below(3) == 0 ? VK_WRITE : VK_READ};
            for (int j = 0; j < i; j++)
                for (int k = 0; k < RANGES * RANGES; k++)
                    if (conflicts(&access[i][k % RANGES], &access[j][k / RANGES]) &&
                        level[j] >= expected)
                        expected = level[j] + 1;
            level[i] = vk_tracker_add(&t, access[i], RANGES);
            if (level[i] != expected)
                fail_msg("round %d, dispatch %d: level %u, expected %u", round, i, level[i],
                         expected);
        }
        vk_tracker_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
    };
    return TEST_MAIN(tests);
}
