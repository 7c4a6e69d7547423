"""Programs of others that know a kind of file; each is asked if it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from llmops_cli.deploy.lint.finding import Finding

TIMEOUT_S = 60
ELSEWHERE = re.compile(r"not executable|not found")
"""A unit's programs are on the machine that it is for."""
MOST_CHARS = 300


class Validator(NamedTuple):
    """`program`: by which it is found. `run`: its findings in a folder."""

    name: str
    program: str
    run: Callable[[Path], Iterator[Finding]]


class Ran(NamedTuple):
    findings: list[Finding]
    ran: list[str]
    missing: list[str]


def run_validators(folder: Path) -> Ran:
    """Those that are here and have a file of their kind."""
    found = Ran([], [], [])
    for validator in VALIDATORS:
        if not _is_there(validator.program):
            found.missing.append(validator.name)
            continue
        found.findings.extend(validator.run(folder))
        found.ran.append(validator.name)
    return found


def _is_there(program: str) -> bool:
    return shutil.which(program) is not None or Path("/usr/sbin", program).exists()


def _called(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = shutil.which(argv[0]) or f"/usr/sbin/{argv[0]}"
    return subprocess.run(
        [path, *argv[1:]],
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


VALIDATORS = (
    Validator("kubeconform", "kubeconform", _kubeconform),
    Validator("kustomize", "kustomize", _kustomize),
    Validator("kubectl kustomize", "kubectl", _kustomize),
    Validator("helm", "helm", _helm),
    Validator("promtool", "promtool", _promtool),
    Validator("amtool", "amtool", _amtool),
    Validator("nginx", "nginx", _nginx),
    Validator("systemd-analyze", "systemd-analyze", _systemd),
)
