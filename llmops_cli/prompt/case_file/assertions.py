"""The `assert` of a case, read: its types, their fields, and which of promptfoo's are not here."""

from __future__ import annotations

import math
from typing import Any

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.prompt.case_file.findings import Findings
from llmops_cli.prompt.case_file.lined import LinedDict, LinedList, Where, plain
from llmops_cli.prompt.case_file.pointed import is_pointer, read_pointed
from llmops_cli.prompt.case_file.suite import Check, CheckSet
from llmops_cli.prompt.checks.table import ELSEWHERE, known_kinds
from llmops_cli.prompt.transforms import read_transform

NEGATION = "not-"
CHECK_KEYS = (
    "type",
    "value",
    "threshold",
    "weight",
    "metric",
    "transform",
    "rubricPrompt",
    "config",
)
CHECK_UNUSED = ("provider", "description")
CHECK_UNSUPPORTED = ("contextTransform", "normalizeUnicode", "metricOnly", "assert")
SET_KEYS = ("type", "assert", "threshold", "weight", "metric", "config")
TEMPLATE_REF = "$ref"


def read_checks(
    found: Any, where: Where, findings: Findings
) -> list[Check | CheckSet]:  # Any: YAML
    """Everything that can be judged here; the rest is told to `findings`."""
    if found is None:
        return []
    if not isinstance(found, LinedList):
        raise UsageError(f"{where}: assert is a list", hint="- type: contains")
    checks: list[Check | CheckSet] = []
    for number, item in enumerate(found):
        at = found.where_is(number)
        if not isinstance(item, LinedDict) or "type" not in item:
            raise UsageError(f"{at}: an assertion has a type", hint="- type: contains")
        if item["type"] == "assert-set":
            inner = _read_set(item, findings)
            if inner is not None:
                checks.append(inner)
            continue
        check = _read_check(item, at, findings)
        if check is not None:
            checks.append(check)
    return checks


def _read_set(item: LinedDict, findings: Findings) -> CheckSet | None:
    findings.check_keys(item, known=SET_KEYS, of="an assert-set")
    checks = read_checks(item.get("assert"), item.where_is("assert"), findings)
    flat = [each for each in checks if isinstance(each, Check)]
    if not flat:
        return None
    return CheckSet(
        checks=tuple(flat),
        where=str(item.where),
        threshold=number_of(item, "threshold"),
        weight=_weight(item),
        metric=str(item.get("metric") or ""),
    )


def _read_check(item: LinedDict, at: Where, findings: Findings) -> Check | None:
    findings.check_keys(
        item,
        known=CHECK_KEYS,
        unsupported=CHECK_UNSUPPORTED,
        unused=CHECK_UNUSED,
        of="an assertion",
    )
    name = str(item["type"])
    kind = name.removeprefix(NEGATION)
    if not _is_here(kind, at, findings):
        return None
    value = item.get("value")
    if is_pointer(value):
        value = read_pointed(value, item.where_is("value"), findings)
        if value is None:
            return None
    transform = transform_of(item, "transform", findings)
    if item.get("transform") and not transform:
        return None
    return Check(
        kind=kind,
        where=str(at),
        is_negated=name.startswith(NEGATION),
        value=plain(value),
        threshold=number_of(item, "threshold"),
        weight=_weight(item),
        metric=str(item.get("metric") or ""),
        transform=transform,
        rubric=rubric_of(item, findings),
        config=plain(item.get("config") or {}),
    )


def _is_here(kind: str, at: Where, findings: Findings) -> bool:
    """Whether an assertion of that type can be judged; what is wrong is told."""
    if kind in known_kinds():
        return True
    if kind in ELSEWHERE or kind.startswith("promptfoo:redteam:"):
        why = ELSEWHERE.get(kind, "llmops redteam attacks models")
        findings.leave_out(at, f"assertion '{kind}' is not supported: {why}")
        return False
    hint = nearest_name(kind, [*known_kinds(), *ELSEWHERE])
    close = f" ({hint})" if hint.startswith("did") else ""
    findings.unknown.append(f"{at}: unknown assertion type '{kind}'{close}")
    findings.nearest.append(hint)
    return False


def transform_of(item: LinedDict, key: str, findings: Findings) -> str:
    """A declared transform; code is told to `findings`."""
    text = item.get(key)
    if not text:
        return ""
    try:
        read_transform(str(text))
    except UsageError as error:
        findings.leave_out(item.where_is(key), f"{key}: {error.message}")
        return ""
    return str(text)


def rubric_of(item: LinedDict, findings: Findings) -> str:
    """The judge's own template, if there is one."""
    found = item.get("rubricPrompt")
    if is_pointer(found):
        found = read_pointed(found, item.where_is("rubricPrompt"), findings)
    if found is None:
        return ""
    if isinstance(found, str):
        return found
    parts = [
        str(each.get("content", "")) if isinstance(each, dict) else str(each) for each in found
    ]
    return "\n\n".join(parts)


def number_of(item: LinedDict, key: str) -> float | None:
    """Raises: UsageError for what is no number."""
    found = item.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise UsageError(f"{item.where_is(key)}: {key} is a number")
    if math.isnan(found):
        raise UsageError(f"{item.where_is(key)}: {key} is no number: nothing reaches it")
    return float(found)


def _weight(item: LinedDict) -> float:
    weight = number_of(item, "weight")
    return 1.0 if weight is None else weight
