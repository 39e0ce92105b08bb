/* SPDX-License-Identifier: Apache-2.0
 *
 * Times the CPU backend's ops at the shapes of a LoRA step of SmolLM2-135M, with 1 and 2 threads:
 * milliseconds, GFLOP/s, and how often a step of 30 layers needs them; beside them OpenBLAS's sgemm
 * of the same size on as many threads, where it is installed. Not a test. GRAFT_KERNELS names other
 * kernels than the best (avx2, baseline), OPENBLAS_CORETYPE sgemm's (HASWELL, NEHALEM).
 *   bench_ops [tokens [part of an op's name]]
 */
#include "bench/inputs.h"

enum { C = 576, I = 1536, H = 9, G = 3, D = 64, V = 49152, RANK = 8, LAYERS = 30 };
#define LIST(...) ((const uint32_t[]){__VA_ARGS__, PROGRAM_END})

static int64_t tokens = 600;

static uint32_t in(struct program *p, struct graft_shape s)
{
    return program_tensor(p, GRAFT_DTYPE_F32, s, floats(graft_shape_count(s)));
}

static uint32_t ints(struct program *p, int64_t n, int64_t from, int64_t step)
{
    int32_t *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = (int32_t)(from + i * step);
    return program_tensor(p, GRAFT_DTYPE_I32, graft_shape1(n), x);
}

static uint32_t out(struct program *p, struct graft_shape s)
{
    return program_tensor(p, GRAFT_DTYPE_F32, s, NULL);
}

static struct graft_shape t2(int64_t columns)
{
    return graft_shape2(tokens, columns);
}

/* op, type of the weight, sizes: what they mean is the op's own business below. */
struct job {
    const char *name;
    int32_t op, dtype;
    int64_t m, n, k; /* of the product */
    int32_t ta, tb;
    int times; /* in a step; 0: not part of it */
};

static void documents(struct program *p, uint32_t *first, uint32_t *last)
{
    int32_t *x = malloc((size_t)tokens * sizeof *x);
    for (int64_t t = 0; t < tokens; t++) x[t] = (int32_t)(t / 150 * 150);
    *first = program_tensor(p, GRAFT_DTYPE_I32, graft_shape1(tokens), x);
    *last = ints(p, tokens, 0, 1);
}

static void make_attention(struct program *p, const struct job *j)
{
    bool back = j->op == GRAFT_OP_ATTENTION_BACKWARD;
    uint32_t first, last, q = in(p, t2(H * D)), k = in(p, t2(G * D)), v = in(p, t2(G * D));
    documents(p, &first, &last);
    struct graft_node *n;
    if (back)
        n = program_node(
            p, j->op, LIST(q, k, v, first, last, in(p, t2(H * D)), in(p, t2(H)), in(p, t2(H * D))),
            LIST(out(p, t2(H * D)), out(p, t2(G * D)), out(p, t2(G * D))));
    else
        n = program_node(p, j->op, LIST(q, k, v, first, last),
                         LIST(out(p, t2(H * D)), out(p, t2(H))));
    n->params.attention.heads = H;
    n->params.attention.kv_heads = G;
    n->params.attention.head_size = D;
    n->params.attention.scale = 0.125;
}

