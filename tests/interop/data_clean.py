# SPDX-License-Identifier: Apache-2.0
#
# data_clean.py GRAFT [FOLDER]: `graft data clean` against a raw export whose truth is known. FOLDER
# (or GRAFT_DIRTY_EXPORT; skipped, 77, without either) holds raw_*.{jsonl,csv}, truth.tsv (file, record, id, encoding, action, reason) and expected.jsonl
# (the records that should remain, texts with every run of blanks as one). Every record must be
# kept, repaired or dropped for the reason that the truth gives.
import json
import os
import re
import subprocess
import sys
import tempfile

graft, folder = (sys.argv[1:] + [os.environ.get("GRAFT_DIRTY_EXPORT")])[:2]
if not folder:
    print("skipped: GRAFT_DIRTY_EXPORT names no folder of a raw export and its truth")
    sys.exit(77)
FIELDS = ("instruction", "input", "output")
failed = 0


def complain(*what):
    global failed
    failed += 1
    if failed <= 20:
        print("FAILED:", *what)


def lines(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return [line for line in f.read().split("\n") if line]


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def clean(name, out, *options):
    output, dropped = os.path.join(out, name + ".clean.jsonl"), os.path.join(out, name + ".list.jsonl")
    run = subprocess.run([graft, "data", "clean", os.path.join(folder, name), "--output", output, "--dropped", dropped,
                          "--overwrite", "--json", *options], capture_output=True, text=True, encoding="utf-8")
    if run.returncode != 0:
        complain(name, "status", run.returncode, run.stderr)
        return [], [], {}
    return ([json.loads(line) for line in lines(output)], [json.loads(line) for line in lines(dropped)],
            json.loads(run.stdout))


def as_expected(name, row):
    return {"file": name, "id": row["id"], **{f: squeeze(row.get(f) or "") for f in FIELDS}}


truth = {}
for line in lines(os.path.join(folder, "truth.tsv"))[1:]:
    file, record, _, _, action, reason = line.split("\t")
    truth.setdefault(file, {})[int(record)] = (action, reason)
expected = [json.loads(line) for line in lines(os.path.join(folder, "expected.jsonl"))]

right = total = 0
with tempfile.TemporaryDirectory() as out:
    rows = []
    for name, records in truth.items():
        kept, listed, said = clean(name, out, "--near-duplicates")
        rows += [as_expected(name, row) for row in kept]
        key = "line" if name.endswith(".jsonl") else "record"
        found = {entry[key]: (entry["action"], "+".join(entry["reasons"])) for entry in listed}
        records = {number: what for number, what in records.items() if what[0] != "skip"}
        for number, (action, reason) in records.items():
            wanted = (action, reason) if action != "keep" else None
            total += 1
            if found.pop(number, None) == wanted:
                right += 1
            else:
                complain(name, number, "should be", action, reason)
        if found:
            complain(name, "lists what the truth does not know:", found)
        if said.get("records") != len(records) or said.get("kept") != len(kept):
            complain(name, "says", said)
    for got, wanted in zip(rows, expected):
        if got != wanted:
            complain("a kept record differs:", got, wanted)
    if len(rows) != len(expected):
        complain(len(rows), "records are kept,", len(expected), "are expected")

    near = 0  # without the option they stay, and that is said
    for name, records in truth.items():
        kept, listed, said = clean(name, out)
        wanted = sum(reason == "near_duplicate" for _, reason in records.values())
        near += said.get("near_duplicates_kept", 0)
        if said.get("near_duplicates_kept") != wanted or any("near_duplicate" in entry["reasons"] for entry in listed):
            complain(name, "near duplicates:", said, wanted)

print(f"{right} of {total} records as the truth says, {len(rows)} kept; {near} near duplicates kept without the option")
sys.exit(failed != 0)
