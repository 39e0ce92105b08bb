/* SPDX-License-Identifier: Apache-2.0
 *
 * The file as a library: which symbols it gives and wants (read from the ELF file, nothing is
 * loaded), and whether its table makes sense beyond what the loader insists on.
 */
#include "check/plugin_parts.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

struct elf {
    unsigned char *bytes;
    size_t size;
};

static const void *at(const struct elf *f, uint64_t offset, uint64_t length)
{
    return offset <= f->size && length <= f->size - offset ? f->bytes + offset : NULL;
}

/* Counts the symbols it exports but graft_plugin; names the first of each kind of fault. */
static void read_symbols(const struct elf *f, const Elf64_Shdr *table, const Elf64_Shdr *names,
                         struct finding *out)
{
    const char *text = at(f, names->sh_offset, names->sh_size);
    const Elf64_Sym *symbols = at(f, table->sh_offset, table->sh_size);
    bool found = false;
    if (text == NULL || symbols == NULL || names->sh_size == 0 ||
        text[names->sh_size - 1] != '\0') {
        finding_set(out, VERDICT_SKIP, "its symbols cannot be read");
        return;
    }
    for (size_t i = 0; i < table->sh_size / sizeof *symbols; i++) {
        const Elf64_Sym *s = &symbols[i];
        if (s->st_name >= names->sh_size) continue;
        const char *name = text + s->st_name;
        unsigned bind = ELF64_ST_BIND(s->st_info), see = ELF64_ST_VISIBILITY(s->st_other);
        if (s->st_shndx == SHN_UNDEF) {
            if (strncmp(name, "graft_", 6) != 0) continue;
            finding_set(out, VERDICT_FAIL,
                        "it wants the symbol %s: a plugin reaches the host through tables only",
                        name);
            return;
        }
        if (bind == STB_LOCAL || see != STV_DEFAULT || name[0] == '\0' ||
            strcmp(name, "_init") == 0 || strcmp(name, "_fini") == 0)
            continue;
        if (strcmp(name, "graft_plugin") == 0) {
            found = true;
            continue;
        }
        finding_set(out, VERDICT_WARN,
                    "it exports %s beside graft_plugin: compile with -fvisibility=hidden or make "
                    "it static",
                    name);
    }
    if (!found) finding_set(out, VERDICT_FAIL, "it exports no graft_plugin");
}

static void read_sections(const struct elf *f, struct finding *out)
{
    const Elf64_Ehdr *head = at(f, 0, sizeof *head);
    if (head == NULL || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_ident[EI_CLASS] != ELFCLASS64) {
        finding_set(out, VERDICT_FAIL, "it is no 64-bit ELF library");
        return;
    }
    const Elf64_Shdr *sections = at(f, head->e_shoff, (uint64_t)head->e_shnum * sizeof *sections);
    for (size_t i = 0; sections != NULL && i < head->e_shnum; i++)
        if (sections[i].sh_type == SHT_DYNSYM && sections[i].sh_link < head->e_shnum) {
            read_symbols(f, &sections[i], &sections[sections[i].sh_link], out);
            return;
        }
    finding_set(out, VERDICT_SKIP, "it has no table of symbols to read");
}

void library_symbols(const char *path, struct finding *f)
{
    struct elf elf = {NULL, 0};
    FILE *file = fopen(path, "rb");
    long size = file != NULL && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size > 0 && fseek(file, 0, SEEK_SET) == 0 && (elf.bytes = mem_alloc((size_t)size)) != NULL)
        elf.size = fread(elf.bytes, 1, (size_t)size, file);
    if (file != NULL) fclose(file);
    if (elf.size == 0)
        finding_set(f, VERDICT_FAIL, "it cannot be read");
    else
        read_sections(&elf, f);
    if (f->text[0] == '\0') finding_set(f, VERDICT_OK, "it exports graft_plugin and nothing else");
    mem_free(elf.bytes);
}

void library_table(const struct plugin *plugin, struct finding *f)
{
    for (size_t i = 0; i < plugin->option_count; i++) {
        const struct graft_option *o = &plugin->options[i];
        if (strlen(o->help) < 4) {
            finding_set(f, VERDICT_WARN, "option %s has no line of help", o->key);
            return;
        }
        if ((o->type == GRAFT_OPTION_INT || o->type == GRAFT_OPTION_FLOAT) && o->min >= o->max &&
            o->min <= 0 && o->max >= 0) {
            finding_set(f, VERDICT_WARN, "option %s has no bounds: set min and max", o->key);
            return;
        }
    }
    finding_set(f, VERDICT_OK, "%s %s, %zu options", plugin->name, plugin->version,
                plugin->option_count);
}

/* ---- values of options worth trying ---- */

enum { LARGE = 64 };

bool option_trial(const struct graft_option *o, size_t i, struct option_input *in, char text[64])
{
    bool bounded = o->min < 0 || o->max > 0;
    *in = (struct option_input){.key = o->key, .place = "test"};
    switch (o->type) {
    case GRAFT_OPTION_BOOL:
        in->type = OPTION_INPUT_BOOL;
        in->b = i == 1;
        snprintf(text, 64, "%s", in->b ? "true" : "false");
        return i < 2;
    case GRAFT_OPTION_INT:
        in->type = OPTION_INPUT_INT;
        in->i = (int64_t)(i == 0 ? o->min : o->max > LARGE ? LARGE : o->max);
        snprintf(text, 64, "%lld", (long long)in->i);
        return bounded && i < 2;
    case GRAFT_OPTION_FLOAT:
        in->type = OPTION_INPUT_FLOAT;
        in->f = i == 0 ? o->min : o->max > LARGE ? LARGE : o->max;
        format_f64(in->f, text);
        return bounded && i < 2;
    case GRAFT_OPTION_CHOICE:
        for (size_t k = 0; k <= i; k++)
            if (o->choices[k] == NULL) return false;
        in->type = OPTION_INPUT_STRING;
        in->s = o->choices[i];
        snprintf(text, 64, "%s", in->s);
        return true;
    default: return false;
    }
}

/* ---- memory ---- */

void disturb(int pattern)
{
    volatile unsigned char waste[65536];
    for (size_t i = 0; i < sizeof waste; i++) waste[i] = (unsigned char)pattern;
#if defined(__GLIBC__)
    mallopt(M_PERTURB, pattern);
#endif
}

int64_t heap_in_use(void)
{
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    size_t used = mallinfo2().uordblks; /* 0: another allocator is in charge */
    return used != 0 ? (int64_t)used : -1;
#else
    return -1;
#endif
}
