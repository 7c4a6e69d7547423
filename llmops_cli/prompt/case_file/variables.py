"""The values of a case: files read, and lists multiplied into one case each."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.findings import Findings
from llmops_cli.prompt.case_file.lined import LinedDict, LinedList, Where, plain, read_lined
from llmops_cli.prompt.case_file.pointed import (
    STRUCTURED,
    is_code,
    is_pointer,
    place_of,
    pointed_files,
    read_plain,
)

Variables = dict[str, Any]  # Any: texts, numbers, lists
MOST_COMBINATIONS = 100_000


def read_variables(found: Any, where: Where, findings: Findings) -> Variables:  # Any: YAML
    """A mapping, or the names of files that hold one. Raises: UsageError."""
    if found is None:
        return {}
    if isinstance(found, str):
        return _of_files([found], where, findings)
    if isinstance(found, LinedList):
        return _of_files([str(each) for each in found], where, findings)
    if not isinstance(found, LinedDict):
        raise UsageError(f"{where}: vars is a mapping", hint="vars: {question: ...}")
    values: Variables = {}
    for name, value in found.items():
        if is_pointer(value) and is_code(value):
            findings.leave_out(found.where_is(name), f"{value} is code, which is not run")
            continue
        values[name] = plain(value)
    return values


def _of_files(names: list[str], where: Where, findings: Findings) -> Variables:
    values: Variables = {}
    for name in names:
        for path in pointed_files(name, where, findings):
            findings.files.append(path)
            held = read_lined(path)
            if not isinstance(held, dict):
                raise UsageError(f"{path} holds no mapping of vars")
            values |= plain(held)
    return values


def multiplied(
    variables: Variables,
    where: Where,
    findings: Findings,
    *,
    expands: bool,
) -> list[Variables]:
    """One mapping for each combination of lists; a list of other things than texts is a value."""
    choices = [_choices(value, where, findings, expands=expands) for value in variables.values()]
    count = 1
    for each in choices:
        count *= len(each)
    if count > MOST_COMBINATIONS:
        raise UsageError(f"{where}: its lists make {count:,} cases")
    rows = []
    for chosen in itertools.product(*choices):
        named = zip(variables, chosen, strict=True)
        row = {name: _read(value, where, findings) for name, value in named}
        rows.append(row)
    return rows


def _choices(
    value: Any,  # Any: a case's value
    where: Where,
    findings: Findings,
    *,
    expands: bool,
) -> list[Any]:  # Any: as above
    if is_pointer(value):
        paths = pointed_files(value, where, findings)
        return [f"file://{path.absolute()}" for path in paths]
    is_list = isinstance(value, list) and value and isinstance(value[0], str)
    if is_list and expands:
        return list(value)
    return [value]


def _read(value: Any, where: Where, findings: Findings) -> Any:  # Any: a case's value
    if not is_pointer(value):
        return value
    path = place_of(value, where, findings)
    findings.files.append(path)
    if path.suffix in STRUCTURED[1:]:
        return json.dumps(plain(read_lined(path)), ensure_ascii=False, separators=(",", ":"))
    return read_plain(path, where)


def case_key(variables: Mapping[str, object]) -> str:
    """The same for the same values, whatever their order: what splits hang on."""
    return json.dumps(variables, sort_keys=True, ensure_ascii=False, default=str)
