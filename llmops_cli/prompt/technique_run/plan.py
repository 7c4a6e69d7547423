"""What a run will do, settled before anything is made or sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.prompt.answers.form import AnswerForm
from llmops_cli.prompt.answers.table import answer_form
from llmops_cli.prompt.embedding import Embedding
from llmops_cli.prompt.technique_run.cases import Case, read_cases, read_examples
from llmops_cli.prompt.technique_run.outcome import Task
from llmops_cli.prompt.technique_run.recipe import PromptRunRecipe
from llmops_cli.prompt.techniques.asking import QUESTION
from llmops_cli.prompt.techniques.table import technique_maker
from llmops_cli.prompt.techniques.technique import Example, Technique, TechniqueSettings
from llmops_cli.prompt.tools.table import tools_of
from llmops_cli.prompt.tools.tool import ToolSettings
from llmops_cli.prompt_file.library import find_prompt
from llmops_cli.prompt_file.prompt import Prompt, PromptMessage
from llmops_cli.runtime.chat import (
    Cap,
    ChatCaps,
    ChatEndpoint,
    chat_endpoint,
    require_one_bought,
)
from llmops_cli.runtime.chat_request import TokenBound
from llmops_cli.runtime.digests import digest_value
from llmops_cli.runtime.keys import api_key

QUESTION_ALONE = Prompt(
    name="question",
    messages=(PromptMessage(role="user", content=f"{{{{{QUESTION}}}}}"),),
)
DEFAULT_MODEL = "default"
"""What a helper's model is called unless the user says it; most servers take any name then."""
WITH_TOOLS = "react"

