/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the check room: what the checks of plugins share. A subject is an adapter on a made-up
 * Llama of two layers, with its training and evaluation programs, on the reference or a backend.
 */
#ifndef CORE_CHECK_PLUGIN_PARTS_H
#define CORE_CHECK_PLUGIN_PARTS_H

#include "check/plugin.h"
#include "session/loss.h"
#include "train/update.h"

enum machine { MACHINE_DOUBLE, MACHINE_FLOAT, MACHINE_NAMED };

struct subject_request {
    const struct plugin *plugin; /* NULL: the bare model */
    const struct option_input *inputs;
    size_t count;
    enum machine machine;
    const char *backend; /* MACHINE_NAMED */
    bool from_files;
    bool updates; /* with an update program */
    uint64_t seed;
};

struct subject {
    const struct plugin *plugin;
    struct settings_adapter adapter;
    struct session session;
    struct batch_slot slot;
    struct micro_batch batch;
    struct loss_program training, evaluation;
    struct update_program update; /* of plain_descent, if asked for */
    struct backend backend;       /* of the reference */
    struct error said;
    struct graft_host host;
    bool wide;
};

/* A host of one thread that says nothing; `said` is where the backend's error texts go. */
void host_quiet(struct graft_host *host, struct error *said);

/* Zero-initialized; subject_close also after a failure. */
GRAFT_MUST_USE enum graft_status subject_open(struct subject *s, const struct subject_request *r,
                                              struct error *e);
void subject_close(struct subject *s);

/* The loss in the machine's own precision; training adds gradients. */
GRAFT_MUST_USE enum graft_status subject_loss(struct subject *s, bool training, double *loss,
                                              struct error *e);
/* A stored entry's f32 numbers, in the machine's own precision. */
GRAFT_MUST_USE enum graft_status subject_read(const struct subject *s, const struct stored *p,
                                              double *to, struct error *e);
GRAFT_MUST_USE enum graft_status subject_write(const struct subject *s, const struct stored *p,
                                               const double *from, struct error *e);
/* One step down each gradient, by `length` per tensor; `moved[i]` is set where parameter i had a
 * gradient (may be NULL). */
GRAFT_MUST_USE enum graft_status subject_step(struct subject *s, double length, bool *moved,
                                              struct error *e);
size_t subject_parameters(const struct subject *s);

/* Opened and moved three steps from the beginning, where half of many methods is zero. */
GRAFT_MUST_USE enum graft_status
subject_open_moved(struct subject *s, const struct subject_request *r, struct error *e);

/* An option at its i-th value worth trying: its bounds, choices, true and false. False past the
 * last. `text` holds what the value is called. */
bool option_trial(const struct graft_option *o, size_t i, struct option_input *in, char text[64]);

/* Fills unused stack with a pattern, and the heap's free blocks where the system can. */
void disturb(int pattern);
/* Bytes that malloc has given and not got back; -1 where the system does not tell. */
int64_t heap_in_use(void);

/* A folder of its own under the system's; the caller frees the name, after folder_clear. */
char *folder_make_temporary(struct error *e);
void folder_clear(const char *path);

/* plugin_resume.c: an optimizer without options or states. */
extern const struct plugin plain_descent;
/* Everything that a checkpoint keeps, from one to the other. */
GRAFT_MUST_USE enum graft_status checkpoint_copy(const struct session *from,
                                                 const struct session *to, struct error *e);

/* plugin_library.c, plugin_adapter.c, plugin_resume.c, plugin_files.c, plugin_optimizer.c,
 * plugin_backend.c */
void library_symbols(const char *path, struct finding *f);
void library_table(const struct plugin *plugin, struct finding *f);
void adapter_builds(const struct plugin *plugin, struct finding *f);
void adapter_options(const struct plugin *plugin, struct finding *f);
void adapter_gradient(const struct plugin *plugin, struct finding *f);
void adapter_moves(const struct plugin *plugin, struct finding *f);
void adapter_same(const struct plugin *plugin, struct finding *f);
void adapter_start(const struct plugin *plugin, struct finding *f);
void adapter_files(const struct plugin *plugin, struct finding *f);
void adapter_resume(const struct plugin *plugin, struct finding *f);
void adapter_merge_claim(const struct plugin *plugin, struct finding *f);
void adapter_base(const struct plugin *plugin, struct finding *f);
void adapter_leak(const struct plugin *plugin, struct finding *f);
void adapter_memory(const struct plugin *plugin, struct finding *f);
void adapter_backends(const struct plugin *plugin, struct finding *f);
void optimizer_falls(const struct plugin *plugin, struct finding *f);
void optimizer_resume(const struct plugin *plugin, struct finding *f);
void optimizer_options(const struct plugin *plugin, struct finding *f);
void backend_ops(const struct plugin *plugin, struct finding *f);
void backend_gradients(const struct plugin *plugin, struct finding *f);

#endif
