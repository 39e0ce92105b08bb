/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled pipelines on disk: one file per device and driver in the host's cache folder. Drivers
 * may not survive a broken cache, so the file has a checksum of its own.
 */
#include "device.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 1024, MOST = 256 << 20 /* bytes of a cache that is taken for one */ };

struct header {
    char magic[8];
    uint64_t bytes, sum; /* of what follows */
};

static const char magic[8] = {'g', 'r', 'a', 'f', 't', 'p', 'c', '1'};

/* FNV-1a, 64 bit. */
static uint64_t sum_of(const uint8_t *data, size_t bytes)
{
    uint64_t sum = 0xCBF29CE484222325u;
    for (size_t i = 0; i < bytes; i++) sum = (sum ^ data[i]) * 0x100000001B3u;
    return sum;
}

/* False: there is no place for it. */
static bool path_of(const struct graft_device *d, char out[PATH])
{
    const VkPhysicalDeviceProperties *p = &d->probe.properties;
    const struct graft_host *host = d->host;
    char uuid[2 * VK_UUID_SIZE + 1];
    if (host->struct_size < offsetof(struct graft_host, cache_folder) + sizeof host->cache_folder ||
        host->cache_folder == NULL)
        return false;
    for (uint32_t i = 0; i < VK_UUID_SIZE; i++)
        snprintf(uuid + 2 * i, 3, "%02x", p->pipelineCacheUUID[i]);
    int length =
        snprintf(out, PATH, "%s/vulkan-%04x-%04x-%08x-%s.pipelines", host->cache_folder,
                 (unsigned)p->vendorID, (unsigned)p->deviceID, (unsigned)p->driverVersion, uuid);
    return length > 0 && length < PATH;
}

/* NULL: no file, or a broken one. */
static uint8_t *load(const struct graft_device *d, const char *path, size_t *bytes)
{
    const struct graft_host *host = d->host;
    struct header head;
    char line[PATH + 128];
    uint8_t *data = NULL;
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    bool sound = fread(&head, sizeof head, 1, file) == 1 &&
                 memcmp(head.magic, magic, sizeof magic) == 0 && head.bytes <= MOST;
    if (sound) data = host->alloc(host->context, (size_t)head.bytes + 1);
    sound = data != NULL && fread(data, 1, (size_t)head.bytes + 1, file) == head.bytes &&
            sum_of(data, (size_t)head.bytes) == head.sum;
    fclose(file);
    if (sound) {
        *bytes = (size_t)head.bytes;
        return data;
    }
    if (data != NULL) host->release(host->context, data);
    snprintf(line, sizeof line, "%s is broken: it is ignored, and made anew", path);
    host->log(host->context, line);
    return NULL;
}

VkResult vk_cache_open(struct graft_device *d)
{
    char path[PATH];
    size_t bytes = 0;
    uint8_t *data = path_of(d, path) ? load(d, path, &bytes) : NULL;
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                      .initialDataSize = bytes,
                                      .pInitialData = data};
    VkResult result = d->vk.CreatePipelineCache(d->handle, &info, NULL, &d->cache);
    if (data != NULL) d->host->release(d->host->context, data);
    return result;
}

static bool save(const char *path, const uint8_t *data, size_t bytes)
{
    char temporary[PATH + 32];
    struct header head = {.bytes = bytes, .sum = sum_of(data, bytes)};
    memcpy(head.magic, magic, sizeof magic);
    snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    FILE *file = fopen(temporary, "wb");
    if (file == NULL) return false;
    bool written =
        fwrite(&head, sizeof head, 1, file) == 1 && fwrite(data, 1, bytes, file) == bytes;
    written = fclose(file) == 0 && written;
    if (written && rename(temporary, path) == 0) return true;
    remove(temporary);
    return false;
}

/* That it cannot be saved costs the next run a few seconds, no more. */
void vk_cache_save(struct graft_device *d)
{
    char path[PATH];
    size_t bytes = 0;
    const struct graft_host *host = d->host;
    if (d->unsaved == 0 || d->lost || !path_of(d, path)) return;
    d->unsaved = 0;
    if (d->vk.GetPipelineCacheData(d->handle, d->cache, &bytes, NULL) != VK_SUCCESS || bytes == 0)
        return;
    uint8_t *data = host->alloc(host->context, bytes);
    if (data == NULL) return;
    if (d->vk.GetPipelineCacheData(d->handle, d->cache, &bytes, data) == VK_SUCCESS)
        (void)save(path, data, bytes);
    host->release(host->context, data);
}
