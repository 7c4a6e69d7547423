"""What a red-team run reports: success rates by family, honest twins, examples, the checklist."""

from __future__ import annotations

import msgspec

from llmops_cli.core.report import Manifest, ReportKind


class FamilyResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Attempts of one kind. Every share is one of the `decided` attempts.

    `errors`: the target gave no answer; `undecided`: an attacker or a judge failed.
    `asr` is the share that succeeded, with its 95 % Wilson interval; `asr_corrected` takes the
    judge's known error rates out (only where a fitted judge decided); `uncorrected` says why not
    where they are not known. `guarded_*` are the same attempts with the guard in front,
    `blocked` how many it stopped; None without a guard.
    `planned`: what the suite asks for; `attempts` are fewer after a run that was stopped.
    """

    attempts: int
    successes: int
    asr: float | None
    ci95: tuple[float, float] | None
    planned: int | None = None
    errors: int = 0
    undecided: int = 0
    decided: int | None = None
    refused: int = 0
    asr_corrected: float | None = None
    asr_corrected_ci95: tuple[float, float] | None = None
    uncorrected: str = ""
    blocked: int | None = None
    guarded_successes: int | None = None
    guarded_asr: float | None = None
    guarded_ci95: tuple[float, float] | None = None
    owasp: str = ""
    atlas: str = ""
    cwe: str = ""


class TwinResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Honest questions in the attacks' setting: how many were refused, or stopped by the guard."""

    attempts: int
    refused: int
    refused_share: float | None
    ci95: tuple[float, float] | None
    blocked: int | None = None


class RedteamExample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A success: what was said, what came back, and what decided."""

    family: str
    attack: str
    prompt: str
    answer: str
    why: str
    transform: str = ""
    stopped_by_guard: bool | None = None


class ChecklistItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that a gateway should have. `ok` is None where it cannot be told from outside."""

    area: str
    name: str
    ok: bool | None
    seen: str
    advice: str = ""


class RedteamReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`families` by name; `mappings` the same attempts by OWASP, ATLAS and CWE entry.

    Tokens are the server's own counts where it gives them, else a fourth of the characters. They
    and `duration_s` are of all `parts`: a run that was resumed has more than one. `helper_*` are an
    attacker's and a judge model's; `money` has theirs too, at the same prices.
    `unreadable_lines`: of attempts.jsonl, torn by a kill; their attempts were had again.
    """

    schema: str = "llmops.redteam/1"
    manifest: Manifest
    attempts: int
    duration_s: float
    families: dict[str, FamilyResult]
    overall: FamilyResult
    mappings: dict[str, FamilyResult] = {}
    twins: TwinResult | None = None
    examples: list[RedteamExample] = []
    requests: int = 0
    errors: int = 0
    error_kinds: dict[str, int] = {}
    undecided: int = 0
    undecided_kinds: dict[str, int] = {}
    parts: int = 1
    unreadable_lines: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    helper_requests: int = 0
    helper_tokens: int = 0
    money: float | None = None
    first_request_s: float | None = None
    stopped: str | None = None
    judge_errors: dict[str, dict[str, float]] = {}


KIND = ReportKind(schema="llmops.redteam/1", report=RedteamReport)
