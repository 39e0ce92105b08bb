# SPDX-License-Identifier: Apache-2.0
"""Small things that the generators share: folders, JSON in one form, the list of versions."""

import hashlib
import importlib.metadata
import json
import platform
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
REPO = HERE.parent.parent

PACKAGES = ["torch", "transformers", "peft", "tokenizers", "safetensors", "gguf", "sentencepiece",
            "numpy", "jinja2", "trl"]


def write_versions():
    """Write data/VERSIONS.txt: one `package version` a line, absent packages as `-`."""
    DATA.mkdir(parents=True, exist_ok=True)
    lines = [f"python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            lines.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{name} -")
    (DATA / "VERSIONS.txt").write_text("\n".join(lines) + "\n")


def write_json(path, value, indent=1):
    """UTF-8, LF, keys in the order given; the form every .json here has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8",
                    newline="\n")


def write_json_lines(path, items):
    """A JSON array with one element a line: small, and readable in a diff."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(json.dumps(i, ensure_ascii=False, separators=(",", ":")) for i in items)
    path.write_text("[\n" + rows + "\n]\n", encoding="utf-8", newline="\n")


def int32_bytes(values):
    """The values as little-endian int32, the form that the hashes are taken over."""
    return struct.pack(f"<{len(values)}i", *values)


def sha256(data):
    return hashlib.sha256(data).hexdigest()