static void make_others(struct program *p, const struct job *j)
{
    struct graft_node *n = NULL;
    uint32_t x = in(p, t2(j->n)), y = in(p, t2(j->n)), o = out(p, t2(j->n));
    switch (j->op) {
    case GRAFT_OP_RMS_NORM:
        program_node(p, j->op, LIST(x, in(p, graft_shape1(j->n))), LIST(o));
        break;
    case GRAFT_OP_RMS_NORM_BACKWARD:
        program_node(p, j->op, LIST(x, y, in(p, graft_shape1(j->n))), LIST(o));
        break;
    case GRAFT_OP_ROPE:
        n = program_node(p, j->op, LIST(x, in(p, t2(D))), LIST(o));
        n->params.rope.head_size = n->params.rope.rotary = D;
        break;
    case GRAFT_OP_SWIGLU_BACKWARD:
        program_node(p, j->op, LIST(x, y, in(p, t2(j->n))), LIST(o, out(p, t2(j->n))));
        break;
    case GRAFT_OP_DROPOUT:
        n = program_node(p, j->op,
                         LIST(x, ints(p, tokens, 0, 1), ints(p, tokens, 0, 1), ints(p, 1, 3, 0)),
                         LIST(o));
        n->params.dropout.rate = 0.05;
        break;
    case GRAFT_OP_SUM:
        n = program_node(p, j->op, LIST(x), LIST(out(p, graft_shape2(1, j->n))));
        n->params.sum.axes = 1;
        break;
    case GRAFT_OP_EXP:
    case GRAFT_OP_TANH: program_node(p, j->op, LIST(x), LIST(o)); break;
    default: program_node(p, j->op, LIST(x, y), LIST(o)); break;
    }
}

static void make(struct program *p, const struct job *j)
{
    if (j->op == GRAFT_OP_MATMUL) {
        uint32_t x = in(p, j->ta ? graft_shape2(j->k, j->m) : graft_shape2(j->m, j->k));
        uint32_t w = weight(p, j->dtype, j->tb ? j->n : j->k, j->tb ? j->k : j->n);
        struct graft_node *n =
            program_node(p, j->op, LIST(x, w), LIST(out(p, graft_shape2(j->m, j->n))));
        n->params.matmul.transpose_a = j->ta;
        n->params.matmul.transpose_b = j->tb;
    } else if (j->op == GRAFT_OP_HEAD_LOSS) {
        uint32_t x = in(p, graft_shape2(j->m, C)), w = weight(p, j->dtype, V, C);
        uint32_t nll = out(p, graft_shape1(j->m));
        uint32_t best = program_tensor(p, GRAFT_DTYPE_I32, graft_shape1(j->m), NULL);
        program_node(p, j->op, LIST(x, w, ints(p, j->m, 0, 70)),
                     LIST(nll, best, out(p, graft_shape2(j->m, C))));
    } else if (j->op == GRAFT_OP_ATTENTION || j->op == GRAFT_OP_ATTENTION_BACKWARD) {
        make_attention(p, j);
    } else {
        make_others(p, j);
    }
}

static double flops(const struct job *j)
{
    if (j->op == GRAFT_OP_MATMUL) return 2.0 * (double)(j->m * j->n * j->k);
    if (j->op == GRAFT_OP_HEAD_LOSS) return 4.0 * (double)(j->m * V) * C;
    return 0.0;
}

/* The best of several runs, in seconds. */
static double best_run(struct program_host *host, const struct graft_backend *backend,
                       const struct job *j)
{
    struct program p;
    double best = 1e9, total = 0.0;
    if (!program_init(&p, host, backend)) exit(1);
    make(&p, j);
    if (program_build(&p) != GRAFT_OK) {
        fprintf(stderr, "%s: %s\n", j->name, host->error);
        exit(1);
    }
    for (int i = 0; i < 3 || (i < 50 && total < 0.5); i++) {
        double start = now();
        program_run(&p, tokens, tokens);
        double took = now() - start;
        total += took;
        best = took < best ? took : best;
    }
    for (uint32_t i = 0; i < p.tensor_count; i++) free((void *)(uintptr_t)p.data[i]);
    program_fini(&p);
    return best;
}

typedef void sgemm_function(int order, int ta, int tb, int m, int n, int k, float alpha,
                            const float *a, int lda, const float *b, int ldb, float beta, float *c,
                            int ldc);

/* OpenBLAS, where it is installed. */
struct blas {
    sgemm_function *sgemm;
    void (*set_threads)(int count);
};

static struct blas blas_open(void)
{
    struct blas blas = {NULL, NULL};
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return blas;
    *(void **)&blas.sgemm = dlsym(library, "cblas_sgemm");
    *(void **)&blas.set_threads = dlsym(library, "openblas_set_num_threads");
    if (blas.set_threads == NULL) blas.sgemm = NULL;
    return blas;
}

