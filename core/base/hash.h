/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 (libmd), of bytes and of files.
 */
#ifndef CORE_BASE_HASH_H
#define CORE_BASE_HASH_H

#include "base/error.h"

#include <sha2.h>

enum { HASH_SIZE = 32, HASH_HEX_SIZE = 65 };

struct hash {
    SHA2_CTX context;
};

void hash_begin(struct hash *h);
void hash_add(struct hash *h, const void *bytes, size_t length);
void hash_end(struct hash *h, unsigned char digest[HASH_SIZE]);
void hash_end_hex(struct hash *h, char hex[HASH_HEX_SIZE]);
void hash_bytes_hex(const void *bytes, size_t length, char hex[HASH_HEX_SIZE]);
GRAFT_MUST_USE enum graft_status hash_file_hex(const char *path, char hex[HASH_HEX_SIZE],
                                               struct error *e);

#endif
