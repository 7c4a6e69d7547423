"""The report of `llmops prompt eval`."""

from __future__ import annotations

import msgspec

from llmops_cli.core.case_names import NamedCase, without_digest
from llmops_cli.core.report import Json, Manifest, ReportKind

SCHEMA = "llmops.prompt-eval/2"
Interval = tuple[float, float]


class EvalCell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prompt under one model.

    `n`: answers with a verdict, of `cases` cases; `errors` have none and are in no share.
    `ci95` of `pass_rate` counts repeats of a case as alike. Money and tokens are what was paid for
    these answers, judges apart.
    """

    prompt: str
    model: str
    n: int
    cases: int
    passes: int
    pass_rate: float | None
    ci95: Interval | None
    score: float | None
    errors: int
    tokens: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    cached: int
    metrics: dict[str, float]
    error_kinds: dict[str, int]

    @property
    def name(self) -> str:
        return f"{self.prompt} · {self.model}"


class CellName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prompt: str
    model: str


class EvalPair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two cells on the cases that both have.

    `difference` is b's pass rate less a's; `only_a`, `only_b`: cases that one passes more often.
    `p`: two-sided, exact McNemar without repeats, else by signs thrown at random; `p_adjusted` by
    Holm over all pairs. `better`: a, b, or None while that is not sure.
    """

    a: CellName
    b: CellName
    cases: int
    only_a: int
    only_b: int
    difference: float
    ci95: Interval
    p: float
    p_adjusted: float
    better: str | None


class EvalReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`left_out`: assertions and keys of the file that nothing here does, by line.

    `named_cases`: in the order of the file, so that saved runs are compared case by case.
    """

    schema: str = SCHEMA
    manifest: Manifest
    cells: list[EvalCell]
    pairs: list[EvalPair]
    cases: int
    repeats: int
    tasks: int
    left_out: list[str] = []
    notes: list[str] = []
    judge_tokens: int = 0
    stopped: str | None = None
    unreadable_lines: int = 0
    named_cases: list[NamedCase] = []


def digests_without_places(payload: Json) -> Json:
    """Digests of version 1 held the lines of a case's assertions."""
    cases = [without_digest(case) for case in payload.get("named_cases", [])]
    return {**payload, "schema": SCHEMA, "named_cases": cases}


KIND = ReportKind(
    schema=SCHEMA,
    report=EvalReport,
    upgrades={"llmops.prompt-eval/1": digests_without_places},
)
