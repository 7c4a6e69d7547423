"""Assertions on how an answer came about: its time, its cost, why it ended, its calls of tools."""

from __future__ import annotations

import json
import math
from typing import Any

from llmops_cli.prompt.case_file.suite import Check
from llmops_cli.prompt.checks.structure import _schema_error, json_values
from llmops_cli.prompt.checks.texts import list_of
from llmops_cli.prompt.checks.verdict import (
    Given,
    Misused,
    Verdict,
    holds,
    no_verdict,
    reaches,
    text_of,
)


def latency(check: Check, given: Given) -> Verdict:
    """Milliseconds. Without a threshold it is a metric alone."""
    if given.latency_ms is None:
        return no_verdict("latency: the answer is not from this run")
    return _limited(given.latency_ms, check, "ms")


def cost(check: Check, given: Given) -> Verdict:
    """Money, by --price-in and --price-out."""
    if given.cost is None:
        return no_verdict("cost: what a token costs is not known")
    return _limited(given.cost, check, "")


def _limited(value: float, check: Check, unit: str) -> Verdict:
    if check.threshold is None:
        if check.is_negated or not check.metric:
            raise Misused(f"{check.name} needs a threshold, or a metric to be kept as")
        return Verdict(passed=True, score=value)
    words = f"take at most {check.threshold:g} {unit}".strip()
    return holds(value <= check.threshold, check, f"{words}, took {value:g}")


def perplexity(check: Check, given: Given) -> Verdict:
    """Of the answer's own tokens, where the server tells their probabilities."""
    found = _perplexity(given)
    if found is None:
        return no_verdict("perplexity: the server gave no log probabilities")
    if check.threshold is None:
        return Verdict(passed=True, score=1.0)
    words = f"have a perplexity of at most {check.threshold:g}, has {found:.4g}"
    return holds(found <= check.threshold, check, words)


def perplexity_score(check: Check, given: Given) -> Verdict:
    """1 / (1 + perplexity)."""
    found = _perplexity(given)
    if found is None:
        return no_verdict("perplexity: the server gave no log probabilities")
    return reaches(1 / (1 + found), check, usual=0.0, name="the perplexity's score")


def _perplexity(given: Given) -> float | None:
    if not given.log_probabilities:
        return None
    mean = math.fsum(given.log_probabilities) / len(given.log_probabilities)
    return math.exp(min(-mean, 700.0))


def finish_reason(check: Check, given: Given) -> Verdict:
    wanted = text_of(check).lower()
    if not given.finish_reason:
        return no_verdict("finish-reason: the server did not tell")
    found = given.finish_reason.lower()
    return holds(found == wanted, check, f"end by '{wanted}', ended by '{found}'")


def guardrails(check: Check, given: Given) -> Verdict:
    """Whether a filter of the server let question and answer through."""
    return holds(not given.was_filtered, check, "pass the server's filter")


def valid_tool_calls(check: Check, given: Given) -> Verdict:
    """Calls of tools that were offered, with arguments that fit."""
    calls = _calls(given)
    if not calls:
        return holds(False, check, "call a tool")
    wrong = _wrong_call(calls, given.tools)
    return holds(wrong is None, check, f"call its tools well: {wrong}")


def _wrong_call(calls: list[Any], tools: tuple[Any, ...]) -> str | None:  # Any: OpenAI's form
    offered = {}
    for tool in map(_function, tools):
        offered[tool.get("name")] = tool.get("parameters")
    for function in map(_function, calls):
        name = function.get("name")
        if not isinstance(name, str) or name not in offered:
            return f"no tool '{name}' was offered"
        try:
            arguments = _arguments(function.get("arguments"))
        except (TypeError, ValueError):
            return f"the arguments of {name} are no JSON"
        schema = offered[name]
        wrong = _schema_error(schema, arguments) if schema else None
        if wrong is not None:
            return f"{name}: {wrong}"
    return None


def _function(part: Any) -> dict[str, Any]:  # Any: a tool or a call in one of several forms
    """What names it; empty for what is neither."""
    if not isinstance(part, dict):
        return {}
    inner = part.get("function", part)
    return inner if isinstance(inner, dict) else {}


def _arguments(written: Any) -> Any:  # Any: JSON, or a text of it
    """Raises: TypeError, ValueError for what is no JSON."""
    return written if isinstance(written, dict) else json.loads(written or "{}")


def tool_call_f1(check: Check, given: Given) -> Verdict:
    """Names of called tools against those that should be: the harmonic mean of both shares."""
    expected = set(list_of(check))
    called = {_name(call) for call in _calls(given)} - {None}
    common = len(expected & called)
    score = 0.0
    if common:
        score = 2 * common / (len(expected) + len(called))
    threshold = 1.0 if check.threshold is None else check.threshold
    passed = (score >= threshold) is not check.is_negated
    reason = "" if passed else f"F1 of tool calls is {score:.3g}: called {sorted(map(str, called))}"
    return Verdict(passed=passed, score=score, reason=reason)


def _name(call: Any) -> str | None:  # Any: a call in one of several forms
    if not isinstance(call, dict):
        return None
    for key in ("function", "functionCall"):
        inner = call.get(key)
        if isinstance(inner, dict):
            call = inner
    name = call.get("name")
    return name if isinstance(name, str) else None


def _calls(given: Given) -> list[Any]:  # Any: OpenAI's form of a call
    """Those that the server told apart, or that the text is."""
    if given.tool_calls:
        return list(given.tool_calls)
    found: list[Any] = []
    for value in json_values(given.text):
        items = value if isinstance(value, list) else [value]
        for item in items:
            if isinstance(item, dict) and isinstance(item.get("tool_calls"), list):
                found += item["tool_calls"]
            elif isinstance(item, dict):
                found.append(item)
    return [each for each in found if _name(each)]