/* The same product of f32 numbers, in seconds. */
static double sgemm_run(const struct blas *blas, const struct job *j, int threads)
{
    enum { ROW_MAJOR = 101, PLAIN = 111, TURNED = 112, RUNS = 30 };
    int m = (int)j->m, n = (int)j->n, k = (int)j->k;
    float *a = floats(j->m * j->k), *b = floats(j->n * j->k), *c = floats(j->m * j->n);
    double best = 1e9;
    blas->set_threads(threads);
    for (int i = 0; i < RUNS; i++) {
        double start = now();
        blas->sgemm(ROW_MAJOR, j->ta ? TURNED : PLAIN, j->tb ? TURNED : PLAIN, m, n, k, 1.0f, a,
                    j->ta ? m : k, b, j->tb ? k : n, 0.0f, c, n);
        double took = now() - start;
        best = took < best ? took : best;
    }
    free(a);
    free(b);
    free(c);
    return best;
}

/* Prints a row; the seconds with two threads. host: of one thread, of two. */
static double time_job(struct program_host host[2], const struct graft_backend *backend,
                       const struct blas *blas, const struct job *j)
{
    double f = 1e-9 * flops(j), seconds = 0.0;
    printf("%-16s", j->name);
    for (int threads = 1; threads <= 2; threads++) {
        seconds = best_run(&host[threads - 1], backend, j);
        printf(" %10.3f %10.1f", 1e3 * seconds, f / seconds);
        if (blas->sgemm != NULL && j->op == GRAFT_OP_MATMUL)
            printf(" %9.1f", f / sgemm_run(blas, j, threads));
        else
            printf(" %9s", "");
    }
    printf(" %8d\n", j->times);
    fflush(stdout);
    return seconds;
}

