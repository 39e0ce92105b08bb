/* SPDX-License-Identifier: Apache-2.0
 *
 * file/atomic.h: the old or the new and nothing left behind, with a full disk, a killed writer
 * and two processes.
 */
#include "unit/test.h"

#include "base/memory.h"
#include "file/atomic.h"
#include "file/paths.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[] = "/tmp/graft-atomic-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(root); /* fails if any test left something behind */
}

static const char *at(const char *name)
{
    static char paths[4][128];
    static int next;
    char *out = paths[next++ % 4];
    snprintf(out, sizeof paths[0], "%s/%s", root, name);
    return out;
}

static size_t entries(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL) count++;
    closedir(dir);
    return count - 2;
}

static void put(const char *path, const char *text)
{
    struct error e = {0};
    assert_ok(atomic_write_file(path, text, strlen(text), &e), &e);
}

static void expect_text(const char *path, const char *wanted)
{
    char text[64] = "";
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    assert_string_equal(text, wanted);
}

static void test_replaces(void **state)
{
    struct atomic_file *file = NULL;
    struct error e = {0};
    struct stat info;
    (void)state;
    put(at("a"), "old");
    assert_ok(atomic_begin(at("a"), &file, &e), &e);
    assert_ok(atomic_write(file, "ne", 2, &e), &e);
    expect_text(at("a"), "old"); /* until the end */
    assert_ok(atomic_write(file, "w", 1, &e), &e);
    assert_ok(atomic_commit(file, &e), &e);
    expect_text(at("a"), "new");
    assert_ok(atomic_begin(at("a"), &file, &e), &e);
    assert_ok(atomic_write(file, "other", 5, &e), &e);
    atomic_abort(file);
    atomic_abort(NULL);
    expect_text(at("a"), "new");
    mode_t mask = umask(022);
    umask(mask);
    assert_int_equal(stat(at("a"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0666 & ~mask); /* not mkstemp's 0600 */
    assert_int_equal(entries(root), 1);
    unlink(at("a"));
    assert_int_equal(atomic_begin(at("none/a"), &file, &e), GRAFT_E_IO);
    assert_non_null(strstr(e.text, "none/a: No such file"));
    assert_int_equal(mkdir(at("d"), 0777), 0);
    assert_int_equal(atomic_write_file(at("d"), "x", 1, &e), GRAFT_E_IO);
    assert_int_equal(rmdir(at("d")), 0);
    assert_int_equal(entries(root), 0);
}

/* A limit on file sizes stands for a full disk: write gives less, then refuses. */
static void test_full_disk(void **state)
{
    static char much[100000];
    struct rlimit limit, small;
    struct error e = {0};
    struct atomic_file *file = NULL;
    (void)state;
    put(at("a"), "old");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 5000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum graft_status status = atomic_write_file(at("a"), much, sizeof much, &e);
    enum graft_status begun = atomic_begin(at("a"), &file, NULL);
    enum graft_status refused = atomic_write(file, much, sizeof much, NULL);
    enum graft_status committed = atomic_commit(file, NULL); /* a caller that did not look */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(status, GRAFT_E_IO);
    assert_non_null(strstr(e.text, at("a")));
    assert_non_null(strstr(e.text, "File too large"));
    assert_int_equal(begun, GRAFT_OK);
    assert_int_equal(refused, GRAFT_E_IO);
    assert_int_equal(committed, GRAFT_E_IO);
    expect_text(at("a"), "old");
    assert_int_equal(entries(root), 1);
    unlink(at("a"));
}

/* Memory that is refused at any place leaves the old content: never an error about a file that has
 * been replaced. */
static void test_no_memory(void **state)
{
    enum { MOST = 100 };
    int64_t n = 0;
    enum graft_status status = GRAFT_E_MEMORY;
    (void)state;
    while (status != GRAFT_OK && ++n < MOST) {
        put(at("a"), "old");
        mem_fail_after(n);
        status = atomic_write_file(at("a"), "new", 3, NULL);
        mem_fail_after(0);
        expect_text(at("a"), status == GRAFT_OK ? "new" : "old");
        assert_int_equal(entries(root), 1);
    }
    assert_true(n > 1 && n < MOST);
    unlink(at("a"));
}

static void test_folder_no_memory(void **state)
{
    enum { MOST = 100 };
    int64_t n = 0;
    enum graft_status status = GRAFT_E_MEMORY;
    (void)state;
    while (status != GRAFT_OK && ++n < MOST) {
        struct folder *folder = NULL;
        mem_fail_after(n);
        status = folder_begin(at("d"), &folder, NULL);
        if (status == GRAFT_OK) status = folder_commit(folder, NULL);
        mem_fail_after(0);
        assert_int_equal(entries(root), status == GRAFT_OK);
    }
    assert_true(n > 1 && n < MOST);
    assert_int_equal(rmdir(at("d")), 0);
}

/* A writer killed in the middle leaves the old file as it was. */
static void test_killed(void **state)
{
    int status;
    (void)state;
    put(at("a"), "old");
    pid_t child = fork();
    if (child == 0) {
        struct atomic_file *file = NULL;
        if (atomic_begin(at("a"), &file, NULL) == GRAFT_OK &&
            atomic_write(file, "new", 3, NULL) == GRAFT_OK)
            raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    expect_text(at("a"), "old");
    char left[64];
    snprintf(left, sizeof left, "a.tmp-%ld-0", (long)child); /* the name that the header tells */
    assert_int_equal(unlink(at(left)), 0);
    unlink(at("a"));
}

static void test_folder(void **state)
{
    struct folder *folder = NULL;
    struct error e = {0};
    char path[256];
    static const char *const names[] = {"a", "sub/b", "not there"};
    (void)state;
    assert_ok(folder_begin(at("x/y/out"), &folder, &e), &e);
    assert_int_not_equal(access(at("x/y/out"), F_OK), 0);
    snprintf(path, sizeof path, "%s/a", folder_path(folder));
    put(path, "1");
    snprintf(path, sizeof path, "%s/sub", folder_path(folder));
    assert_ok(folder_make(path, &e), &e);
    snprintf(path, sizeof path, "%s/sub/b", folder_path(folder));
    put(path, "2");
    assert_ok(folder_commit(folder, &e), &e);
    expect_text(at("x/y/out/sub/b"), "2");
    assert_int_equal(entries(at("x/y")), 1);

    assert_int_equal(folder_begin(at("x/y/out"), &folder, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "is not empty"));
    assert_int_equal(folder_begin(at("x/y/out/a"), &folder, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "is a file"));

    put(at("x/y/out/mine"), "keep");
    assert_int_equal(folder_remove(at("x/y/out"), names, 3, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "holds mine"));
    expect_text(at("x/y/out/a"), "1"); /* nothing was removed */
    unlink(at("x/y/out/mine"));
    put(at("x/y/out/sub/b2"), "keep"); /* begins as one of the names, and the other way round */
    assert_int_equal(folder_remove(at("x/y/out"), names, 3, &e), GRAFT_E_INVALID);
    unlink(at("x/y/out/sub/b2"));
    put(at("x/y/out/not"), "keep");
    assert_int_equal(folder_remove(at("x/y/out"), names, 3, &e), GRAFT_E_INVALID);
    unlink(at("x/y/out/not"));
    assert_ok(folder_remove(at("x/y/out"), names, 3, &e), &e);
    assert_ok(folder_remove(at("x/y/out"), names, 3, &e), &e);
    assert_int_equal(entries(at("x/y")), 0);

    assert_ok(folder_begin(at("x/y/out/"), &folder, &e), &e);
    snprintf(path, sizeof path, "%s/a", folder_path(folder));
    put(path, "1");
    folder_abort(folder);
    folder_abort(NULL);
    assert_int_equal(entries(at("x/y")), 0);
    rmdir(at("x/y"));
    rmdir(at("x"));
}

/* Somebody takes the final name meanwhile: theirs stays, ours goes. */
static void test_folder_taken(void **state)
{
    struct folder *folder = NULL;
    struct error e = {0};
    (void)state;
    assert_ok(folder_begin(at("out"), &folder, &e), &e);
    assert_ok(folder_make(at("out"), &e), &e);
    put(at("out/theirs"), "x");
    assert_int_equal(folder_commit(folder, &e), GRAFT_E_IO);
    assert_non_null(strstr(e.text, "/out: "));
    expect_text(at("out/theirs"), "x");
    unlink(at("out/theirs"));
    assert_int_equal(entries(root), 1);
    assert_ok(folder_begin(at("out"), &folder, &e), &e); /* an empty folder may be filled */
    assert_ok(folder_commit(folder, &e), &e);
    rmdir(at("out"));
}

static void test_writable(void **state)
{
    struct error e = {0};
    (void)state;
    assert_ok(folder_writable(root, &e), &e);
    assert_ok(folder_writable(at("new/deeper/still"), &e), &e);
    assert_int_equal(entries(root), 0);
    put(at("file"), "x");
    assert_int_equal(folder_writable(at("file"), &e), GRAFT_E_INVALID);
    assert_int_equal(folder_writable(at("file/below"), &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "is not a folder"));
    assert_int_equal(folder_make(at("file/below"), &e), GRAFT_E_INVALID);
    unlink(at("file"));
    assert_int_equal(folder_writable("/proc/self/graft", &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, "/proc/self/graft"));
}

static void test_last_names(void **state)
{
    (void)state;
    assert_string_equal(path_last("data/shop/train.jsonl", 1), "train.jsonl");
    assert_string_equal(path_last("data/shop/train.jsonl", 2), "shop/train.jsonl");
    assert_string_equal(path_last("shop/train.jsonl", 2), "shop/train.jsonl");
    assert_string_equal(path_last("train.jsonl", 2), "train.jsonl");
    assert_string_equal(path_last("/models/tiny/", 1), "tiny/");
    assert_string_equal(path_last("/", 1), "/");
}

static void test_lock(void **state)
{
    struct file_lock *lock = NULL, *second = NULL;
    struct error e = {0};
    char wanted[64];
    int status;
    (void)state;
    assert_ok(file_lock(at("lock"), &lock, &e), &e);
    snprintf(wanted, sizeof wanted, "in use by process %ld", (long)getpid());
    assert_int_equal(file_lock(at("lock"), &second, &e), GRAFT_E_INVALID);
    assert_non_null(strstr(e.text, wanted));
    pid_t child = fork();
    if (child == 0) {
        enum graft_status refused = file_lock(at("lock"), &second, &e);
        _exit(refused == GRAFT_E_INVALID && strstr(e.text, wanted) != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    file_unlock(lock);
    file_unlock(NULL);
    assert_int_equal(entries(root), 0);
    assert_ok(file_lock(at("lock"), &lock, &e), &e);
    file_unlock(lock);
}

/* The lock of a killed process does not outlive it, its file may. */
static void test_lock_of_the_dead(void **state)
{
    struct file_lock *lock = NULL;
    struct error e = {0};
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        if (file_lock(at("lock"), &lock, NULL) == GRAFT_OK) raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(entries(root), 1);
    assert_ok(file_lock(at("lock"), &lock, &e), &e);
    file_unlock(lock);
    assert_int_equal(entries(root), 0);
}

static void test_allocations(void **state)
{
    int64_t live = mem_live_count();
    enum graft_status status = GRAFT_E_MEMORY;
    (void)state;
    for (int64_t n = 1; status != GRAFT_OK && n < 100; n++) {
        struct folder *folder = NULL;
        struct file_lock *lock = NULL;
        struct error e = {0};
        mem_fail_after(n);
        status = folder_begin(at("out"), &folder, &e);
        if (status == GRAFT_OK) status = atomic_write_file(at("file"), "x", 1, &e);
        if (status == GRAFT_OK) status = file_lock(at("lock"), &lock, &e);
        if (status == GRAFT_OK) status = folder_writable(root, &e);
        mem_fail_after(0);
        assert_true(status == GRAFT_OK || status == GRAFT_E_MEMORY);
        folder_abort(folder);
        file_unlock(lock);
        unlink(at("file"));
        assert_int_equal(mem_live_count(), live);
        assert_int_equal(entries(root), 0);
    }
    assert_int_equal(status, GRAFT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaces),     cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_no_memory),    cmocka_unit_test(test_folder_no_memory),
        cmocka_unit_test(test_killed),       cmocka_unit_test(test_folder),
        cmocka_unit_test(test_folder_taken), cmocka_unit_test(test_writable),
        cmocka_unit_test(test_lock),         cmocka_unit_test(test_lock_of_the_dead),
        cmocka_unit_test(test_allocations),  cmocka_unit_test(test_last_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown) != 0;
}
