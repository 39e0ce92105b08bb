/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffers: one allocation each. Memory that host and device share is written and read where it
 * lies; that of a card goes through the staging ring.
 */
#include "device.h"

#include <string.h>

enum {
    TAIL = 64,            /* readable bytes behind the end, for loads of several numbers at once */
    IMPORT_ALIGNMENT = 16 /* the largest load */
};

static uint64_t rounded(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) / to * to;
}

/* The first memory type among `bits` with all of `want`; false: none. */
static bool find_type(const struct graft_device *d, uint32_t bits, VkMemoryPropertyFlags want,
                      uint32_t *out)
{
    for (uint32_t i = 0; i < d->probe.memory.memoryTypeCount; i++)
        if ((bits >> i & 1) && (d->probe.memory.memoryTypes[i].propertyFlags & want) == want) {
            *out = i;
            return true;
        }
    return false;
}

enum place { PLACE_DEVICE, PLACE_STAGING };

enum {
    HOST = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
    CACHED = HOST | VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
    LOCAL = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
    CHOICES = 4
};

/* What to ask for, best first; 0 ends them. The part that a processor's GPU calls its own is often
 * small: what does not fit there lies in the other memory, which is as near. A card's buffers lie
 * on the card or nowhere. */
static const VkMemoryPropertyFlags staging_choices[CHOICES] = {CACHED, HOST},
                                   shared_choices[CHOICES] = {LOCAL | CACHED, LOCAL | HOST, CACHED,
                                                              HOST},
                                   card_choices[CHOICES] = {LOCAL};

static VkResult make_handle(struct graft_buffer *b, uint64_t bytes, const void *next)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .pNext = next,
        .size = bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT |
                 VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    return b->device->vk.CreateBuffer(b->device->handle, &info, NULL, &b->handle);
}

static VkResult bind(struct graft_buffer *b, uint64_t bytes, uint32_t type, const void *next)
{
    struct graft_device *d = b->device;
    VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                       .pNext = next,
                                       .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .pNext = &flags,
                                 .allocationSize = bytes,
                                 .memoryTypeIndex = type};
    VkResult result = d->vk.AllocateMemory(d->handle, &info, NULL, &b->memory);
    if (result != VK_SUCCESS) return result;
    result = d->vk.BindBufferMemory(d->handle, b->handle, b->memory, 0);
    if (result != VK_SUCCESS) {
        d->vk.FreeMemory(d->handle, b->memory, NULL);
        b->memory = VK_NULL_HANDLE;
        return result;
    }
    VkBufferDeviceAddressInfo address = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                         .buffer = b->handle};
    b->address = d->vk.GetBufferDeviceAddress(d->handle, &address);
    return VK_SUCCESS;
}

static VkResult map(struct graft_buffer *b)
{
    void *at = NULL;
    VkResult result =
        b->device->vk.MapMemory(b->device->handle, b->memory, 0, VK_WHOLE_SIZE, 0, &at);
    b->mapped = at;
    return result;
}

static VkResult provide(struct graft_buffer *b, enum place place)
{
    struct graft_device *d = b->device;
    const VkMemoryPropertyFlags *choices = place == PLACE_STAGING ? staging_choices
                                           : d->probe.unified     ? shared_choices
                                                                  : card_choices;
    VkMemoryRequirements need;
    uint32_t type;
    VkResult result = make_handle(b, rounded(b->bytes, VK_ALIGNMENT) + TAIL, NULL);
    if (result != VK_SUCCESS) return result;
    d->vk.GetBufferMemoryRequirements(d->handle, b->handle, &need);
    result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    for (int i = 0; i < CHOICES && choices[i] != 0 && result == VK_ERROR_OUT_OF_DEVICE_MEMORY; i++)
        if (find_type(d, need.memoryTypeBits, choices[i], &type))
            result = bind(b, need.size, type, NULL);
    return result == VK_SUCCESS && (choices[0] & HOST) == HOST ? map(b) : result;
}

static int32_t no_memory(struct graft_device *d, uint64_t bytes, VkResult result)
{
    const double gib = 1024.0 * 1024.0 * 1024.0;
    if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY && result != VK_ERROR_OUT_OF_HOST_MEMORY)
        return vk_failed(d, "making a buffer", result);
    if (bytes > d->probe.largest)
        return vk_fail(
            d->host, GRAFT_E_MEMORY,
            "no memory for a buffer of %.2f GiB on %s: its driver allows %.2f GiB in one "
            "allocation",
            (double)bytes / gib, d->probe.properties.deviceName, (double)d->probe.largest / gib);
    return vk_fail(d->host, GRAFT_E_MEMORY,
                   "no memory for a buffer of %.2f GiB on %s, which has %.2f GiB in all",
                   (double)bytes / gib, d->probe.properties.deviceName,
                   (double)d->probe.local_memory / gib);
}

