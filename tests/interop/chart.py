"""Reads the manifests of a rendered chart from standard input, validates them against Kubernetes' schemas, prints them as JSON."""

import json
import sys

import kubernetes_validate
import yaml

manifests = [manifest for manifest in yaml.safe_load_all(sys.stdin) if manifest]
for manifest in manifests:
    # The schemas contain no resources of operators.
    if manifest["apiVersion"].startswith("monitoring.coreos.com/"):
        continue
    for version in sys.argv[1:]:
        kubernetes_validate.validate(manifest, version, strict=True)
json.dump(manifests, sys.stdout)
