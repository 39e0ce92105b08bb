/* SPDX-License-Identifier: Apache-2.0
 *
 * The host side of the Vulkan backend by itself: programs cut into many submissions give the same
 * bits, and what goes wrong is said in one line.
 */
#include "unit/test.h"

#include "conform/host.h"
#include "program.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 700, COLUMNS = 130, NODES = 2, PATH = 512 };

static struct test_host host;
static struct graft_device *device;
static char logged[512];

static void keep_log(void *context, const char *line)
{
    (void)context;
    snprintf(logged, sizeof logged, "%s", line);
}

static int set_up(void **state)
{
    (void)state;
    test_host_init(&host, 1);
    host.host.log = keep_log;
    logged[0] = '\0';
    return vk_open(&host.host, 0, &device) != GRAFT_OK;
}

static int tear_down(void **state)
{
    (void)state;
    vk_close(device);
    device = NULL;
    test_host_fini(&host);
    return 0;
}

/* c = a + b, d = sum over rows of c, in one buffer; the second waits for the first. */
static struct graft_program *make(struct graft_buffer *buffer)
{
    const uint64_t bytes = ROWS * COLUMNS * sizeof(float);
    const struct graft_shape whole = graft_shape2(ROWS, COLUMNS);
    const struct graft_tensor tensors[] = {
        {.shape = whole},
        {.shape = whole, .offset = (bytes + 63) / 64 * 64},
        {.shape = whole, .offset = 2 * ((bytes + 63) / 64 * 64)},
        {.shape = graft_shape2(1, COLUMNS), .offset = 3 * ((bytes + 63) / 64 * 64)},
    };
    struct graft_node nodes[NODES] = {
        {.op = GRAFT_OP_ADD, .input_count = 2, .output_count = 1, .input = {0, 1}, .output = {2}},
        {.op = GRAFT_OP_SUM, .input_count = 1, .output_count = 1, .input = {2}, .output = {3}}};
    nodes[1].params.sum.axes = 1;
    struct graft_program_desc desc = {.struct_size = sizeof desc,
                                      .tensor_stride = sizeof tensors[0],
                                      .node_stride = sizeof nodes[0],
                                      .tensor_count = 4,
                                      .node_count = NODES,
                                      .buffer_count = 1,
                                      .tensors = tensors,
                                      .nodes = nodes,
                                      .buffers = &buffer};
    struct graft_program *p = NULL;
    uint64_t scratch;
    if (vk_program_create(device, &desc, &p, &scratch) != GRAFT_OK) fail_msg("%s", host.text);
    return p;
}

static void run(struct graft_program *p, struct graft_buffer *buffer, uint8_t *results)
{
    const struct graft_run live = {.struct_size = sizeof live};
    assert_int_equal(vk_program_run(p, &live), GRAFT_OK);
    assert_int_equal(vk_buffer_read(buffer, 0, results, buffer->bytes), GRAFT_OK);
}

/* A slow device's pieces: single dispatches are cut along their workgroups. */
static void test_cut(void **state)
{
    const uint64_t bytes = 4 * (ROWS * COLUMNS * sizeof(float) + 64);
    uint8_t *whole = mem_alloc(bytes), *cut = mem_alloc(bytes);
    float *input = mem_alloc(bytes);
    struct graft_buffer *buffer;
    (void)state;
    for (size_t i = 0; i < bytes / sizeof *input; i++)
        input[i] = (float)(int32_t)(i * 2654435761u) * 0x1p-31f;
    assert_int_equal(vk_buffer_create(device, bytes, &buffer), GRAFT_OK);
    assert_int_equal(vk_buffer_write(buffer, 0, input, bytes), GRAFT_OK);
    struct graft_program *p = make(buffer);
    assert_int_equal(p->piece_count, 1);
    run(p, buffer, whole);
    vk_program_destroy(p);

    device->rate = 1e5; /* operations a second: some 90,000 additions are to be cut */
    assert_int_equal(vk_buffer_write(buffer, 0, input, bytes), GRAFT_OK);
    p = make(buffer);
    assert_true(p->piece_count > 10);
    run(p, buffer, cut);
    run(p, buffer, cut); /* the clock of the first has been looked at */
    assert_memory_equal(whole, cut, bytes);
    vk_program_destroy(p);
    vk_buffer_destroy(buffer);
    mem_free(whole);
    mem_free(cut);
    mem_free(input);
}

