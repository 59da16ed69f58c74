"""compose.yaml as Compose reads it, with every reference resolved, as JSON; fails where it is not as the Compose Specification says."""

import json
import sys

import compose_spec
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    composed = yaml.safe_load(file)
compose_spec.PyCompose.from_json(json.dumps(composed))
json.dump(composed, sys.stdout)