static int32_t make(struct graft_device *d, uint64_t bytes, enum place place,
                    struct graft_buffer **out)
{
    struct graft_buffer *b = d->host->alloc(d->host->context, sizeof *b);
    if (b == NULL) return vk_fail(d->host, GRAFT_E_MEMORY, "no memory for a buffer's record");
    *b = (struct graft_buffer){.device = d, .bytes = bytes};
    VkResult result = bytes <= UINT64_MAX / 2 ? provide(b, place) : VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (result != VK_SUCCESS) {
        vk_buffer_destroy(b);
        return no_memory(d, bytes, result);
    }
    *out = b;
    return GRAFT_OK;
}

int32_t vk_buffer_staging(struct graft_device *device, uint64_t bytes, struct graft_buffer **out)
{
    return make(device, bytes, PLACE_STAGING, out);
}

static int32_t clear(struct graft_buffer *b)
{
    struct graft_device *d = b->device;
    struct vk_slot *slot;
    if (b->mapped != NULL) {
        memset(b->mapped, 0, (size_t)(rounded(b->bytes, VK_ALIGNMENT) + TAIL));
        return GRAFT_OK;
    }
    int32_t status = vk_slot_begin(d, &slot);
    if (status != GRAFT_OK) return status;
    d->vk.CmdFillBuffer(slot->commands, b->handle, 0, VK_WHOLE_SIZE, 0);
    return vk_slot_submit(d, slot, NULL, 0);
}

int32_t vk_buffer_create(struct graft_device *device, uint64_t bytes, struct graft_buffer **out)
{
    struct graft_buffer *b;
    int32_t status = make(device, bytes, PLACE_DEVICE, &b);
    if (status != GRAFT_OK) return status;
    status = clear(b);
    if (status != GRAFT_OK) {
        vk_buffer_destroy(b);
        return status;
    }
    *out = b;
    return GRAFT_OK;
}

void vk_buffer_destroy(struct graft_buffer *buffer)
{
    if (buffer == NULL) return;
    struct graft_device *d = buffer->device;
    if (d->submitted > 0 && !d->lost) (void)vk_wait(d, d->submitted);
    d->vk.DestroyBuffer(d->handle, buffer->handle, NULL);
    d->vk.FreeMemory(d->handle, buffer->memory, NULL);
    d->host->release(d->host->context, buffer);
}

static bool inside(const struct graft_buffer *b, uint64_t offset, uint64_t bytes)
{
    return offset <= b->bytes && bytes <= b->bytes - offset;
}

static int32_t outside(const struct graft_buffer *b, const char *what, uint64_t offset,
                       uint64_t bytes)
{
    return vk_fail(
        b->device->host, GRAFT_E_INVALID, "%s of %llu bytes at %llu: the buffer has %llu bytes",
        what, (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)b->bytes);
}

/* Copies between a buffer and the staging part of a slot; waits if the host is to read. */
static int32_t copy_chunk(struct graft_buffer *b, uint64_t offset, const void *from, void *to,
                          uint64_t bytes)
{
    struct graft_device *d = b->device;
    struct vk_slot *slot;
    int32_t status = vk_slot_begin(d, &slot);
    if (status != GRAFT_OK) return status;
    uint64_t at = vk_slot_staging(d, slot);
    if (from != NULL) memcpy(d->staging->mapped + at, from, (size_t)bytes);
    VkBufferCopy copy = {from != NULL ? at : offset, from != NULL ? offset : at, bytes};
    d->vk.CmdCopyBuffer(slot->commands, from != NULL ? d->staging->handle : b->handle,
                        from != NULL ? b->handle : d->staging->handle, 1, &copy);
    status = vk_slot_submit(d, slot, NULL, 0);
    if (status != GRAFT_OK || to == NULL) return status;
    status = vk_wait(d, slot->value);
    if (status == GRAFT_OK) memcpy(to, d->staging->mapped + at, (size_t)bytes);
    return status;
}

static int32_t copy(struct graft_buffer *b, uint64_t offset, const uint8_t *from, uint8_t *to,
                    uint64_t bytes)
{
    int32_t status = GRAFT_OK;
    for (uint64_t at = 0; at < bytes && status == GRAFT_OK; at += VK_STAGING) {
        uint64_t part = bytes - at < VK_STAGING ? bytes - at : VK_STAGING;
        status = copy_chunk(b, offset + at, from != NULL ? from + at : NULL,
                            to != NULL ? to + at : NULL, part);
    }
    return status;
}

