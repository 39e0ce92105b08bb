/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 over libmd.
 */
#include "base/hash.h"

#include <stdio.h>

void hash_begin(struct hash *h)
{
    SHA256Init(&h->context);
}

void hash_add(struct hash *h, const void *bytes, size_t length)
{
    SHA256Update(&h->context, bytes, length);
}

void hash_end(struct hash *h, unsigned char digest[HASH_SIZE])
{
    SHA256Final(digest, &h->context);
}

void hash_end_hex(struct hash *h, char hex[HASH_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[HASH_SIZE];
    hash_end(h, digest);
    for (size_t i = 0; i < HASH_SIZE; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * HASH_SIZE] = '\0';
}

void hash_bytes_hex(const void *bytes, size_t length, char hex[HASH_HEX_SIZE])
{
    struct hash h;
    hash_begin(&h);
    hash_add(&h, bytes, length);
    hash_end_hex(&h, hex);
}

enum graft_status hash_file_hex(const char *path, char hex[HASH_HEX_SIZE], struct error *e)
{
    static const size_t chunk = 1 << 16;
    unsigned char buffer[1 << 16];
    struct hash h;
    FILE *file = fopen(path, "rb");
    if (file == NULL) return error_errno(e, "cannot open", path);
    hash_begin(&h);
    for (;;) {
        size_t n = fread(buffer, 1, chunk, file);
        hash_add(&h, buffer, n);
        if (n < chunk) break;
    }
    enum graft_status status = GRAFT_OK;
    if (ferror(file))
        status = error_errno(e, "cannot read", path);
    else
        hash_end_hex(&h, hex);
    fclose(file);
    return status;
}
