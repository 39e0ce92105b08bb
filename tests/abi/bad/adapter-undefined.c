/* SPDX-License-Identifier: Apache-2.0
 *
 * Needs a symbol that no library has.
 */
int graft_no_such_symbol(void);
int use(void);

__attribute__((visibility("default"))) int use(void)
{
    return graft_no_such_symbol();
}
