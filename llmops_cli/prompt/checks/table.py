"""Every type of assertion by name: ours, those of other packages, and promptfoo's rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import cast

from llmops_cli.core.names import load_named, plugin_names
from llmops_cli.prompt.case_file.suite import Check
from llmops_cli.prompt.checks.verdict import Given, Verdict

PACKAGE = "llmops_cli.prompt.checks"
GROUP = "llmops.assertions"
"""Entry points of functions (answer, context) -> bool, number, or {pass, score, reason}."""
CHECKS = {
    "equals": f"{PACKAGE}.texts:equals",
    "contains": f"{PACKAGE}.texts:contains",
    "icontains": f"{PACKAGE}.texts:icontains",
    "contains-any": f"{PACKAGE}.texts:contains_any",
    "icontains-any": f"{PACKAGE}.texts:icontains_any",
    "contains-all": f"{PACKAGE}.texts:contains_all",
    "icontains-all": f"{PACKAGE}.texts:icontains_all",
    "starts-with": f"{PACKAGE}.texts:starts_with",
    "ends-with": f"{PACKAGE}.texts:ends_with",
    "regex": f"{PACKAGE}.texts:regex",
    "word-count": f"{PACKAGE}.texts:word_count",
    "character-count": f"{PACKAGE}.texts:character_count",
    "is-refusal": f"{PACKAGE}.texts:is_refusal",
    "is-json": f"{PACKAGE}.structure:is_json",
    "contains-json": f"{PACKAGE}.structure:contains_json",
    "is-xml": f"{PACKAGE}.structure:is_xml",
    "contains-xml": f"{PACKAGE}.structure:contains_xml",
    "is-html": f"{PACKAGE}.structure:is_html",
    "contains-html": f"{PACKAGE}.structure:contains_html",
    "is-sql": f"{PACKAGE}.structure:is_sql",
    "contains-sql": f"{PACKAGE}.structure:contains_sql",
    "levenshtein": f"{PACKAGE}.overlap:levenshtein",
    "rouge-n": f"{PACKAGE}.overlap:rouge_n",
    "bleu": f"{PACKAGE}.overlap:bleu",
    "gleu": f"{PACKAGE}.overlap:gleu",
    "meteor": f"{PACKAGE}.overlap:meteor",
    "latency": f"{PACKAGE}.measured:latency",
    "cost": f"{PACKAGE}.measured:cost",
    "perplexity": f"{PACKAGE}.measured:perplexity",
    "perplexity-score": f"{PACKAGE}.measured:perplexity_score",
    "finish-reason": f"{PACKAGE}.measured:finish_reason",
    "guardrails": f"{PACKAGE}.measured:guardrails",
    "is-valid-openai-tools-call": f"{PACKAGE}.measured:valid_tool_calls",
    "is-valid-openai-function-call": f"{PACKAGE}.measured:valid_tool_calls",
    "is-valid-function-call": f"{PACKAGE}.measured:valid_tool_calls",
    "tool-call-f1": f"{PACKAGE}.measured:tool_call_f1",
}
JUDGED = {
    "llm-rubric": f"{PACKAGE}.judged:rubric",
    "model-graded-closedqa": f"{PACKAGE}.judged:closed_question",
    "factuality": f"{PACKAGE}.judged:factuality",
    "model-graded-factuality": f"{PACKAGE}.judged:factuality",
    "g-eval": f"{PACKAGE}.judged:graded",
    "answer-relevance": f"{PACKAGE}.judged:answer_relevance",
    "context-faithfulness": f"{PACKAGE}.judged:context_faithfulness",
    "context-recall": f"{PACKAGE}.judged:context_recall",
    "context-relevance": f"{PACKAGE}.judged:context_relevance",
    "similar": f"{PACKAGE}.judged:similar",
    "similar:cosine": f"{PACKAGE}.judged:similar",
    "similar:dot": f"{PACKAGE}.judged:similar",
    "similar:euclidean": f"{PACKAGE}.judged:similar",
}
"""By a model elsewhere."""
COMPARED = ("select-best", "max-score")
"""Of all answers to one case, once they are there."""
EMBEDDED = ("similar", "similar:cosine", "similar:dot", "similar:euclidean", "answer-relevance")
ELSEWHERE = {
    "javascript": "code in a file is not run; a package may provide it (llmops.assertions)",
    "python": "code in a file is not run; a package may provide it (llmops.assertions)",
    "ruby": "code in a file is not run",
    "webhook": "answers are sent to no third place",
    "pi": "a service of its own",
    "classifier": "a model of its own kind",
    "moderation": "a service of its own; llmops guard judges texts",
    "search-rubric": "a judge that searches the web",
    "agent-rubric": "a judge that is an agent",
    "research-rubric": "a judge that is an agent",
    "conversation-relevance": "conversations of several turns",
    "skill-used": "traces of agents",
    "trace-error-spans": "traces of agents",
    "trace-span-count": "traces of agents",
    "trace-span-duration": "traces of agents",
    "trajectory:goal-success": "traces of agents",
    "trajectory:tool-args-match": "traces of agents",
    "trajectory:step-count": "traces of agents",
    "trajectory:tool-sequence": "traces of agents",
    "trajectory:tool-used": "traces of agents",
    "human": "a person's verdict; POST /v1/feedback takes those",
    "math-equivalent": "computer algebra",
    "bertscore": "a model of its own kind",
}
"""promptfoo's types that are not judged here, and why."""

Function = Callable[[Check, Given], Verdict]
JudgedFunction = Callable[..., Awaitable[Verdict]]


@lru_cache(maxsize=1)
def known_kinds() -> frozenset[str]:
    """Types without `not-`."""
    return frozenset({*CHECKS, *JUDGED, *COMPARED, *plugin_names(GROUP)})


@lru_cache(maxsize=256)
def function_of(kind: str) -> Function:
    """Of a type that needs no model."""
    if kind in CHECKS:
        return cast(Function, load_named("assertion type", kind, CHECKS, GROUP))
    from llmops_cli.prompt.checks.provided import adapted

    return adapted(kind, load_named("assertion type", kind, CHECKS, GROUP))


@lru_cache(maxsize=64)
def judged_function(kind: str) -> JudgedFunction:
    """Of a type that asks a model."""
    return cast(JudgedFunction, load_named("assertion type", kind, JUDGED, GROUP))
