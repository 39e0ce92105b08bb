/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder for what only saves time: $XDG_CACHE_HOME/graft, else ~/.cache/graft.
 */
#ifndef CORE_FILE_CACHE_H
#define CORE_FILE_CACHE_H

/* Absolute, there after the call, released with mem_free; NULL: there is none, and nobody needs
 * one. */
char *cache_folder(void);

#endif
