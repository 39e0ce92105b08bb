# SPDX-License-Identifier: Apache-2.0
#
# make_dirty_part.py FOLDER OUT: a small part of a raw export whose truth is known, for
# test_clean.c. FOLDER holds raw_*.{jsonl,csv}, truth.tsv and expected.jsonl (tests/interop/data_clean.py
# says what they are); of each file the first records of every reason are taken, and the records that
# duplicates repeat, in their order.
import csv
import io
import json
import os
import re
import sys

folder, out = sys.argv[1:3]
FIELDS = ("instruction", "input", "output")
EACH = {"raw_mixed.jsonl": 3}  # records of each reason; 2 of the others


def decode(b):
    for encoding in ("utf-8", "gbk"):
        try:
            return b.decode(encoding)
        except UnicodeDecodeError:
            pass
    return b.decode("latin-1")


def loose(row):
    text = [re.sub(r"<[^>]*>", " ", row.get(f) or "") for f in FIELDS]
    return tuple(re.sub(r"\W+", "", t).lower() for t in text)


def parts(name):
    """The head and the records of a file, as bytes."""
    raw = open(os.path.join(folder, name), "rb").read()
    if name.endswith(".jsonl"):
        return b"", raw.split(b"\n")[:-1]
    lines, records, quoted = raw.split(b"\r\n")[:-1], [], False
    for line in lines:
        if quoted:
            records[-1] += b"\r\n" + line
        else:
            records.append(line)
        quoted ^= line.count(b'"') % 2 == 1
    return records[0], records[1:]


def row_of(name, record):
    text = decode(record)
    if name.endswith(".csv"):
        fields = next(csv.reader(io.StringIO(text, newline="")))
        return dict(zip(("id",) + FIELDS, fields)) if len(fields) == 4 else {}
    try:
        row = json.loads(text)
    except ValueError:
        return {}
    return row if isinstance(row, dict) and all(isinstance(row.get(f) or "", str) for f in FIELDS) else {}


truth = {}
lines = open(os.path.join(folder, "truth.tsv"), encoding="utf-8").read().split("\n")
for line in lines[1:-1]:
    entry = line.split("\t")
    truth.setdefault(entry[0], []).append(entry)
kept_ids, new_truth = set(), [lines[0]]
os.makedirs(out, exist_ok=True)
for name, entries in truth.items():
    head, records = parts(name)
    assert len(records) == len(entries), (name, len(records), len(entries))
    keys = [loose(row_of(name, record)) for record in records]
    wanted, seen = set(), {}
    for i, entry in enumerate(entries):
        reason = entry[5]
        seen[reason] = seen.get(reason, 0) + 1
        long = reason == "too_long"
        if seen[reason] <= (1 if long else EACH.get(name, 2)):
            wanted.add(i)
            if "duplicate" in reason:
                wanted.add(keys.index(keys[i]))
    end = b"\n" if name.endswith(".jsonl") else b"\r\n"
    with open(os.path.join(out, name), "wb") as f:
        f.write(head + end if head else b"")
        for number, i in enumerate(sorted(wanted), 1):
            f.write(records[i] + end)
            new_truth.append("\t".join([name, str(number)] + entries[i][2:]))
            kept_ids.add((name, entries[i][2]))
with open(os.path.join(out, "truth.tsv"), "w", encoding="utf-8", newline="\n") as f:
    f.write("\n".join(new_truth) + "\n")
with open(os.path.join(out, "expected.jsonl"), "w", encoding="utf-8", newline="\n") as f:
    for line in open(os.path.join(folder, "expected.jsonl"), encoding="utf-8"):
        row = json.loads(line)
        if (row["file"], row["id"]) in kept_ids:
            f.write(line)
