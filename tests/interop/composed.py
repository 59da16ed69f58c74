"""Prints compose.yaml as JSON with every reference resolved. Fails if it violates the Compose Specification."""

import json
import sys

import compose_spec
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    composed = yaml.safe_load(file)
compose_spec.PyCompose.from_json(json.dumps(composed))
json.dump(composed, sys.stdout)
