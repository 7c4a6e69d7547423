"""What `llmops prompt run` reports: right answers with intervals beside what they took."""

from __future__ import annotations

import msgspec

from llmops_cli.core.case_names import NamedCase
from llmops_cli.core.report import Manifest, ReportKind


class Score(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Right answers of the questions that were asked, with Wilson's 95 % interval."""

    right: int
    questions: int
    share: float | None
    ci95: tuple[float, float]


class TechniqueResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One technique. Calls, tokens and cost are of all its questions and of its preparation.

    `strict`: the answer stood where it was asked for; `lenient`: it could be found; None where no
    answers are known. `cost` None: without prices. `latency_s`: the mean of a question's calls
    together. `saved_tokens`: estimated, by compression.
    """

    questions: int
    answered: int
    strict: Score | None = None
    lenient: Score | None = None
    errors: dict[str, int] = {}
    calls: int = 0
    preparation_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    latency_s: float = 0.0
    saved_tokens: int = 0
    examples_made: int = 0


class PairResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two techniques on the same questions, by one reading.

    `only_first`: right by the first alone. `difference`: the second's share less the first's, with
    its 95 % interval. `p`: McNemar's exact test; `p_adjusted`: Holm's, over all pairs of a reading.
    """

    first: str
    second: str
    reading: str
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    ci95: tuple[float, float]
    p: float
    p_adjusted: float


class AnsweredQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question by a technique, as it went."""

    technique: str
    question: str
    expected: str | None = None
    strict: str | None = None
    lenient: str | None = None
    is_right_strictly: bool | None = None
    is_right_leniently: bool | None = None
    text: str = ""
    trace: list[str] = []
    calls: int = 0
    error: str = ""


class PromptRunReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`techniques` by name, in the order asked for.

    `answers`: of a single question, or the first that went wrong; all are in outcomes.jsonl.
    `calls`, tokens and `cost`: what was sent, over all parts of the run.
    """

    schema: str = "llmops.prompt-run/1"
    manifest: Manifest
    questions: int
    techniques: dict[str, TechniqueResult]
    pairs: list[PairResult] = []
    answers: list[AnsweredQuestion] = []
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    stopped: str | None = None
    notes: list[str] = []
    named_cases: list[NamedCase] = []


KIND = ReportKind(schema="llmops.prompt-run/1", report=PromptRunReport)
