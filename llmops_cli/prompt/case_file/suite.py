"""What a file of cases holds, read and checked: prompts, cases, and what is not supported."""

from __future__ import annotations

from typing import Any

import msgspec


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One assertion. `kind` is its type without `not-`; `where` its file and line."""

    kind: str
    where: str = ""
    is_negated: bool = False
    value: Any = None  # Any: a text, a number, a list or a schema
    threshold: float | None = None
    weight: float = 1.0
    metric: str = ""
    transform: str = ""
    rubric: str = ""
    config: dict[str, Any] = {}  # Any: of an assertion that a package provides

    @property
    def name(self) -> str:
        """As the file has it: `not-contains`."""
        return f"not-{self.kind}" if self.is_negated else self.kind


class CheckSet(msgspec.Struct, frozen=True, kw_only=True):
    """Assertions that count as one; with a threshold, by their score."""

    checks: tuple[Check, ...]
    where: str = ""
    threshold: float | None = None
    weight: float = 1.0
    metric: str = ""


class FactualityScores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each verdict of `factuality` is worth."""

    subset: float = 1.0
    superset: float = 1.0
    agree: float = 1.0
    disagree: float = 0.0
    differ_but_factual: float = msgspec.field(default=1.0, name="differButFactual")


class CaseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Of one case. `transform` changes the answer before its assertions see it."""

    prefix: str = ""
    suffix: str = ""
    transform: str = ""
    rubric: str = ""
    factuality: FactualityScores = FactualityScores()
    expands: bool = True
    takes_default_checks: bool = True


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One input and what its answer must be.

    `prompts`: only those with these labels; empty for all. `given_answer`: it is judged and no
    model is asked.
    """

    variables: dict[str, Any]  # Any: texts, numbers, lists
    checks: tuple[Check | CheckSet, ...] = ()
    description: str = ""
    threshold: float | None = None
    options: CaseOptions = CaseOptions()
    metadata: dict[str, Any] = {}  # Any: the user's own
    prompts: tuple[str, ...] = ()
    given_answer: str | None = None
    where: str = ""

    @property
    def is_anchor(self) -> bool:
        """One that no accepted prompt may fail where the old one passes."""
        return self.metadata.get("anchor") is True

    def all_checks(self) -> list[Check]:
        """With those inside sets."""
        found: list[Check] = []
        for each in self.checks:
            found.extend(each.checks if isinstance(each, CheckSet) else [each])
        return found


class PromptSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt before a case fills it: a text, or a chat as JSON or YAML.

    `defaults`: values for names that a case does not have. `settings`: OpenAI's own fields, such
    as temperature, that the prompt's file asks for. `version`: a prompt file's own. `name`: its
    label before prompts of one label were told apart; empty where they were not.
    """

    label: str
    text: str
    where: str = ""
    version: str = ""
    name: str = ""
    defaults: dict[str, Any] = {}  # Any: a prompt file's variables
    settings: dict[str, Any] = {}  # Any: as above


class Unsupported(msgspec.Struct, frozen=True, kw_only=True):
    """Something that promptfoo has and we do not, where it stands."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class NamedProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that a file names. `model`: how an OpenAI-style server knows it, if it does.

    `unsent`: names of what it has that no request here has.
    """

    id: str
    where: str
    model: str | None = None
    settings: dict[str, Any] = {}  # Any: OpenAI's own fields
    unsent: tuple[str, ...] = ()


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file, with all that it points to.

    `left_out`: what has no counterpart here and changes results; `notes`: what changes none.
    """

    prompts: tuple[PromptSource, ...]
    cases: tuple[Case, ...]
    providers: tuple[NamedProvider, ...] = ()
    left_out: tuple[Unsupported, ...] = ()
    notes: tuple[Unsupported, ...] = ()
    files: tuple[str, ...] = ()
    description: str = ""
