/* SPDX-License-Identifier: Apache-2.0
 *
 * Times products on the first Vulkan device: y = x . Wt and dx = dy . W of f32, f16, Q4_1 and NF4
 * weights, computed in f32 and, where the device has matrices of it, in f16. The best GFLOP/s of
 * several runs each, and GFLOP per second of processor time, which on a driver in software stays
 * the same beside other work. Not a test.
 *   vulkan_products [tokens [channels in [channels out [seconds]]]]
 */
#include "bench/inputs.h"

struct sizes {
    int64_t tokens, in, out;
    double seconds; /* of each product */
};

struct rates {
    double wall, processor;
};

static double processor(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t add_numbers(struct program *p, int64_t rows, int64_t columns, bool given)
{
    float *x = given ? floats(rows * columns) : NULL;
    return program_tensor(p, GRAFT_DTYPE_F32, graft_shape2(rows, columns), x);
}

static void make(struct program *p, const struct sizes *s, int32_t dtype, int32_t compute, bool dx)
{
    uint32_t x = add_numbers(p, s->tokens, dx ? s->out : s->in, true);
    uint32_t w = weight(p, dtype, s->out, s->in);
    uint32_t y = add_numbers(p, s->tokens, dx ? s->in : s->out, false);
    const uint32_t in[] = {x, w, PROGRAM_END}, out[] = {y, PROGRAM_END};
    struct graft_node *n = program_node(p, GRAFT_OP_MATMUL, in, out);
    n->params.matmul.transpose_b = !dx;
    n->params.matmul.compute = compute;
}

/* Reading waits for what was submitted. */
static bool run_once(struct program *p, const struct sizes *s)
{
    float y;
    return program_run(p, s->tokens, s->tokens) == GRAFT_OK &&
           p->backend->buffer_read(p->buffer, p->tensors[p->tensor_count - 1].offset, &y,
                                   sizeof y) == GRAFT_OK;
}

static bool measure(struct program *p, const struct sizes *s, struct rates *out)
{
    struct rates best = {0};
    double flop = 2e-9 * (double)s->tokens * (double)s->in * (double)s->out, begun = now();
    bool ran = run_once(p, s);
    for (int i = 0; ran && (i < 3 || now() - begun < s->seconds); i++) {
        double start = now(), busy = processor();
        ran = run_once(p, s);
        double wall = flop / (now() - start), busily = flop / (processor() - busy);
        if (wall > best.wall) best.wall = wall;
        if (busily > best.processor) best.processor = busily;
    }
    *out = best;
    return ran;
}

static bool product(struct program_host *host, const struct graft_backend *backend,
                    const struct sizes *s, int32_t dtype, int32_t compute, bool dx)
{
    struct program p;
    struct rates r;
    bool opened = program_init(&p, host, backend);
    if (opened) make(&p, s, dtype, compute, dx);
    bool ran = opened && program_build(&p) == GRAFT_OK && measure(&p, s, &r);
    if (ran) {
        printf("%10.1f %10.1f", r.wall, r.processor);
        fflush(stdout);
    } else {
        fprintf(stderr, "vulkan_products: %s\n", host->error);
    }
    for (uint32_t i = 0; i < p.tensor_count; i++) free((void *)(uintptr_t)p.data[i]);
    if (ran) program_fini(&p);
    return ran;
}

static int run(struct program_host *host, const struct graft_backend *backend,
               const struct sizes *s)
{
    static const struct {
        const char *name;
        int32_t dtype;
    } types[] = {{"f32", GRAFT_DTYPE_F32},
                 {"f16", GRAFT_DTYPE_F16},
                 {"q4_1", GRAFT_DTYPE_Q4_1},
                 {"nf4", GRAFT_DTYPE_NF4}};
    struct graft_device_info info = {.struct_size = sizeof info};
    if (backend->device_count(&host->table) == 0 || !backend->device_info(&host->table, 0, &info)) {
        fprintf(stderr, "vulkan_products: there is no device\n");
        return 77;
    }
    printf("%s, %s\n%lld tokens, weight [%lld, %lld], GFLOP/s, and per second of processor time\n",
           info.name, info.note, (long long)s->tokens, (long long)s->out, (long long)s->in);
    printf("%-6s %-8s %21s %21s\n", "weight", "computed", "x . Wt", "dy . W");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        for (int narrow = 0; narrow < 2; narrow++) {
            int32_t compute = narrow ? GRAFT_DTYPE_F16 : GRAFT_DTYPE_F32;
            if (narrow && !(info.compute >> compute & 1)) continue;
            printf("%-6s %-8s", types[i].name, narrow ? "f16" : "f32");
            for (int dx = 0; dx < 2; dx++)
                if (!product(host, backend, s, types[i].dtype, compute, dx)) return 1;
            printf("\n");
        }
    return 0;
}

int main(int argc, char **argv)
{
    const struct sizes s = {.tokens = argc > 1 ? strtol(argv[1], NULL, 10) : 512,
                            .in = argc > 2 ? strtol(argv[2], NULL, 10) : 576,
                            .out = argc > 3 ? strtol(argv[3], NULL, 10) : 1536,
                            .seconds = argc > 4 ? strtod(argv[4], NULL) : 1.0};
    if (s.tokens < 1 || s.in < 64 || s.out < 64 || s.in % 64 != 0 || s.out % 64 != 0) {
        fprintf(stderr, "vulkan_products: at least 1 token, channels in multiples of 64\n");
        return 2;
    }
    const struct graft_plugin *plugin = program_plugin("vulkan");
    if (plugin == NULL) {
        fprintf(stderr, "vulkan_products: no backend-vulkan.so in %s\n", GRAFT_BUILD_DIR);
        return 1;
    }
    struct program_host host;
    if (!program_host_init(&host, 1)) return 1;
    int status = run(&host, plugin->functions, &s);
    program_host_fini(&host);
    return status;
}