int main(int argc, char **argv)
{
    if (argc > 1) tokens = strtol(argv[1], NULL, 10);
    if (tokens < 1) return 2;
    const int64_t t = tokens;
    const struct job jobs[] = {
        {"q,o  x.W", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, t, C, C, 0, 1, 2 * LAYERS},
        {"k,v  x.W", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, t, G * D, C, 0, 1, 2 * LAYERS},
        {"gate,up  x.W", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, t, I, C, 0, 1, 2 * LAYERS},
        {"down  x.W", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, t, C, I, 0, 1, LAYERS},
        {"q,o  dx", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, t, C, C, 0, 0, 2 * LAYERS},
        {"k,v  dx", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, t, C, G * D, 0, 0, 2 * LAYERS},
        {"gate,up  dx", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, t, C, I, 0, 0, 2 * LAYERS},
        {"down  dx", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, t, I, C, 0, 0, LAYERS},
        {"gate f32", GRAFT_OP_MATMUL, GRAFT_DTYPE_F32, t, I, C, 0, 1, 0},
        {"gate bf16", GRAFT_OP_MATMUL, GRAFT_DTYPE_BF16, t, I, C, 0, 1, 0},
        {"gate nf4", GRAFT_OP_MATMUL, GRAFT_DTYPE_NF4, t, I, C, 0, 1, 0},
        {"gate nf4 dx", GRAFT_OP_MATMUL, GRAFT_DTYPE_NF4, t, C, I, 0, 0, 0},
        {"gate q8_0", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q8_0, t, I, C, 0, 1, 0},
        {"gate f32 dW", GRAFT_OP_MATMUL, GRAFT_DTYPE_F32, I, C, t, 1, 0, 0},
        {"lora h = x.A", GRAFT_OP_MATMUL, GRAFT_DTYPE_F32, t, RANK, C, 0, 1, 2 * LAYERS},
        {"lora y = h.B", GRAFT_OP_MATMUL, GRAFT_DTYPE_F32, t, C, RANK, 0, 1, 2 * LAYERS},
        {"lora dh = dy.B", GRAFT_OP_MATMUL, GRAFT_DTYPE_F32, t, RANK, C, 0, 0, 2 * LAYERS},
        {"lora dx = dh.A", GRAFT_OP_MATMUL, GRAFT_DTYPE_F32, t, C, RANK, 0, 0, 2 * LAYERS},
        {"lora dA", GRAFT_OP_MATMUL, GRAFT_DTYPE_F32, RANK, C, t, 1, 0, 2 * LAYERS},
        {"lora dB", GRAFT_OP_MATMUL, GRAFT_DTYPE_F32, C, RANK, t, 1, 0, 2 * LAYERS},
        {"head loss", GRAFT_OP_HEAD_LOSS, GRAFT_DTYPE_Q4_1, t, V, C, 0, 1, 1},
        {"attention", GRAFT_OP_ATTENTION, 0, 0, 0, 0, 0, 0, LAYERS},
        {"attention back", GRAFT_OP_ATTENTION_BACKWARD, 0, 0, 0, 0, 0, 0, LAYERS},
        {"rms norm", GRAFT_OP_RMS_NORM, 0, 0, C, 0, 0, 0, 2 * LAYERS},
        {"rms norm back", GRAFT_OP_RMS_NORM_BACKWARD, 0, 0, C, 0, 0, 0, 2 * LAYERS},
        {"rope q", GRAFT_OP_ROPE, 0, 0, C, 0, 0, 0, 2 * LAYERS},
        {"rope k", GRAFT_OP_ROPE, 0, 0, G * D, 0, 0, 0, 2 * LAYERS},
        {"swiglu", GRAFT_OP_SWIGLU, 0, 0, I, 0, 0, 0, LAYERS},
        {"swiglu back", GRAFT_OP_SWIGLU_BACKWARD, 0, 0, I, 0, 0, 0, LAYERS},
        {"add", GRAFT_OP_ADD, 0, 0, C, 0, 0, 0, 12 * LAYERS},
        {"dropout", GRAFT_OP_DROPOUT, 0, 0, C, 0, 0, 0, 4 * LAYERS},
        {"column sum", GRAFT_OP_SUM, 0, 0, C, 0, 0, 0, 0},
        {"exp", GRAFT_OP_EXP, 0, 0, C, 0, 0, 0, 0},
        {"tanh", GRAFT_OP_TANH, 0, 0, C, 0, 0, 0, 0},
        {"decode q", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, 1, C, C, 0, 1, 0},
        {"decode gate", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, 1, I, C, 0, 1, 0},
        {"decode logits", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, 1, V, C, 0, 1, 0},
        {"decode 8 gate", GRAFT_OP_MATMUL, GRAFT_DTYPE_Q4_1, 8, I, C, 0, 1, 0},
    };
    const struct graft_plugin *plugin = program_plugin("cpu");
    if (plugin == NULL) {
        fprintf(stderr, "no backend-cpu.so in %s\n", GRAFT_BUILD_DIR);
        return 1;
    }
    struct blas blas = blas_open();
    struct program_host host[2];
    struct graft_device_info info = {.struct_size = sizeof info};
    const struct graft_backend *backend = plugin->functions;
    if (!program_host_init(&host[0], 1) || !program_host_init(&host[1], 2)) return 1;
    backend->device_info(&host[1].table, 0, &info);
    printf("%s, %lld tokens\n", info.name, (long long)tokens);
    printf("%-16s %31s %31s %8s\n", "", "1 thread: ms GFLOP/s sgemm's",
           "2 threads: ms GFLOP/s sgemm's", "a step");
    double products = 0.0, others = 0.0;
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        const struct job *j = &jobs[i];
        if (argc > 2 && strstr(j->name, argv[2]) == NULL) continue;
        *(flops(j) > 0.0 ? &products : &others) += j->times * time_job(host, backend, &blas, j);
    }
    printf("a step on 2 threads: products %.0f ms, the rest %.0f ms (%.1f %%), %.0f tokens/s\n",
           1e3 * products, 1e3 * others, 100.0 * others / (products + others),
           (double)tokens / (products + others));
    program_host_fini(&host[0]);
    program_host_fini(&host[1]);
    return 0;
}
