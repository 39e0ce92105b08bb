#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_rows.py: writes train.jsonl, valid.jsonl and test.jsonl beside itself: what ten animals say, asked in
twelve ways. Made up for this repository (Apache-2.0), for the comparison that runs in seconds."""
import hashlib
import json
from pathlib import Path

SAYS = {"cat": "meow", "dog": "woof", "cow": "moo", "duck": "quack", "pig": "oink", "sheep": "baa", "lion": "roar",
        "bee": "buzz", "owl": "hoot", "frog": "croak"}
ASKS = ["What does the {} say?", "Tell me what the {} says.", "How does a {} sound?", "The {} says what?",
        "Which sound has the {}?", "Say it as the {}.", "What is the word of the {}?", "I hear a {}. What is it?",
        "Do as the {} does.", "The {} opens its mouth. What comes?", "Be a {}.", "Noise of the {}?"]

rows = [{"prompt": ask.format(animal), "completion": word} for ask in ASKS for animal, word in SAYS.items()]
rows.sort(key=lambda row: hashlib.sha256(row["prompt"].encode()).digest())
for name, begin, end in (("train", 0, 80), ("valid", 80, 100), ("test", 100, 120)):
    lines = [json.dumps(row) + "\n" for row in rows[begin:end]]
    (Path(__file__).parent / f"{name}.jsonl").write_text("".join(lines))
