"""The envelope that every report shares, and how a saved one of any version is read.

A field may be added without raising the schema number; a change of unit or meaning raises it and
adds a pure upgrade function to the `ReportKind` of its command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.names import load_object
from llmops_cli.core.wrong_json import UNREADABLE

Json = dict[str, Any]  # Any: a report of another version, before it has a type
Upgrade = Callable[[Json], Json]

CHANGED = "it was changed after it was written; measure anew"
REPORTS = {
    "llmops.bench": "llmops_cli.bench.report:KIND",
    "llmops.guard-eval": "llmops_cli.guard.evaluation.report:KIND",
    "llmops.guard-train": "llmops_cli.guard.learnt.report:KIND",
    "llmops.moderation-train": "llmops_cli.guard.moderation.report:KIND",
    "llmops.convert": "llmops_cli.convert.report:KIND",
    "llmops.prompt-run": "llmops_cli.prompt.technique_run.report:KIND",
    "llmops.generate": "llmops_cli.generate.report:KIND",
    "llmops.plan": "llmops_cli.plan.kept:KIND",
    "llmops.prompt-eval": "llmops_cli.prompt.evals.report:KIND",
    "llmops.prompt-optimize": "llmops_cli.prompt.optimize.report:KIND",
    "llmops.quantize": "llmops_cli.quantize.report:KIND",
    "llmops.redteam": "llmops_cli.redteam.report:KIND",
    "llmops.train": "llmops_cli.train.report:KIND",
    "llmops.run": "llmops_cli.pipeline.report:KIND",
}
"""Schema without its number -> "module:object" of its ReportKind."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything needed to repeat a run, and to know whether two runs may be compared."""

    recipe: dict[str, object]
    origins: dict[str, str] = {}
    versions: dict[str, str] = {}
    hardware: dict[str, object] = {}
    git: dict[str, object] | None = None
    seed: int | None = None
    digests: dict[str, str] = {}
    started_at: str = ""
    finished_at: str = ""
    duration_s: float = 0.0
    argv: list[str] = []
    complete: bool = True


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Peaks over the whole process tree of the engine or job; None where the machine can't tell."""

    engine_peak_rss_bytes: int | None = None
    engine_peak_pss_bytes: int | None = None
    engine_peak_gpu_bytes: int | None = None


class StartUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From nothing to the first token of an engine that we started, part by part.

    `process_s`: until it began to read its model (None: it does not tell); `load_s`: from there, or
    else from the start, until it listed its model; `first_token_s`: its first request, of one token
    (None: it was not asked, or gave none); `cached_share`: of the weights' bytes, those that were
    in main memory before: near 0 is a cold start, near 1 a warm one.
    """

    process_s: float | None = None
    load_s: float
    first_token_s: float | None = None
    cached_share: float | None = None


class Report(Protocol):
    """What all reports have."""

    @property
    def schema(self) -> str: ...

    @property
    def manifest(self) -> Manifest: ...


class ReportKind(msgspec.Struct, frozen=True, kw_only=True):
    """One command's report: its type now, and how its older versions become it.

    `upgrades`: old schema -> pure function to the next one. `impossible` says what of a report no
    run can have measured.
    """

    schema: str
    report: type[Any]  # Any: each command has its own
    upgrades: Mapping[str, Upgrade] = {}
    impossible: Callable[[Any], str | None] | None = None


def family(schema: str) -> str:
    """The schema without its number: `llmops.bench` of `llmops.bench/2`."""
    return schema.partition("/")[0]


def report_kind(schema: str) -> ReportKind:
    """Raises: UsageError for a schema that no command of this version writes."""
    place = REPORTS.get(family(schema))
    if place is None:
        raise _unknown_schema(schema)
    kind = load_object(place)
    return cast(ReportKind, kind)


def decode_report(raw: bytes) -> Report:
    """Any report ever written, as its current type.

    Raises: UsageError if the bytes are no report of ours.
    """
    payload = _payload(raw)
    kind = report_kind(payload["schema"])
    current = _upgraded(payload, kind)
    schema = current["schema"]
    if schema != kind.schema:
        raise _unknown_schema(schema)
    try:
        report = msgspec.convert(current, kind.report)
    except msgspec.ValidationError as error:
        misfit = misfit_of(current, kind.report)
        told = "it cannot be read" if misfit is None else misfit.told
        raise UsageError(f"broken report: {told}", hint=CHANGED) from error
    reason = None
    if kind.impossible is not None:
        reason = kind.impossible(report)
    if reason is not None:
        raise UsageError(f"impossible report: {reason}", hint=CHANGED)
    return cast(Report, report)


def _payload(raw: bytes) -> Json:
    """A mapping with a schema. Raises: UsageError."""
    try:
        payload = msgspec.json.decode(raw)
    except UNREADABLE as error:
        told = "not a JSON report" if raw.strip() else "not a JSON report: the file is empty"
        raise UsageError(told, hint="pass a report.json written by llmops") from error
    schema = None
    if isinstance(payload, dict):
        schema = payload.get("schema")
    if not isinstance(schema, str):
        raise UsageError(
            "not a report: no 'schema' field",
            hint="pass a report.json written by llmops",
        )
    return cast(Json, payload)


def _upgraded(payload: Json, kind: ReportKind) -> Json:
    """As the newest version that this one knows. Raises: UsageError."""
    try:
        while payload["schema"] in kind.upgrades:
            upgrade = kind.upgrades[payload["schema"]]
            payload = upgrade(payload)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        schema = payload["schema"]
        raise UsageError(
            f"broken report: it has not the fields of {schema}", hint=CHANGED
        ) from error
    return payload


def _unknown_schema(schema: str) -> UsageError:
    return UsageError(
        f"report schema '{schema}' is unknown to this version",
        hint="upgrade llmops",
    )