CAP_FLAGS = {Cap.REQUESTS: "--max-calls", Cap.MONEY: "--max-cost"}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that follows from the recipe alone.

    `key`: of the model's endpoint. `contents`: a digest of what the files hold.
    """

    cases: Sequence[Case]
    form: AnswerForm
    prompt: Prompt
    techniques: dict[str, Technique]
    prices: Prices
    key: str
    evaluator: ChatEndpoint | None
    contents: str

    def tasks(self, technique: str) -> list[Task]:
        """All questions by this technique."""
        before = list(self.techniques).index(technique) * len(self.cases)
        return [Task(before + case.number, technique, case) for case in self.cases]


def plan_of(recipe: PromptRunRecipe) -> Plan:
    """All that can be settled without a model or a network.

    Raises: UsageError for what cannot be; EnvironmentMissing for a key that is named and not set.
    """
    prices = Prices(input=recipe.price_in, output=recipe.price_out)
    if recipe.max_cost is not None and not prices.are_given:
        raise UsageError(
            "--max-cost needs prices", hint="--price-in and --price-out, for a million tokens"
        )
    cases = _cases(recipe)
    _require_affordable(recipe, cases, prices)
    examples = read_examples(Path(recipe.examples)) if recipe.examples else []
    settings = _settings(recipe, cases, examples)
    return Plan(
        cases=cases,
        form=settings.form,
        prompt=settings.prompt,
        techniques=_techniques(recipe, settings),
        prices=prices,
        key=api_key(recipe.api_key_env),
        evaluator=_evaluator(recipe, prices),
        contents=_contents(cases, settings),
    )


def _require_affordable(recipe: PromptRunRecipe, cases: Sequence[Case], prices: Prices) -> None:
    """Raises: UsageError for a cap that buys not even the shortest question alone."""
    caps = ChatCaps(requests=recipe.max_calls, money=recipe.max_cost)
    shortest = min((len(case.question.encode()) for case in cases), default=0)
    least = TokenBound(shortest, recipe.max_tokens)
    require_one_bought(caps, [least], prices, flags=CAP_FLAGS)


def _cases(recipe: PromptRunRecipe) -> list[Case]:
    """Raises: UsageError for neither a question nor cases, and for both."""
    question = (recipe.question or "").strip()
    if bool(question) == bool(recipe.cases):
        raise UsageError(
            "a question, or --cases FILE",
            hint="llmops prompt run 'What is 2 + 2?' --technique cot",
        )
    if recipe.cases:
        return read_cases(Path(recipe.cases), flag="--cases", most=recipe.most_cases)
    return [Case(number=0, question=question)]


def _settings(
    recipe: PromptRunRecipe,
    cases: Sequence[Case],
    examples: Sequence[Example],
) -> TechniqueSettings:
    tools = {}
    if recipe.tools:
        files = Path(recipe.files) if recipe.files else None
        tools = tools_of(recipe.tools, ToolSettings(files=files, hosts=recipe.allow_host))
    pool = [case.question for case in cases] if recipe.cases else []
    if recipe.pool is not None:
        pool = [case.question for case in read_cases(Path(recipe.pool), flag="--pool")]
    return TechniqueSettings(
        form=answer_form(recipe.answer),
        prompt=_prompt(recipe),
        values=recipe.variables,
        examples=examples,
        shots=recipe.shots,
        pool=pool,
        embed=_embedding(recipe),
        samples=recipe.samples,
        confidence=recipe.confidence,
        stop_rule=recipe.stop_rule,
        weights=recipe.weights,
        sampling_temperature=recipe.sampling_temperature,
        tools=tools,
        max_steps=recipe.max_steps,
        search=recipe.search,
        breadth=recipe.breadth,
        keep=recipe.keep,
        depth=recipe.depth,
        ratings=recipe.ratings,
        rounds=recipe.rounds,
        seed=recipe.seed,
    )


def _prompt(recipe: PromptRunRecipe) -> Prompt:
    """Raises: UsageError for a prompt that has no place for the question, or lacks a value."""
    if recipe.prompt is None:
        if recipe.variables:
            raise UsageError("--var is for a prompt's variables", hint="--prompt FILE")
        return QUESTION_ALONE
    prompt = find_prompt(recipe.prompt)
    if QUESTION not in prompt.holes:
        raise UsageError(f"prompt '{prompt.name}' has no {{{{question}}}} in it")
    if prompt.messages[-1].role != "user":
        raise UsageError(f"the last message of prompt '{prompt.name}' is not the user's")
    if QUESTION in recipe.variables:
        raise UsageError("--var question: the question stands alone", hint="QUESTION, or --cases")
    prompt.filled({**recipe.variables, QUESTION: ""})
    return prompt


def _techniques(recipe: PromptRunRecipe, settings: TechniqueSettings) -> dict[str, Technique]:
    if not recipe.technique:
        raise UsageError("--technique names nothing", hint="--technique cot")
    found = {}
    for name in recipe.technique:
        if name in found:
            raise UsageError(f"--technique {name} is given twice")
        found[name] = technique_maker(name)(settings)
    if recipe.tools and WITH_TOOLS not in found:
        raise UsageError("--tool is for --technique react", hint="--technique react")
    return found


def _embedding(recipe: PromptRunRecipe) -> Embedding | None:
    if recipe.embedding_url is None:
        if recipe.embedding_model:
            raise UsageError("--embedding-model is a model's name at --embedding-url")
        return None
    endpoint = chat_endpoint(
        recipe.embedding_url, recipe.embedding_model or DEFAULT_MODEL, field="embedding_url"
    )
    return Embedding(endpoint)


def _evaluator(recipe: PromptRunRecipe, prices: Prices) -> ChatEndpoint | None:
    """A model that rates, with its own key; the model's key is not for it."""
    key = api_key(recipe.evaluator_key_env)
    if recipe.evaluator_url is None:
        if recipe.evaluator_model:
            raise UsageError("--evaluator-model is a model's name at --evaluator-url")
        return None
    name = recipe.evaluator_model or DEFAULT_MODEL
    return chat_endpoint(recipe.evaluator_url, name, key=key, field="evaluator_url", prices=prices)


NOT_DECIDING = (
    "concurrency",
    "rate",
    "retries",
    "timeout_s",
    "max_calls",
    "max_cost",
    "price_in",
    "price_out",
)
"""Fields of a recipe that may differ in a run that goes on."""


def plan_digest(recipe: PromptRunRecipe, plan: Plan) -> str:
    """Of all that decides the outcomes. The recipe's model has the name that it is asked by."""
    fields = msgspec.to_builtins(recipe)
    for name in NOT_DECIDING:
        fields.pop(name)
    return digest_value({"recipe": fields, "contents": plan.contents})


def _contents(cases: Sequence[Case], settings: TechniqueSettings) -> str:
    """A digest of what the files hold that a recipe names."""
    decides = {
        "cases": msgspec.to_builtins(list(cases)),
        "examples": msgspec.to_builtins(list(settings.examples)),
        "pool": list(settings.pool),
        "prompt": settings.prompt.digest,
    }
    return digest_value(decides)
