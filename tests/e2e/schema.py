# SPDX-License-Identifier: Apache-2.0
"""schema.py GRAFT SOURCE: what `graft schema` prints is a JSON Schema, every shipped recipe is valid
by it, and recipes that graft refuses for their keys are not. 77 where jsonschema is not installed."""

import json
import subprocess
import sys
from pathlib import Path

try:
    import yaml
    from jsonschema import Draft202012Validator
except ImportError:
    print("skipped: needs the Python packages jsonschema and PyYAML")
    sys.exit(77)

BASE = {"model": "m.gguf", "data": {"train": "t.jsonl"}, "adapter": {"method": "lora"},
        "optimizer": {"method": "sgd", "lr": 0.1}}
GOOD = [
    {},
    {"adapter": [{"method": "lora", "r": 4}, {"method": "./adapter-mine.so", "anything": 1}]},
    {"adapter": {"method": "lora", "target_modules": ["q_proj"], "rank_pattern": {"q_proj": 4}}},
    {"train": {"early_stopping": None, "gradient_checkpointing": True, "timescale": "auto"}},
    {"optimizer": {"method": "sgd", "lr": 1, "groups": [{"match": "lora_B", "lr_scale": 16}]}},
    {"compare": {"methods": [{"name": "a", "lr": [0.1, 1]}, {"name": "b", "adapter": {"method": "ia3"}}]},
     "adapter": None, "optimizer": {"method": "sgd"}},
    {"backend": "cpu"}, {"model": {"path": "m.gguf", "quantize": "nf4"}},
]
BAD = [
    {"models": "m.gguf"}, {"model": None}, {"adapter": {"method": "lora", "rr": 4}},
    {"adapter": {"method": "lora", "r": 0}}, {"adapter": {"method": "nonesuch"}},
    {"adapter": []}, {"train": {"batch_size": 0}}, {"train": {"schedule": "linaer"}},
    {"optimizer": {"method": "sgd"}}, {"optimizer": {"method": "sgd", "lr": 1, "beta1": 0.9}},
    {"optimizer": {"method": "sgd", "lr": 1, "groups": [{"lr_scale": 16}]}},
    {"compare": {"methods": [{"nam": "a"}]}}, {"compare": {"seeds": [1]}},
    {"compare": {"methods": [{"name": "a", "adapter": {"method": "lora", "rr": 4}}]}},
    {"compare": {"methods": [{"name": "a", "data": {}}]}},
]


def main():
    graft, source = sys.argv[1], Path(sys.argv[2])
    schema = json.loads(subprocess.run([graft, "schema"], check=True, capture_output=True).stdout)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    failed = 0
    recipes = [p for p in sorted((source / "examples").rglob("*.yaml"))]
    for path in recipes:
        for fault in validator.iter_errors(yaml.safe_load(path.read_text())):
            print(f"FAIL {path}: {fault.json_path}: {fault.message[:200]}")
            failed = 1
    for change in GOOD + BAD:
        recipe = {k: v for k, v in {**BASE, **change}.items() if not (k == "adapter" and v is None)}
        valid = validator.is_valid(recipe)
        if valid != (change in GOOD):
            print(f"FAIL {change}: valid is {valid}")
            failed = 1
    print(f"{len(recipes)} recipes, {len(GOOD)} good and {len(BAD)} bad changes")
    return failed or not recipes


if __name__ == "__main__":
    sys.exit(main())
