"""Programs of others that know a kind of file; each is asked if it is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from llmops_cli.deploy.lint.finding import Finding

TIMEOUT_S = 60
ELSEWHERE = re.compile(r"not executable|not found")
"""A unit's programs are on the machine that it is for."""
MOST_CHARS = 300


class Validator(NamedTuple):
    """`program`: by which it is found; `probe`: words with which that succeeds where it can do it.

    `files`: which it reads. `run`: its findings in a folder.
    """

    name: str
    program: str
    files: tuple[str, ...]
    run: Callable[[Path], Iterator[Finding]]
    probe: tuple[str, ...] = ()

    def is_there(self) -> bool:
        path = _path_of(self.program)
        if path is None or not self.probe:
            return path is not None
        run = subprocess.run(
            [path, *self.probe], capture_output=True, timeout=TIMEOUT_S, check=False
        )
        return run.returncode == 0


class Ran(NamedTuple):
    findings: list[Finding]
    ran: list[str]
    missing: list[str]


def run_validators(folder: Path) -> Ran:
    """Those that are here and have a file of their kind."""
    found = Ran([], [], [])
    for validator in VALIDATORS:
        if not any(_names(folder, pattern) for pattern in validator.files):
            continue
        if not validator.is_there():
            found.missing.append(validator.name)
            continue
        found.findings.extend(validator.run(folder))
        found.ran.append(validator.name)
    return found


def _path_of(program: str) -> str | None:
    """Also where users without rights do not look, and beside the Python that this runs in."""
    for place in (Path("/usr/sbin"), Path(sys.executable).parent):
        if os.access(place / program, os.X_OK):
            return shutil.which(program) or str(place / program)
    return shutil.which(program)


def _called(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_path_of(argv[0]) or argv[0], *argv[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def _failed(
    argv: list[str],
    folder: Path,
    *,
    file: str,
    rule: str,
    ignored: re.Pattern[str] | None = None,
) -> Iterator[Finding]:
    """`ignored`: lines that say nothing of the file."""
    try:
        run = _called(argv, folder)
    except subprocess.TimeoutExpired:
        yield Finding(file=file, rule=rule, message=f"no answer in {TIMEOUT_S} s")
        return
    if not run.returncode:
        return
    lines = (run.stderr or run.stdout).splitlines()
    told = [line for line in lines if ignored is None or not ignored.search(line)]
    words = " ".join(" ".join(told).split())
    if words or ignored is None:
        yield Finding(file=file, rule=rule, message=words[:MOST_CHARS])


def _names(folder: Path, pattern: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.glob(pattern))]


def _promtool(folder: Path) -> Iterator[Finding]:
    for name in _names(folder, "monitoring/prometheus.yml"):
        argv = ["promtool", "check", "config", "--syntax-only", name]
        yield from _failed(argv, folder, file=name, rule="promtool")
    for name in _names(folder, "monitoring/rules/*.yaml"):
        argv = ["promtool", "check", "rules", name]
        yield from _failed(argv, folder, file=name, rule="promtool")
    tests = _names(folder, "monitoring/rules/tests/*.yaml")
    if tests:
        argv = ["promtool", "test", "rules", *tests]
        yield from _failed(argv, folder, file="monitoring/rules", rule="promtool test")


def _amtool(folder: Path) -> Iterator[Finding]:
    for name in _names(folder, "monitoring/alertmanager.yml"):
        argv = ["amtool", "check-config", name]
        yield from _failed(argv, folder, file=name, rule="amtool")


def _nginx(folder: Path) -> Iterator[Finding]:
    for name in _names(folder, "nginx/nginx.conf"):
        path = str((folder / name).resolve())
        yield from _failed(["nginx", "-t", "-q", "-c", path], folder, file=name, rule="nginx")


def _kustomize(folder: Path) -> Iterator[Finding]:
    for name in _names(folder, "overlays/*/kustomization.yaml"):
        overlay = name.rpartition("/")[0]
        argv = ["kustomize", "build", overlay]
        if shutil.which("kustomize") is None:
            argv = ["kubectl", "kustomize", overlay]
        yield from _failed(argv, folder, file=name, rule="kustomize")


def _helm(folder: Path) -> Iterator[Finding]:
    for name in _names(folder, "chart/Chart.yaml"):
        yield from _failed(["helm", "lint", "chart"], folder, file=name, rule="helm")


def _kubeconform(folder: Path) -> Iterator[Finding]:
    for name in _names(folder, "manifests/*.yaml"):
        argv = ["kubeconform", "-strict", "-ignore-missing-schemas", name]
        yield from _failed(argv, folder, file=name, rule="kubeconform")


def _systemd(folder: Path) -> Iterator[Finding]:
    for name in _names(folder, "systemd/*.service"):
        argv = ["systemd-analyze", "verify", name]
        yield from _failed(argv, folder, file=name, rule="systemd-analyze", ignored=ELSEWHERE)


def _compose_schema(folder: Path) -> Iterator[Finding]:
    """The Compose Specification's own schema, which it brings along."""
    for name in _names(folder, COMPOSE):
        argv = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", name]
        yield from _failed(argv, folder, file=name, rule="compose-spec")


def _schemas(folder: Path) -> Iterator[Finding]:
    yield from _compose_schema(folder)
    yield from _pipelines(folder)


def _docker_compose(folder: Path) -> Iterator[Finding]:
    """Variables have their values where it runs."""
    for name in _names(folder, COMPOSE):
        argv = ["docker", "compose", "-f", name, "config", "--no-interpolate", "--quiet"]
        yield from _failed(argv, folder, file=name, rule="docker compose")


def _pipelines(folder: Path) -> Iterator[Finding]:
    for name, schema in PIPELINES.items():
        for found in _names(folder, name):
            argv = ["check-jsonschema", "--builtin-schema", schema, found]
            yield from _failed(argv, folder, file=found, rule=schema.removeprefix("vendor."))


PIPELINES = {
    "ci/github-nightly.yml": "vendor.github-workflows",
    "ci/gitlab-nightly.yml": "vendor.gitlab-ci",
}
COMPOSE = "compose/compose.yaml"
OVERLAYS = "overlays/*/kustomization.yaml"
VALIDATORS = (
    Validator("kubeconform", "kubeconform", ("manifests/*.yaml",), _kubeconform),
    Validator("kustomize", "kustomize", (OVERLAYS,), _kustomize),
    Validator("kubectl kustomize", "kubectl", (OVERLAYS,), _kustomize),
    Validator("helm", "helm", ("chart/Chart.yaml",), _helm),
    Validator(
        "promtool", "promtool", ("monitoring/prometheus.yml", "monitoring/rules/*.yaml"), _promtool
    ),
    Validator("amtool", "amtool", ("monitoring/alertmanager.yml",), _amtool),
    Validator("nginx", "nginx", ("nginx/nginx.conf",), _nginx),
    Validator("systemd-analyze", "systemd-analyze", ("systemd/*.service",), _systemd),
    Validator("check-jsonschema", "check-jsonschema", (COMPOSE, *PIPELINES), _schemas),
    Validator(
        "docker compose", "docker", (COMPOSE,), _docker_compose, probe=("compose", "version")
    ),
)
