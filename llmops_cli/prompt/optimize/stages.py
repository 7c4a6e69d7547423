"""Budgets that a search had one after the other, and the prompt that it tested at the end of each.

A search that goes on with more takes the same way as before up to where its last budget
ended, through the answers that it has, and climbs on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.runtime.digests import digest_value
from llmops_cli.runtime.files import to_json, write_atomic

STAGES = "stages.json"


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tested`: a digest of the prompt beside the base; empty before a test, or without one."""

    budget_calls: int
    tested: str = ""
    is_accepted: bool = False


class Stages:
    """Those of one folder; the last is the one that runs."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = list(stages)

    @property
    def budgets(self) -> list[int]:
        """Calls, each at least those of the one before."""
        return [each.budget_calls for each in self._stages]

    @property
    def is_accepted(self) -> bool:
        """Whether the search has its prompt."""
        return bool(self._stages) and self._stages[-1].is_accepted

    def tested_before(self, stage: int) -> list[str]:
        """Different prompts that were tested in earlier stages, in their order."""
        tested = [each.tested for each in self._stages[:stage] if each.tested]
        return list(dict.fromkeys(tested))

    def looks_before(self, best: PromptSource) -> int:
        """How many other prompts the test split had been asked about when this one's turn came."""
        tested = self.tested_before(len(self._stages))
        name = digest_of(best)
        return tested.index(name) if name in tested else len(tested)

    def with_tested(self, best: PromptSource, *, is_accepted: bool) -> Stages:
        """Once a test is done: the last one's, or of a search that took it further.

        More tokens or money lead to another prompt within the same calls.
        """
        *earlier, last = self._stages
        name = digest_of(best)
        done = msgspec.structs.replace(last, tested=name, is_accepted=is_accepted)
        if last.tested and last.tested != name:
            return Stages([*earlier, last, done])
        return Stages([*earlier, done])

    def write(self, folder: Path) -> None:
        write_atomic(folder / STAGES, to_json(self._stages))


def digest_of(source: PromptSource) -> str:
    """Of what a prompt says."""
    return digest_value(source.text)


def stages_of(folder: Path, calls: int) -> Stages:
    """Those of a folder, and this budget where it is more than the last one.

    Raises: UsageError for less than the last one, or more for a search whose prompt is accepted.
    """
    found = _read(folder / STAGES)
    if not found:
        return Stages([Stage(budget_calls=calls)])
    last = found[-1]
    if calls < last.budget_calls:
        raise UsageError(
            f"{calls} calls are less than the {last.budget_calls} that {folder} had",
            hint=f"--budget-calls {last.budget_calls} or more",
        )
    if calls == last.budget_calls:
        return Stages(found)
    if last.is_accepted:
        raise UsageError(
            f"{folder} has its prompt, which is accepted: more calls would put it at risk",
            hint=f"--prompt {folder}/prompt.md with another -o goes on from it",
        )
    return Stages([*found, Stage(budget_calls=calls)])


def _read(path: Path) -> list[Stage]:
    if not path.is_file():
        return []
    raw = path.read_bytes()
    try:
        return msgspec.json.decode(raw, type=list[Stage])
    except UNREADABLE:
        raise UsageError(f"{path} cannot be read: {wrong_in(raw, list[Stage])}") from None
