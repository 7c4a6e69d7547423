"""What an optimization leaves in its folder: a prompt that needs none of this.

`messages.json` and `prompt.md` hold the prompt with its holes; `requests.jsonl` the bodies of the
test split, which `curl.sh` sends.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt.chats import chat_of
from llmops_cli.prompt.evals.answering import asked_fields
from llmops_cli.prompt.export import KEY_VARIABLE
from llmops_cli.prompt.optimize.candidate import base_messages
from llmops_cli.prompt.optimize.plan import OptimizePlan
from llmops_cli.prompt.optimize.recipe import OptimizeRecipe
from llmops_cli.prompt.optimize.written_prompt import prompt_text
from llmops_cli.runtime.chat import ChatEndpoint
from llmops_cli.runtime.chat_dialects import spelling_of
from llmops_cli.runtime.chat_request import ChatRequest, seed_of
from llmops_cli.runtime.files import write_atomic

PROMPT = "prompt.md"
MESSAGES = "messages.json"
REQUESTS = "requests.jsonl"
CURL = "curl.sh"
Fields = dict[str, Any]  # Any: JSON


def write_result(
    folder: Path,
    source: PromptSource,
    *,
    recipe: OptimizeRecipe,
    plan: OptimizePlan,
    endpoint: ChatEndpoint,
) -> list[str]:
    """Names of the files. A prompt that `prompt_file` cannot say has no prompt.md."""
    asked = asked_fields(recipe.as_eval(), {**source.settings, **plan.model.settings})
    messages = base_messages(source)
    bodies = [
        _body(source, case, recipe=recipe, plan=plan, endpoint=endpoint, asked=asked)
        for case in plan.splits.test
    ]
    files = {
        MESSAGES: msgspec.json.format(msgspec.json.encode(messages), indent=2) + b"\n",
        REQUESTS: b"".join(body + b"\n" for body in bodies),
        CURL: _curl(recipe, endpoint).encode(),
    }
    text = prompt_text(source.label, messages, front=_front(source, asked, endpoint.model))
    if text is not None:
        files[PROMPT] = text.encode()
    else:
        (folder / PROMPT).unlink(missing_ok=True)
    for name, content in files.items():
        write_atomic(folder / name, content)
    return sorted(files)


def _body(
    source: PromptSource,
    case: int,
    *,
    recipe: OptimizeRecipe,
    plan: OptimizePlan,
    endpoint: ChatEndpoint,
    asked: Mapping[str, Any],  # Any: as OpenAI has them
) -> bytes:
    """Exactly what was sent."""
    messages = chat_of(source, plan.cases[case])
    request = ChatRequest(
        messages=messages,
        seed=seed_of(recipe.seed, 0, messages),
        **{**asked, "tools": tuple(asked["tools"] or ()), "stop": tuple(asked["stop"])},
    )
    return msgspec.json.encode(spelling_of(endpoint).body(endpoint.model, request))


def _front(source: PromptSource, asked: Fields, model: str) -> Fields:
    """How it was asked, so that the file alone says it."""
    parameters = {"temperature": asked["temperature"], "max_tokens": asked["max_tokens"]}
    if asked["stop"]:
        parameters["stop"] = list(asked["stop"])
    front: Fields = {"model": model, "parameters": parameters}
    schema = _schema(asked["response_format"])
    if schema is not None:
        front["schema"] = schema
    if source.defaults:
        front["variables"] = source.defaults
    return front


def _schema(response_format: Any) -> Any:  # Any: OpenAI's form
    if not isinstance(response_format, dict):
        return None
    named = response_format.get("json_schema")
    return named.get("schema") if isinstance(named, dict) else None


def _curl(recipe: OptimizeRecipe, endpoint: ChatEndpoint) -> str:
    """An answer a line, in the order of the requests."""
    variable = recipe.api_key_env if recipe.api_key_env.isidentifier() else KEY_VARIABLE
    url = shlex.quote(endpoint.url + spelling_of(endpoint).path)
    return (
        "#!/bin/sh\n"
        "# Asks the test split again: an answer a line, in the order of requests.jsonl.\n"
        "while IFS= read -r body; do\n"
        f"  printf '%s' \"$body\" | curl -sS {url} \\\n"
        "    -H 'Content-Type: application/json' \\\n"
        f'    -H "Authorization: Bearer ${{{variable}:-}}" --data-binary @-\n'
        "  echo\n"
        f'done < "$(dirname "$0")/{REQUESTS}"\n'
    )
