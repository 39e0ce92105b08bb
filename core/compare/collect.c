#include "compare/parts.h"
enum graft_status compare_report(struct comparison *c, struct compare_outcome *outcome,
                                 struct error *e)
{
    (void)e;
    (void)c;
    str_puts(&outcome->table, "x\n");
    return GRAFT_OK;
}
