"""One answer to one case, had and judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmops_cli.prompt.case_file.suite import Case
from llmops_cli.prompt.chats import Messages, chat_of, question_of
from llmops_cli.prompt.checks.verdict import Given
from llmops_cli.prompt.evals.judging import ClientJudge, Embedder, judge_answer
from llmops_cli.prompt.evals.outcome import EvalOutcome, EvalTask
from llmops_cli.prompt.evals.plan import EvalPlan
from llmops_cli.prompt.evals.recipe import EvalRecipe
from llmops_cli.prompt.transforms import as_text
from llmops_cli.runtime.chat import Answer, BudgetSpent, ChatClient, Filtered, Unanswered

USUAL_TOKENS = 1024
Fields = dict[str, Any]  # Any: OpenAI's own


class Answerer:
    """Of one model. `settings`: what the file of cases asks of it."""

    def __init__(
        self,
        recipe: EvalRecipe,
        plan: EvalPlan,
        client: ChatClient,
        *,
        settings: Mapping[str, object],
        judge_client: ChatClient | None,
        embedder: Embedder | None,
    ) -> None:
        self._recipe = recipe
        self._plan = plan
        self._client = client
        self._model_settings = dict(settings)
        self._judge_client = judge_client
        self._embedder = embedder

    async def outcome(self, task: EvalTask) -> EvalOutcome:
        """What came of it, whatever that is. Raises: BudgetSpent."""
        case = self._plan.cases[task.case]
        if case.given_answer is not None:
            given = _given(case, [], {}, text=case.given_answer)
            return await self._judged(task, case, given)
        source = self._plan.prompts[task.prompt]
        messages = chat_of(source, case)
        asked = asked_fields(self._recipe, {**source.settings, **self._model_settings})
        try:
            answer = await self._client.answer(
                messages, seed=self._recipe.seed, repeat=task.repeat, **asked
            )
        except BudgetSpent:
            raise
        except Unanswered as failed:
            return EvalOutcome(number=task.number, error=failed.kind)
        except Filtered:
            given = _given(case, messages, asked, was_filtered=True)
            return await self._judged(task, case, given)
        given = _answered(_given(case, messages, asked), answer)
        outcome = await self._judged(task, case, given)
        return msgspec.structs.replace(
            outcome,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            is_cached=answer.is_cached,
        )

    async def _judged(self, task: EvalTask, case: Case, given: Given) -> EvalOutcome:
        judge = ClientJudge(self._judge_client, self._embedder)
        score = await judge_answer(case, given, judge)
        return EvalOutcome(
            number=task.number,
            answer=given.text,
            score=score,
            error=score.error,
            latency_ms=given.latency_ms,
            judge_tokens=judge.tokens,
            cost=given.cost,
            finish_reason=given.finish_reason,
        )


def asked_fields(recipe: EvalRecipe, settings: Fields) -> Fields:
    """The command line's word, then the prompt's or the file's, then ours."""
    asked = {
        "temperature": settings.get("temperature", 0.0),
        "max_tokens": settings.get("max_tokens", USUAL_TOKENS),
        "response_format": settings.get("response_format"),
        "tools": settings.get("tools"),
        "stop": settings.get("stop") or (),
    }
    if recipe.temperature is not None:
        asked["temperature"] = recipe.temperature
    if recipe.max_tokens is not None:
        asked["max_tokens"] = recipe.max_tokens
    if isinstance(asked["stop"], str):
        asked["stop"] = (asked["stop"],)
    return asked


def _given(
    case: Case,
    messages: Messages,
    asked: Fields,
    *,
    text: str = "",
    was_filtered: bool = False,
) -> Given:
    return Given(
        text=text,
        value=text,
        question=question_of(messages),
        variables=case.variables,
        finish_reason="content_filter" if was_filtered else "",
        tools=tuple(asked.get("tools") or ()),
        was_filtered=was_filtered,
        factuality=case.options.factuality,
        rubric=case.options.rubric,
    )


def _answered(given: Given, answer: Answer) -> Given:
    """With what the model said; calls of tools stand for the text where there is none."""
    value: Any = answer.text  # Any: a text, or calls in OpenAI's form
    if answer.tool_calls and not answer.text:
        value = list(answer.tool_calls)
    text = as_text(value)
    return msgspec.structs.replace(
        given,
        text=text,
        value=value,
        latency_ms=None if answer.is_cached else round(answer.latency_s * 1e3, 3),
        cost=answer.cost,
        finish_reason=answer.finish_reason,
        tool_calls=answer.tool_calls,
    )
