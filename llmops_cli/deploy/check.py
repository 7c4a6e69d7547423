"""Whether a rendered folder would run: our own lint, and every validator that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.lint.compose import wrong_compose
from llmops_cli.deploy.lint.finding import Finding, Found
from llmops_cli.deploy.lint.forms import by_form
from llmops_cli.deploy.lint.kustomizations import wrong_kustomizations
from llmops_cli.deploy.lint.names import wrong_names
from llmops_cli.deploy.lint.numbers import wrong_numbers
from llmops_cli.deploy.lint.policies import wrong_policies
from llmops_cli.deploy.lint.ports import wrong_ports
from llmops_cli.deploy.lint.prompts import without_prompts, wrong_mounts
from llmops_cli.deploy.lint.quantities import wrong_quantities
from llmops_cli.deploy.lint.read import read_folder
from llmops_cli.deploy.lint.safety import unsafe
from llmops_cli.deploy.lint.schemas import is_installed, without_schema, wrong_by_schema
from llmops_cli.deploy.lint.times import wrong_times
from llmops_cli.deploy.lint.versions import wrong_versions
from llmops_cli.deploy.lint.watching import wrong_watching
from llmops_cli.deploy.lint.written_secrets import written_secrets
from llmops_cli.deploy.validators import run_validators

SCHEMAS = "kubernetes-validate"
OPERATOR = "monitoring/operator"
FOLDERS = ("manifests", "monitoring", "compose", "systemd", "kserve")

WRITTEN = (*FOLDERS, "overlays", "chart", "nginx", "ci")
"""Where files are that somebody reads."""

OF_OBJECTS = (
    wrong_versions,
    wrong_names,
    wrong_ports,
    wrong_quantities,
    wrong_numbers,
    wrong_times,
    wrong_policies,
    unsafe,
    wrong_mounts,
)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """`ran`: validators that were here; `missing`: those that could have said more.

    `without_schema`: kinds that only our own lint has looked at.
    """

    ok: bool
    findings: list[Finding]
    ran: list[str]
    missing: list[str]
    without_schema: list[str]


class Linted(NamedTuple):
    """`objects`: those of a cluster, in which a schema can look further."""

    objects: list[Found]
    findings: list[Finding]


def own_lint(folder: Path) -> Linted:
    """What needs no other program."""
    read = read_folder(folder, "manifests")
    watching = read_folder(folder, OPERATOR)
    objects, odd = by_form(read.objects + watching.objects)
    findings = read.findings + watching.findings + odd
    for rule in OF_OBJECTS:
        findings += rule(objects)
    findings += wrong_kustomizations(folder, objects)
    findings += wrong_watching(folder, objects)
    findings += without_prompts(folder)
    findings += wrong_compose(folder)
    findings += written_secrets(folder, WRITTEN)
    return Linted(objects, findings)


def check_folder(folder: Path) -> Checked:
    """Raises: UsageError for a folder in which nothing was rendered."""
    if not any((folder / name).is_dir() for name in FOLDERS):
        raise UsageError(
            f"nothing is rendered in {folder}", hint="llmops deploy render gateway.yaml -o DIR"
        )
    objects, findings = own_lint(folder)
    others = run_validators(folder)
    unknown: list[str] = []
    if not objects:
        pass  # nothing of a cluster
    elif is_installed():
        findings += wrong_by_schema(objects)
        unknown = without_schema(objects)
        others.ran.append(SCHEMAS)
    else:
        others.missing.append(SCHEMAS)
    findings += others.findings
    return Checked(
        ok=not findings,
        findings=sorted(set(findings)),
        ran=["own lint", *others.ran],
        missing=others.missing,
        without_schema=unknown,
    )