/* A piece that lasted too long has its program cut anew. */
static void test_learns(void **state)
{
    const uint64_t bytes = 4 * (ROWS * COLUMNS * sizeof(float) + 64);
    uint8_t *results = mem_alloc(bytes);
    struct graft_buffer *buffer;
    (void)state;
    assert_int_equal(vk_buffer_create(device, bytes, &buffer), GRAFT_OK);
    struct graft_program *p = make(buffer);
    run(p, buffer, results);
    if (p->queries != VK_NULL_HANDLE) {
        /* As if the device's clock ran slowly: this run took seconds. */
        device->probe.properties.limits.timestampPeriod = 1e6f;
        run(p, buffer, results);
        assert_true(device->rate > 0.0);
        assert_true(p->piece_count > 1);
        run(p, buffer, results);
    }
    vk_program_destroy(p);
    vk_buffer_destroy(buffer);
    mem_free(results);
}

/* Of the SPIR-V specification. */
enum {
    HEADER = 5, /* words */
    VERSION_1_5 = 0x10500,
    OP_CAPABILITY = 17,
    OP_DECORATE = 71,
    BUILT_IN = 11,
    SUBGROUP_SIZE = 36,
    SHADER = 1,
    FLOAT16 = 9,
    GROUP_NON_UNIFORM = 61,
    GROUP_NON_UNIFORM_ARITHMETIC = 63,
    BFLOAT16_TYPE = 5116,
    BFLOAT16_COOPERATIVE_MATRIX = 5118,
    VULKAN_MEMORY_MODEL = 5345,
    PHYSICAL_STORAGE_BUFFER_ADDRESSES = 5347,
    COOPERATIVE_MATRIX = 6022
};

/* Whether a device that is opened for shaders of that name has it enabled, by device.c. */
static bool enabled(const char *name, uint32_t capability)
{
    bool cooperative = strstr(name, "_coop") != NULL, bf16 = strstr(name, "_bf16") != NULL;
    switch (capability) {
    case SHADER:
    case GROUP_NON_UNIFORM:
    case GROUP_NON_UNIFORM_ARITHMETIC:
    case PHYSICAL_STORAGE_BUFFER_ADDRESSES: return true;
    case FLOAT16:
    case VULKAN_MEMORY_MODEL:
    case COOPERATIVE_MATRIX: return cooperative;
    case BFLOAT16_TYPE:
    case BFLOAT16_COOPERATIVE_MATRIX: return bf16;
    default: return false;
    }
}

/* Shaders ask for no more than what is enabled. And only those whose dispatches have full subgroups
 * may ask how many lanes these have: Intel's driver says 32 to the others, and runs 8 or 16. */
static void test_shaders(void **state)
{
    (void)state;
    for (int shader = 0; shader < VK_SHADER_COUNT; shader++) {
        const struct vk_code *c = &vk_shader_code[shader];
        bool full = strstr(c->name, "_coop") != NULL || shader == VK_SHADER_RMS_NORM;
        if (c->words > 0 && c->code[1] > VERSION_1_5) fail_msg("%s is not for 1.2", c->name);
        for (size_t at = HEADER; at < c->words; at += c->code[at] >> 16) {
            const uint32_t *op = &c->code[at];
            if (op[0] == (2u << 16 | OP_CAPABILITY) && !enabled(c->name, op[1]))
                fail_msg("%s: capability %u is not enabled", c->name, (unsigned)op[1]);
            if (op[0] == (4u << 16 | OP_DECORATE) && op[2] == BUILT_IN && op[3] == SUBGROUP_SIZE &&
                !full)
                fail_msg("%s asks for the size of subgroups", c->name);
        }
    }
}

