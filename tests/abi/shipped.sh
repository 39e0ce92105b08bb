#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# shipped.sh GRAFT FOLDER: `graft plugin test` on every adapter and optimizer that is shipped; one
# with a `fail` or `crash` fails this.
graft=$1 folder=$2 failed=0
for file in "$folder"/adapter-*.so "$folder"/optimizer-*.so; do
    if found=$("$graft" plugin test "$file"); then
        echo "ok   ${file##*/}"
    else
        echo "FAIL ${file##*/}"
        echo "$found"
        failed=1
    fi
done
exit $failed
