"""Answers judged: transforms, assertions that need nobody, and those that a model judges."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.suite import Case, Check, CheckSet
from llmops_cli.prompt.checks.judged import JudgeFailed, Message, judged
from llmops_cli.prompt.checks.scoring import Score, scored
from llmops_cli.prompt.checks.table import COMPARED, JUDGED, function_of, judged_function
from llmops_cli.prompt.checks.verdict import Given, Misused, Verdict, no_verdict
from llmops_cli.prompt.templates import render, settle_variables
from llmops_cli.prompt.transforms import CannotTransform, as_text, read_transform
from llmops_cli.runtime.chat import ChatClient, Filtered, Unanswered
from llmops_cli.runtime.http import Http

EMBEDDING_TIMEOUT_S = 120.0
LATER = Verdict(passed=True, score=1.0)
"""Of an assertion on all answers to a case, until they are there."""


class Embedder(msgspec.Struct, frozen=True, kw_only=True):
    """An embeddings endpoint."""

    url: str
    model: str
    http: Http

    def place(self, texts: Sequence[str]) -> list[list[float]]:
        """Raises: JudgeFailed."""
        body = {"model": self.model, "input": list(texts)}
        place = f"{self.url}/v1/embeddings"
        found = self.http.post_json(place, body, timeout_s=EMBEDDING_TIMEOUT_S)
        if found is None:
            raise JudgeFailed("the embeddings endpoint gave no answer")
        try:
            rows = sorted(found["data"], key=lambda row: row["index"])
            places = [[float(each) for each in row["embedding"]] for row in rows]
        except (KeyError, TypeError, ValueError):
            raise JudgeFailed("the embeddings endpoint gave no embeddings") from None
        lengths = {len(each) for each in places}
        are_finite = all(math.isfinite(part) for each in places for part in each)
        if len(places) != len(texts) or len(lengths) != 1 or not are_finite:
            raise JudgeFailed("the embeddings endpoint gave other embeddings than asked")
        return places


class ClientJudge:
    """A judge over a chat client, and an embedder; `tokens` counts."""

    def __init__(self, client: ChatClient | None, embedder: Embedder | None) -> None:
        self._client = client
        self._embedder = embedder
        self.tokens = 0

    async def ask(self, messages: Sequence[Message]) -> str:
        if self._client is None:
            raise JudgeFailed("no judge was named")
        try:
            answer = await self._client.answer(list(messages))
        except Unanswered as failed:
            raise JudgeFailed(f"the judge did not answer: {failed.kind}") from None
        except Filtered:
            raise JudgeFailed("the judge's server filtered it") from None
        self.tokens += answer.input_tokens + answer.output_tokens
        return answer.text

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if self._embedder is None:
            raise JudgeFailed("no embeddings endpoint was named")
        return await asyncio.to_thread(self._embedder.place, texts)


async def judge_answer(case: Case, given: Given, judge: ClientJudge) -> Score:
    """The score of one answer; a transform that fails is a fail with its reason."""
    try:
        given = transformed(given, case.options.transform)
    except CannotTransform as error:
        return Score(passed=False, score=0.0, reason=f"transform: {error}")
    verdicts = [await _verdict(check, given, judge) for check in case.all_checks()]
    return scored(named_checks(case), verdicts, threshold=case.threshold)


def transformed(given: Given, text: str) -> Given:
    """Raises: CannotTransform."""
    if not text:
        return given
    value = read_transform(text)(given.value)
    return msgspec.structs.replace(given, text=as_text(value), value=value)


async def _verdict(check: Check, given: Given, judge: ClientJudge) -> Verdict:
    if check.kind in COMPARED:
        return LATER
    try:
        given = transformed(given, check.transform)
        filled = filled_check(check, given.variables)
        if check.kind in JUDGED:
            return await judged(judged_function(check.kind), filled, given, judge)
        return function_of(check.kind)(filled, given)
    except CannotTransform as error:
        return Verdict(passed=False, score=0.0, reason=f"transform: {error}")
    except Misused as wrong:
        return no_verdict(f"{check.where}: {wrong}")
    except UsageError as error:
        return no_verdict(f"{check.where}: {error.message}")


def filled_check(check: Check, variables: dict[str, Any]) -> Check:  # Any: a case's values
    """With the case's values in its own. Raises: UsageError for a broken template."""
    settled = settle_variables(variables)
    value = check.value
    if isinstance(value, str):
        value = render(value, settled)
    elif isinstance(value, list):
        value = [render(each, settled) if isinstance(each, str) else each for each in value]
    return msgspec.structs.replace(check, value=value)


def named_checks(case: Case) -> Sequence[Check | CheckSet]:
    """A case's assertions, with its values in the names of their metrics."""
    metrics = [each.metric for each in (*case.checks, *case.all_checks())]
    if not any("{{" in metric for metric in metrics):
        return case.checks
    return [_named(each, case.variables) for each in case.checks]


def _named(check: Check | CheckSet, variables: dict[str, Any]) -> Check | CheckSet:  # Any: as above
    """A template that cannot be filled stays as it is written: it decides nothing."""
    try:
        metric = render(check.metric, settle_variables(variables))
    except UsageError:
        metric = check.metric
    if isinstance(check, Check):
        return msgspec.structs.replace(check, metric=metric)
    inner = tuple(_named(each, variables) for each in check.checks)
    return msgspec.structs.replace(check, metric=metric, checks=inner)
