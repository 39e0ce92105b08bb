#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh SCRIPT GRAFT: what graft writes, read by others, and the other way round. Skipped (77) where
# the Python named by GRAFT_PYTHON (python3) lacks torch, transformers or peft. GRAFT_SMOLLM2=FILE.gguf
# adds the comparison of twenty steps on the real model to peft_loads.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
python=${GRAFT_PYTHON:-python3}
if ! "$python" -c 'import gguf, peft, safetensors, torch, transformers' 2>/dev/null; then
    echo "skipped: $python has not all of gguf, peft, safetensors, torch, transformers;" \
         "GRAFT_PYTHON names another"
    exit 77
fi
case $1 in
peft_loads) set -- --graft "$2" ${GRAFT_SMOLLM2:+--smollm2 "$GRAFT_SMOLLM2"} && script=peft_loads ;;
methods_peft) script=$1 && set -- --graft "$2" ;;
*) script=$1 && set -- "$2" ;;
esac
exec "$python" "$here/$script.py" "$@"
