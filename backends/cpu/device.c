/* SPDX-License-Identifier: Apache-2.0
 *
 * The one device and its buffers, which are host memory. Large buffers are mapped, so that huge
 * pages can back them and untouched pages cost nothing.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#include "cpu_backend.h"

#include "cpu/narrow.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* GFLOP/s of a thread, about: less than a GPU, more than a GPU's driver in software says of itself.
 */
#define ROUGH_RATE 16.0

enum { ALIGNMENT = 64, MAPPED = 1 << 20 /* bytes from which a buffer is mapped */ };

int32_t cpu_fail(const struct graft_host *host, int32_t status, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    host->error(host->context, text);
    return status;
}

uint32_t cpu_device_count(const struct graft_host *host)
{
    (void)host;
    return 1;
}

/* "AMD EPYC": the first "model name" of /proc/cpuinfo; else "CPU". */
static void processor_name(char out[64])
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(out, 64, "CPU");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        colon += strspn(colon, ": \t");
        snprintf(out, 64, "%.*s", (int)strcspn(colon, "\n"), colon);
        break;
    }
    if (file != NULL) fclose(file);
}

int32_t cpu_device_info(const struct graft_host *host, uint32_t index,
                        struct graft_device_info *info)
{
    if (index != 0) return 0;
    char processor[64];
    struct graft_device_info full = {.usable = 0};
    uint32_t size = info->struct_size;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const struct cpu_path *path = cpu_path_pick(host, full.note);
    processor_name(processor);
    if (pages > 0 && page > 0) full.memory = (uint64_t)pages * (uint64_t)page;
    full.gflops = ROUGH_RATE * (double)host->thread_count;
    if (path != NULL) {
        full.usable = 1;
        full.sweeps = 1;
        if (path->narrow != NULL) full.compute = 1u << GRAFT_DTYPE_BF16;
        snprintf(full.name, sizeof full.name, "%s, %u thread%s, %s kernels%s%s", processor,
                 (unsigned)host->thread_count, host->thread_count == 1 ? "" : "s",
                 path->kernels->name, path->narrow != NULL ? ", " : "",
                 path->narrow != NULL ? path->narrow->name : "");
    } else {
        snprintf(full.name, sizeof full.name, "%s", processor);
    }
    if (size > sizeof full) size = sizeof full;
    full.struct_size = info->struct_size;
    memcpy(info, &full, size);
    return 1;
}

int32_t cpu_open(const struct graft_host *host, uint32_t index, struct graft_device **device)
{
    char text[256];
    if (index != 0)
        return cpu_fail(host, GRAFT_E_INVALID,
                        "the CPU backend has device 0 only, device %u was asked for",
                        (unsigned)index);
    const struct cpu_path *path = cpu_path_pick(host, text);
    if (path == NULL) return cpu_fail(host, GRAFT_E_UNSUPPORTED, "%s", text);
    struct graft_device *d = host->alloc(host->context, sizeof *d);
    if (d == NULL) return cpu_fail(host, GRAFT_E_MEMORY, "no memory for the CPU device");
    *d = (struct graft_device){.host = host, .kernels = path->kernels, .narrow = path->narrow};
    *device = d;
    return GRAFT_OK;
}

void cpu_close(struct graft_device *device)
{
    if (device == NULL) return;
    cpu_buffer_destroy(device->region);
    device->host->release(device->host->context, device);
}

/* Memory of `bytes` > 0 for b: mapped if large, else the host's. */
static bool provide(const struct graft_host *host, struct graft_buffer *b, size_t bytes)
{
    if (bytes < MAPPED) {
        b->block = host->alloc(host->context, bytes + ALIGNMENT);
        if (b->block == NULL) return false;
        uintptr_t at = (uintptr_t)b->block;
        b->data = (uint8_t *)b->block + (ALIGNMENT - at % ALIGNMENT);
        memset(b->data, 0, bytes);
        return true;
    }
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return false;
#ifdef MADV_HUGEPAGE
    madvise(at, bytes, MADV_HUGEPAGE); /* a wish: its refusal changes nothing but speed */
#endif
    b->data = at;
    b->mapped = bytes;
    return true;
}

int32_t cpu_buffer_create(struct graft_device *device, uint64_t bytes, struct graft_buffer **out)
{
    const struct graft_host *host = device->host;
    struct graft_buffer *b = host->alloc(host->context, sizeof *b);
    if (b == NULL) return cpu_fail(host, GRAFT_E_MEMORY, "no memory for a buffer's record");
    *b = (struct graft_buffer){.device = device, .bytes = bytes};
    if (bytes > SIZE_MAX / 2 || !provide(host, b, bytes > 0 ? (size_t)bytes : 1)) {
        host->release(host->context, b);
        return cpu_fail(host, GRAFT_E_MEMORY, "no memory for a buffer of %llu bytes",
                        (unsigned long long)bytes);
    }
    *out = b;
    return GRAFT_OK;
}

int32_t cpu_buffer_import(struct graft_device *device, const void *memory, uint64_t bytes,
                          struct graft_buffer **out)
{
    const struct graft_host *host = device->host;
    struct graft_buffer *b = host->alloc(host->context, sizeof *b);
    if (b == NULL) return cpu_fail(host, GRAFT_E_MEMORY, "no memory for a buffer's record");
    /* Never written: program_create refuses an output or a stored value there. */
    *b = (struct graft_buffer){
        .device = device, .data = (uint8_t *)(uintptr_t)memory, .bytes = bytes, .imported = true};
    *out = b;
    return GRAFT_OK;
}

void cpu_buffer_destroy(struct graft_buffer *buffer)
{
    if (buffer == NULL) return;
    const struct graft_host *host = buffer->device->host;
    if (buffer->mapped > 0) munmap(buffer->data, buffer->mapped);
    if (buffer->block != NULL) host->release(host->context, buffer->block);
    host->release(host->context, buffer);
}

static bool inside(const struct graft_buffer *b, uint64_t offset, uint64_t bytes)
{
    return offset <= b->bytes && bytes <= b->bytes - offset;
}

static int32_t outside(const struct graft_buffer *b, const char *what, uint64_t offset,
                       uint64_t bytes)
{
    return cpu_fail(
        b->device->host, GRAFT_E_INVALID, "%s of %llu bytes at %llu: the buffer has %llu bytes",
        what, (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)b->bytes);
}

int32_t cpu_buffer_write(struct graft_buffer *buffer, uint64_t offset, const void *from,
                         uint64_t bytes)
{
    if (!inside(buffer, offset, bytes)) return outside(buffer, "a write", offset, bytes);
    if (buffer->imported)
        return cpu_fail(buffer->device->host, GRAFT_E_INVALID,
                        "a write into an imported buffer, which is read-only");
    if (bytes > 0) memcpy(buffer->data + offset, from, (size_t)bytes);
    return GRAFT_OK;
}

int32_t cpu_buffer_read(struct graft_buffer *buffer, uint64_t offset, void *to, uint64_t bytes)
{
    if (!inside(buffer, offset, bytes)) return outside(buffer, "a read", offset, bytes);
    if (bytes > 0) memcpy(to, buffer->data + offset, (size_t)bytes);
    return GRAFT_OK;
}
