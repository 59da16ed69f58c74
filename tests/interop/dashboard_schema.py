"""Compares a dashboard with Grafana's types: prints the path of each key that they do not have."""

import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def unknown(read, typed, path="dashboard"):
    """Paths of values that are lost or changed by a conversion to the types and back."""
    if isinstance(read, dict) and isinstance(typed, dict):
        for key, value in read.items():
            if key in typed:
                yield from unknown(value, typed[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(read, list) and isinstance(typed, list) and len(read) == len(typed):
        for index, (left, right) in enumerate(zip(read, typed)):
            yield from unknown(left, right, f"{path}[{index}]")
    elif read != typed:
        yield path


plugins.register_default_plugins()
dashboard = json.load(sys.stdin)
encoded = JSONEncoder().encode(Dashboard.from_json(dashboard))
print("\n".join(unknown(dashboard, json.loads(encoded))))
