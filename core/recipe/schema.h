/* SPDX-License-Identifier: Apache-2.0
 *
 * The core's own keys as one table: reading, checking, explaining and the JSON Schema come from
 * it. A plugin's keys are in the plugin's table.
 */
#ifndef CORE_RECIPE_SCHEMA_H
#define CORE_RECIPE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The type of a key, and of the member that receives it. */
enum schema_type {
    SCHEMA_MAP,      /* no member; its keys have their own rows */
    SCHEMA_BOOL,     /* int32_t */
    SCHEMA_INT,      /* int64_t */
    SCHEMA_AUTO_INT, /* int64_t, or "auto": SETTINGS_AUTO */
    SCHEMA_FLOAT,    /* double */
    SCHEMA_CHOICE,   /* int32_t, index into choices; true and false match the words */
    SCHEMA_CHOICES,  /* int32_t, a list as bits */
    SCHEMA_TEXT,     /* const char * */
    SCHEMA_FILE,     /* const char *, a file that can be read */
    SCHEMA_FILES,    /* struct names, a file or a list */
    SCHEMA_ENTRY,    /* const char *, a file or a folder that can be read */
    SCHEMA_OUTPUT,   /* const char *, a path that need not be there */
    SCHEMA_METHOD,   /* const char *, a plugin's name or file */
    SCHEMA_NAMES,    /* struct names, a text or a list */
    SCHEMA_TARGETS,  /* struct targets, a text (regular expression) or a list of names */
    SCHEMA_NUMBERS,  /* struct numbers, an integer or a list */
    SCHEMA_RATES,    /* struct rates, a number or a list */
    SCHEMA_GROUPS,   /* no member; a list of mappings, schema_group below each */
    SCHEMA_METHODS   /* no member; a list of mappings, schema_method below each */
};

struct schema_key {
    const char *path; /* "train.batch_size"; a map stands before its keys */
    enum schema_type type;
    size_t offset;              /* of the member in the owner's struct */
    const char *fallback;       /* as a recipe would write it; NULL: nothing */
    bool required;              /* must be given when its mapping is there */
    double min, max;            /* INT, AUTO_INT, FLOAT and NUMBERS */
    const char *const *choices; /* CHOICE and CHOICES; ends with NULL */
    const char *help;
};

struct schema {
    const struct schema_key *keys;
    size_t count;
};

extern const struct schema schema_core;    /* of struct settings */
extern const struct schema schema_adapter; /* of struct settings_adapter, below "adapter" */
extern const struct schema schema_group; /* of struct settings_group, an item of optimizer.groups */
extern const struct schema schema_compare; /* of struct settings_compare, below "compare" */
extern const struct schema
    schema_method; /* of struct settings_method, an item of compare.methods */

/* The row of a path of `length` bytes, or NULL. */
const struct schema_key *schema_find(const struct schema *schema, const char *path, size_t length);
/* True when `key` is directly below `prefix` ("": at the top); *name is its last part. */
bool schema_below(const struct schema_key *key, const char *prefix, const char **name);

/* What is allowed: "an integer from 1 to 64", "one of a, b"; `out` has 256 bytes. */
char *schema_allowed(const struct schema_key *key, char *out);

#endif