static bool idle(const struct graft_device *d)
{
    uint64_t value = 0;
    return d->vk.GetSemaphoreCounterValue(d->handle, d->timeline, &value) == VK_SUCCESS &&
           value >= d->submitted;
}

int32_t vk_buffer_write(struct graft_buffer *buffer, uint64_t offset, const void *from,
                        uint64_t bytes)
{
    struct graft_device *d = buffer->device;
    if (!inside(buffer, offset, bytes)) return outside(buffer, "a write", offset, bytes);
    if (buffer->imported)
        return vk_fail(d->host, GRAFT_E_INVALID,
                       "a write into an imported buffer, which is read-only");
    if (bytes == 0) return GRAFT_OK;
    /* A small write must not wait for the step before it: it takes its place in the queue. */
    if (buffer->mapped == NULL || (bytes <= VK_STAGING && !idle(d)))
        return copy(buffer, offset, from, NULL, bytes);
    int32_t status = vk_wait(d, d->submitted);
    if (status == GRAFT_OK) memcpy(buffer->mapped + offset, from, (size_t)bytes);
    return status;
}

int32_t vk_buffer_read(struct graft_buffer *buffer, uint64_t offset, void *to, uint64_t bytes)
{
    struct graft_device *d = buffer->device;
    if (!inside(buffer, offset, bytes)) return outside(buffer, "a read", offset, bytes);
    if (bytes == 0) return GRAFT_OK;
    if (buffer->mapped == NULL) return copy(buffer, buffer->before + offset, NULL, to, bytes);
    int32_t status = vk_wait(d, d->submitted);
    if (status == GRAFT_OK) memcpy(to, buffer->mapped + offset, (size_t)bytes);
    return status;
}

/* Of a page that the driver takes. */
static bool importable(struct graft_device *d, uintptr_t at, uint32_t *bits)
{
    const VkExternalMemoryHandleTypeFlagBits kind =
        VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
    VkMemoryHostPointerPropertiesEXT properties = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    if (d->vk.host_pointer_properties == NULL ||
        d->vk.host_pointer_properties(d->handle, kind, (void *)at, &properties) != VK_SUCCESS)
        return false;
    *bits = properties.memoryTypeBits;
    return *bits != 0;
}

static VkResult import(struct graft_buffer *b, uintptr_t page, uint64_t bytes, uint32_t bits)
{
    struct graft_device *d = b->device;
    VkMemoryRequirements need;
    uint32_t type;
    VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT};
    VkImportMemoryHostPointerInfoEXT pointer = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
        .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
        .pHostPointer = (void *)page};
    VkResult result = make_handle(b, bytes, &external);
    if (result != VK_SUCCESS) return result;
    d->vk.GetBufferMemoryRequirements(d->handle, b->handle, &need);
    if (need.size > bytes || !find_type(d, need.memoryTypeBits & bits, 0, &type))
        return VK_ERROR_INVALID_EXTERNAL_HANDLE;
    return bind(b, bytes, type, &pointer);
}

/* Only where memory is shared: a card would read it over the bus at each use. Drivers take whole
 * pages, so the buffer begins before `memory`; what cannot be imported is copied by the host. */
int32_t vk_buffer_import(struct graft_device *device, const void *memory, uint64_t bytes,
                         struct graft_buffer **out)
{
    const struct graft_host *host = device->host;
    uint64_t align = device->probe.import_alignment;
    uintptr_t at = (uintptr_t)memory, page = align > 0 ? at - at % align : at;
    uint64_t before = at - page;
    uint32_t bits = 0;
    if (!device->probe.unified || align == 0 || at % IMPORT_ALIGNMENT != 0 ||
        !importable(device, page, &bits))
        return vk_fail(host, GRAFT_E_UNSUPPORTED, "memory at %p cannot be imported", memory);
    struct graft_buffer *b = host->alloc(host->context, sizeof *b);
    if (b == NULL) return vk_fail(host, GRAFT_E_MEMORY, "no memory for a buffer's record");
    *b = (struct graft_buffer){.device = device, .bytes = bytes, .imported = true};
    VkResult result = import(b, page, rounded(before + bytes, align), bits);
    if (result != VK_SUCCESS) {
        vk_buffer_destroy(b);
        return vk_fail(host, GRAFT_E_UNSUPPORTED, "memory at %p cannot be imported: %s", memory,
                       vk_result_text(result));
    }
    b->address += before;
    b->before = before;
    *out = b;
    return GRAFT_OK;
}