static void says(int32_t status, int32_t expected, const char *text)
{
    assert_int_equal(status, expected);
    if (strstr(host.text, text) == NULL) fail_msg("\"%s\" lacks \"%s\"", host.text, text);
}

static void test_errors(void **state)
{
    struct graft_device *other = NULL;
    struct graft_buffer *buffer = NULL;
    uint8_t byte = 0;
    (void)state;
    says(vk_open(&host.host, 1000, &other), GRAFT_E_INVALID, "device 1000 does not exist");
    says(vk_buffer_create(device, (uint64_t)1 << 50, &buffer), GRAFT_E_MEMORY, "1048576.00 GiB");
    assert_null(buffer);
    assert_int_equal(vk_buffer_create(device, 100, &buffer), GRAFT_OK);
    says(vk_buffer_write(buffer, 100, &byte, 1), GRAFT_E_INVALID, "the buffer has 100 bytes");
    says(vk_buffer_read(buffer, 99, &byte, 2), GRAFT_E_INVALID, "the buffer has 100 bytes");
    vk_buffer_destroy(buffer);
}

/* A lost device says so, and how to go on, at every call after. */
static void test_lost(void **state)
{
    struct graft_buffer *buffer = NULL;
    uint8_t byte = 0;
    (void)state;
    assert_int_equal(vk_buffer_create(device, 100, &buffer), GRAFT_OK);
    says(vk_failed(device, "submitting work", VK_ERROR_DEVICE_LOST), GRAFT_E_FAILED, "--resume");
    says(vk_buffer_read(buffer, 0, &byte, 1), GRAFT_E_FAILED, "the device was lost");
    says(vk_buffer_write(buffer, 0, &byte, 1), GRAFT_E_FAILED, "the device was lost");
    vk_buffer_destroy(buffer);
    device->lost = false; /* it is not */
}

/* Opens the device, makes a program's pipelines and closes it, which leaves a file in `folder`. */
static void leave_cache(const char *folder, char path[PATH])
{
    const uint64_t bytes = 4 * (ROWS * COLUMNS * sizeof(float) + 64);
    struct graft_buffer *buffer;
    glob_t found;
    vk_close(device);
    device = NULL;
    logged[0] = '\0';
    assert_int_equal(vk_open(&host.host, 0, &device), GRAFT_OK);
    assert_int_equal(vk_buffer_create(device, bytes, &buffer), GRAFT_OK);
    vk_program_destroy(make(buffer));
    vk_buffer_destroy(buffer);
    vk_close(device);
    device = NULL;
    snprintf(path, PATH, "%s/vulkan-*.pipelines", folder);
    assert_int_equal(glob(path, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    snprintf(path, PATH, "%s", found.gl_pathv[0]);
    globfree(&found);
}

/* A cache on disk that is broken is ignored with a line, and made anew. */
static void test_cache(void **state)
{
    enum { AT = 30 }; /* of a byte behind the head */
    char folder[] = "/tmp/graft-vulkan-XXXXXX", path[PATH];
    (void)state;
    assert_non_null(mkdtemp(folder));
    host.host.cache_folder = folder;
    leave_cache(folder, path);
    leave_cache(folder, path);
    assert_string_equal(logged, "");
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, AT, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, AT, SEEK_SET), 0);
    fputc(byte ^ 1, file);
    fclose(file);
    leave_cache(folder, path);
    assert_non_null(strstr(logged, "is broken"));
    leave_cache(folder, path);
    assert_string_equal(logged, "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_learns, set_up, tear_down),
        cmocka_unit_test(test_shaders),
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cache, set_up, tear_down),
    };
    struct test_host h;
    test_host_init(&h, 1);
    bool none = vk_device_count(&h.host) == 0;
    test_host_fini(&h);
    return none ? 77 : TEST_MAIN(tests);
}
