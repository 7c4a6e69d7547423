"""A whole file of cases, read: what every key of promptfoo's form becomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.cases import RawCase, finished, read_case
from llmops_cli.prompt.case_file.findings import Findings, require_supported
from llmops_cli.prompt.case_file.lined import LinedDict, LinedList, Where, read_lined
from llmops_cli.prompt.case_file.pointed import SCHEME, is_code, pointed_files
from llmops_cli.prompt.case_file.providers import read_providers
from llmops_cli.prompt.case_file.rows import csv_cases, jsonl_cases
from llmops_cli.prompt.case_file.sources import listed_prompts
from llmops_cli.prompt.case_file.suite import Case, Suite

TOP_KEYS = ("prompts", "providers", "targets", "tests", "defaultTest", "scenarios", "description")
TOP_UNUSED = (
    "$schema",
    "tags",
    "sharing",
    "outputPath",
    "writeLatestResults",
    "commandLineOptions",
    "evaluateOptions",
    "metadata",
    "env",
    "tracing",
    "assertionTemplates",
    "definitions",
)
TOP_UNSUPPORTED = (
    "extensions",
    "nunjucksFilters",
    "derivedMetrics",
    "redteam",
    "providerPromptMap",
)
SCENARIO_KEYS = ("description", "config", "tests")
EMPTY = RawCase(where=Where(Path(), 0))


def read_suite(path: Path) -> Suite:
    """Raises: UsageError for a file that cannot be read, naming every unknown key with its line."""
    findings = Findings(path)
    if path.suffix in (".csv", ".jsonl"):
        raws = list(_of_rows(path, findings))
        return _finish({}, raws, findings, LinedDict())
    top = read_lined(path)
    if isinstance(top, LinedList):
        raws = list(_of_list(top, findings))
        return _finish({}, raws, findings, LinedDict())
    if not isinstance(top, LinedDict):
        raise UsageError(f"{path} holds no cases", hint="it begins with tests:")
    top = _dereferenced(top, top, 0)
    findings.check_keys(
        top,
        known=(*TOP_KEYS, *_private(top)),
        unsupported=TOP_UNSUPPORTED,
        unused=TOP_UNUSED,
        of="the file",
    )
    default = _default(top, findings)
    raws = list(_tests(top.get("tests"), top.where_is("tests"), findings))
    raws += _scenarios(top.get("scenarios"), top.where_is("scenarios"), findings)
    if not raws and default is not EMPTY:
        raws = [RawCase(where=default.where)]
    return _finish(top, [raw.over(default) for raw in raws], findings, top)


def _private(top: Mapping[str, object]) -> list[str]:
    """Where authors keep what they refer to."""
    return [name for name in top if name.startswith((".", "x-", "_"))]


def _finish(
    top: Mapping[str, Any],  # Any: YAML
    raws: list[RawCase],
    findings: Findings,
    lined: LinedDict,
) -> Suite:
    cases: list[Case] = []
    for raw in raws:
        cases += finished(raw, findings)
    where = lined.where_is("prompts") if top else Where(findings.path, 1)
    prompts = listed_prompts(top.get("prompts"), where, findings)
    providers = read_providers(lined, findings) if top else []
    findings.require_known()
    if not cases:
        require_supported(findings.left_out)
        raise UsageError(f"{findings.path} holds no cases", hint="tests: [{vars: {...}}]")
    return Suite(
        prompts=tuple(prompts),
        cases=tuple(cases),
        providers=tuple(providers),
        left_out=tuple(findings.left_out),
        notes=tuple(findings.notes),
        files=tuple(dict.fromkeys(str(each) for each in findings.files)),
        description=str(top.get("description") or ""),
    )


def _default(top: LinedDict, findings: Findings) -> RawCase:
    found = top.get("defaultTest")
    if found is None:
        return EMPTY
    where = top.where_is("defaultTest")
    if isinstance(found, str):
        path = pointed_files(found, where, findings)[0]
        findings.files.append(path)
        found = read_lined(path)
    return read_case(found, where, findings)


def _tests(found: Any, where: Where, findings: Findings) -> Iterator[RawCase]:  # Any: YAML
    """A list, the name of a file, or a mapping that names a generator."""
    if found is None:
        return
    if isinstance(found, str):
        yield from _of_files(found, where, findings)
        return
    if isinstance(found, LinedDict):
        findings.leave_out(where, "a generator of tests is code, which is not run")
        return
    yield from _of_list(found, findings)


def _of_list(found: LinedList, findings: Findings) -> Iterator[RawCase]:
    for number, item in enumerate(found):
        at = found.where_is(number)
        if isinstance(item, str):
            yield from _of_files(item, at, findings)
        elif isinstance(item, LinedDict) and "path" in item and "vars" not in item:
            findings.leave_out(at, "a generator of tests is code, which is not run")
        else:
            yield read_case(item, at, findings)


def _of_files(name: str, where: Where, findings: Findings) -> Iterator[RawCase]:
    if is_code(name):
        findings.leave_out(where, f"{name} is code, which is not run")
        return
    if "://" in name.removeprefix(SCHEME):
        findings.leave_out(where, f"{name} is fetched from elsewhere")
        return
    for path in pointed_files(name, where, findings):
        findings.files.append(path)
        if path.suffix in (".csv", ".jsonl"):
            yield from _of_rows(path, findings)
            continue
        held = read_lined(path)
        if isinstance(held, LinedDict):
            yield read_case(held, held.where, findings)
        elif isinstance(held, LinedList):
            yield from _of_list(held, findings)


def _of_rows(path: Path, findings: Findings) -> Iterator[RawCase]:
    rows = csv_cases(path, findings) if path.suffix == ".csv" else jsonl_cases(path)
    for where, row in rows:
        yield read_case(row, where, findings)


def _scenarios(found: Any, where: Where, findings: Findings) -> Iterator[RawCase]:  # Any: YAML
    """Every test under every configuration."""
    if found is None:
        return
    if not isinstance(found, LinedList):
        raise UsageError(f"{where}: scenarios is a list")
    for number, item in enumerate(found):
        at = found.where_is(number)
        if isinstance(item, str):
            path = pointed_files(item, at, findings)[0]
            findings.files.append(path)
            item = read_lined(path)
        for scenario in item if isinstance(item, LinedList) else [item]:
            yield from _scenario(scenario, at, findings)


def _scenario(item: Any, where: Where, findings: Findings) -> Iterator[RawCase]:  # Any: YAML
    if not isinstance(item, LinedDict):
        raise UsageError(f"{where}: a scenario has config and tests")
    findings.check_keys(item, known=SCENARIO_KEYS, of="a scenario")
    configs = list(_tests(item.get("config"), item.where_is("config"), findings))
    tests = list(_tests(item.get("tests"), item.where_is("tests"), findings))
    for config in configs:
        for test in tests or [RawCase(where=config.where)]:
            yield test.over(config)


def _dereferenced(value: Any, top: LinedDict, depth: int) -> Any:  # Any: YAML
    """With what `$ref: '#/...'` points to in its place."""
    if depth > 50:
        raise UsageError(f"{top.where.path}: its $ref go round in a circle")
    if isinstance(value, LinedDict):
        pointer = value.get("$ref")
        if isinstance(pointer, str) and pointer.startswith("#/"):
            pointed = _pointed(pointer, top)
            if pointed is not None:
                return _dereferenced(pointed, top, depth + 1)
        for name, each in value.items():
            value[name] = _dereferenced(each, top, depth + 1)
    elif isinstance(value, LinedList):
        for number, each in enumerate(value):
            value[number] = _dereferenced(each, top, depth + 1)
    return value


def _pointed(pointer: str, top: LinedDict) -> Any:  # Any: YAML
    """None for what the file does not have: a JSON schema refers to parts of its own."""
    found: Any = top
    for step in pointer.removeprefix("#/").split("/"):
        if not isinstance(found, LinedDict) or step not in found:
            return None
        found = found[step]
    return found
