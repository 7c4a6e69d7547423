"""A mapping of `tests` as cases: its defaults, its options, its values multiplied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.misfit import misfit_of
from llmops_cli.prompt.case_file.assertions import (
    number_of,
    read_checks,
    rubric_of,
    transform_of,
)
from llmops_cli.prompt.case_file.findings import Findings
from llmops_cli.prompt.case_file.lined import LinedDict, LinedList, Where, plain
from llmops_cli.prompt.case_file.suite import Case, CaseOptions, Check, CheckSet, FactualityScores
from llmops_cli.prompt.case_file.variables import Variables, multiplied, read_variables

CASE_KEYS = (
    "description",
    "vars",
    "assert",
    "options",
    "threshold",
    "metadata",
    "prompts",
    "providerOutput",
)
CASE_UNSUPPORTED = ("assertScoringFunction", "provider", "providers")
OPTION_KEYS = (
    "prefix",
    "suffix",
    "transform",
    "postprocess",
    "rubricPrompt",
    "factuality",
    "disableVarExpansion",
    "disableDefaultAsserts",
)
OPTION_UNUSED = ("provider", "runSerially", "disableConversationVar")
OPTION_UNSUPPORTED = (
    "transformVars",
    "storeOutputAs",
    "response_format",
    "temperature",
    "max_tokens",
    "tools",
    "tool_choice",
)


class RawCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case as it is written, before defaults are added and lists multiplied.

    `lost_checks`: it had assertions of which none is supported; `lost_transform`: its answers
    would be judged as they are not meant to be. Such a case is left out: it must not pass.
    """

    where: Where
    variables: Variables = {}
    checks: tuple[Check | CheckSet, ...] = ()
    description: str = ""
    threshold: float | None = None
    options: dict[str, Any] = {}  # Any: of CaseOptions
    metadata: dict[str, Any] = {}  # Any: the user's own
    prompts: tuple[str, ...] = ()
    given_answer: str | None = None
    lost_checks: bool = False
    lost_transform: bool = False

    def over(self, default: RawCase) -> RawCase:
        """This one, with the default's values where it has none."""
        takes_checks = not self.options.get("disableDefaultAsserts")
        checks = default.checks if takes_checks else ()
        return RawCase(
            where=self.where,
            variables={**default.variables, **self.variables},
            checks=(*checks, *self.checks),
            description=self.description or default.description,
            threshold=default.threshold if self.threshold is None else self.threshold,
            options={**default.options, **self.options},
            metadata={**default.metadata, **self.metadata},
            prompts=self.prompts or default.prompts,
            given_answer=self.given_answer or default.given_answer,
            lost_checks=self.lost_checks or (takes_checks and default.lost_checks),
            lost_transform=self.lost_transform or default.lost_transform,
        )


def read_case(found: Any, where: Where, findings: Findings) -> RawCase:  # Any: YAML
    """Raises: UsageError for what is no case."""
    if not isinstance(found, LinedDict):
        raise UsageError(f"{where}: a case is a mapping", hint="- vars: {...}")
    findings.check_keys(found, known=CASE_KEYS, unsupported=CASE_UNSUPPORTED, of="a case")
    options = _read_options(found, findings)
    checks = read_checks(found.get("assert"), found.where_is("assert"), findings)
    return RawCase(
        where=where,
        variables=read_variables(found.get("vars"), found.where_is("vars"), findings),
        checks=tuple(checks),
        description=str(found.get("description") or ""),
        threshold=number_of(found, "threshold"),
        options=options,
        metadata=plain(found.get("metadata") or {}),
        prompts=tuple(str(each) for each in _listed(found.get("prompts"))),
        given_answer=_answer(found.get("providerOutput")),
        lost_checks=bool(found.get("assert")) and not checks,
        lost_transform="transform" in options and not options["transform"],
    )


def _listed(found: Any) -> Sequence[Any]:  # Any: YAML
    if found is None:
        return ()
    return found if isinstance(found, LinedList) else (found,)


def _answer(found: Any) -> str | None:  # Any: YAML
    if found is None or isinstance(found, str):
        return found
    return msgspec.json.encode(plain(found)).decode()


def _read_options(found: LinedDict, findings: Findings) -> dict[str, Any]:  # Any: of CaseOptions
    options = found.get("options")
    if options is None:
        return {}
    if not isinstance(options, LinedDict):
        raise UsageError(f"{found.where_is('options')}: options is a mapping")
    findings.check_keys(
        options,
        known=OPTION_KEYS,
        unsupported=OPTION_UNSUPPORTED,
        unused=OPTION_UNUSED,
        of="options",
    )
    read = {name: plain(options[name]) for name in OPTION_KEYS if name in options}
    for key in ("transform", "postprocess"):
        if key in read:
            read["transform"] = transform_of(options, key, findings)
    if "rubricPrompt" in read:
        read["rubricPrompt"] = rubric_of(options, findings)
    if "factuality" in read:
        misfit = misfit_of(read["factuality"], FactualityScores)
        if misfit is not None:
            raise UsageError(f"{options.where_is('factuality')}: factuality: {misfit.told}")
    return read


def finished(raw: RawCase, findings: Findings) -> list[Case]:
    """The cases that it makes; none where nothing that it asserts can be judged."""
    is_lost = raw.lost_checks and not raw.checks
    if is_lost or raw.lost_transform:
        findings.leave_out(raw.where, "a case is left out: nothing that it asserts is supported")
        return []
    options = _options(raw.options)
    rows = multiplied(raw.variables, raw.where, findings, expands=options.expands)
    return [
        Case(
            variables=row,
            checks=raw.checks,
            description=raw.description,
            threshold=raw.threshold,
            options=options,
            metadata=raw.metadata,
            prompts=raw.prompts,
            given_answer=raw.given_answer,
            where=str(raw.where),
        )
        for row in rows
    ]


def _options(read: dict[str, Any]) -> CaseOptions:  # Any: as read
    return CaseOptions(
        prefix=str(read.get("prefix") or ""),
        suffix=str(read.get("suffix") or ""),
        transform=read.get("transform") or "",
        rubric=read.get("rubricPrompt") or "",
        factuality=msgspec.convert(read.get("factuality") or {}, FactualityScores),
        expands=not read.get("disableVarExpansion"),
        takes_default_checks=not read.get("disableDefaultAsserts"),
    )
