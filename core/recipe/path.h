/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the recipe room: paths that stay right when the file that names them moves folder.
 */
#ifndef CORE_RECIPE_PATH_H
#define CORE_RECIPE_PATH_H

#include "base/error.h"

/* `path` (relative to the working directory) as it is written in a file in the existing folder
 * `folder`. Links are followed but for the last part: its name may carry meaning. mem_free. */
GRAFT_MUST_USE enum graft_status path_relative(const char *folder, const char *path, char **out,
                                               struct error *e);

#endif
