#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh GRAFT: adapters between graft and PEFT, both ways. Skipped (77) where the Python named by
# GRAFT_PYTHON (python3) lacks torch, transformers or peft. GRAFT_SMOLLM2=FILE.gguf adds the
# comparison of twenty steps on the real model.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
python=${GRAFT_PYTHON:-python3}
if ! "$python" -c 'import gguf, peft, safetensors, torch, transformers' 2>/dev/null; then
    echo "skipped: $python has not all of gguf, peft, safetensors, torch, transformers;" \
         "GRAFT_PYTHON names another"
    exit 77
fi
exec "$python" "$here/peft_loads.py" --graft "$1" ${GRAFT_SMOLLM2:+--smollm2 "$GRAFT_SMOLLM2"}
