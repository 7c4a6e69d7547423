"""What a run's outcomes hang on, kept beside them: a resumed run adds no others to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from llmops_cli.core.case_names import NamedCase, named_cases
from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.prompt.case_file.suite import Case, CheckSet, PromptSource
from llmops_cli.prompt.evals.answers import title_of
from llmops_cli.prompt.evals.plan import EvalPlan
from llmops_cli.runtime.digests import digest_value
from llmops_cli.runtime.files import to_json, write_atomic

PartT = TypeVar("PartT", bound=msgspec.Struct)
KEY = "key.json"


def require_same(folder: Path, plan: EvalPlan) -> None:
    """Keeps what a run's outcomes hang on. Raises: UsageError where that is another now."""
    wanted = _key(plan)
    path = folder / KEY
    if not path.is_file():
        write_atomic(path, to_json(wanted))
        return
    kept = _kept_key(path)
    older = _older_key(plan)
    for part, digest in wanted.items():
        if kept.get(part) not in (digest, older[part]):
            raise UsageError(
                f"{folder} cannot go on: its {part} are others now",
                hint="put them back, or begin anew with another -o",
            )
    if not wanted.items() <= kept.items():
        write_atomic(path, to_json(kept | wanted))


def require_same_files(folder: Path, model: str, digests: Mapping[str, str]) -> None:
    """Keeps which files of a model answered; those of a server elsewhere are not known.

    Raises: UsageError where a run that goes on had answers of others.
    """
    if not digests:
        return
    path = folder / KEY
    part = f"files of {model}"
    kept = _kept_key(path)
    digest = digest_value(dict(digests))
    if kept.get(part, digest) != digest:
        raise UsageError(
            f"{folder} cannot go on: the {part} are others now",
            hint="put them back, or begin anew with another -o",
        )
    if part not in kept:
        write_atomic(path, to_json(kept | {part: digest}))


def _kept_key(path: Path) -> dict[str, str]:
    raw = path.read_bytes()
    try:
        return msgspec.json.decode(raw, type=dict[str, str])
    except UNREADABLE:
        raise UsageError(f"{path} cannot be read: {wrong_in(raw, dict[str, str])}") from None


def _key(plan: EvalPlan) -> dict[str, str]:
    """Digests of all that a run's outcomes hang on."""
    return {
        "cases": digest_value([_without_places(case) for case in plan.cases]),
        "prompts": digest_value([_without_places(prompt) for prompt in plan.prompts]),
        "models": digest_value(msgspec.to_builtins(plan.models)),
    }


def _older_key(plan: EvalPlan) -> dict[str, str]:
    """As runs kept it before it left out the lines of prompts and assertions."""
    cases = [msgspec.structs.replace(case, where="") for case in plan.cases]
    return {
        "cases": digest_value(msgspec.to_builtins(cases)),
        "prompts": digest_value(msgspec.to_builtins(plan.prompts)),
        "models": digest_value(msgspec.to_builtins(plan.models)),
    }


def names_of(cases: Sequence[Case]) -> list[NamedCase]:
    """Of all cases, in their order."""
    titles = [title_of(case, number) for number, case in enumerate(cases)]
    return named_cases(titles, [digest_value(_without_places(case)) for case in cases])


def _without_places(part: Case | PromptSource) -> object:
    """A blank line more changes no case, none of its assertions and no prompt."""
    return msgspec.to_builtins(_moved(part))


def _moved(part: PartT) -> PartT:
    """The same, whose parts stand nowhere."""
    changes: dict[str, object] = {"where": ""}
    if isinstance(part, Case | CheckSet):
        changes["checks"] = tuple(_moved(each) for each in part.checks)
    return msgspec.structs.replace(part, **changes)
