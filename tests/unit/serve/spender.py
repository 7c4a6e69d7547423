"""A server that spends as much as a body lets it, written from what servers do.

Not one token more is computed than a body that arrives allows, and not one less: vLLM's, SGLang's,
llama.cpp's, Ollama's and OpenAI's ways where they differ, whichever is dearest.
"""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]  # Any: OpenAI's fields
CONTEXT = 50_000
"""What is written where nothing bounds it."""
IMAGE = 16_384
UNBOUNDED = (None, 0, -1, -2)
"""As a limit: nothing was said, or what some servers take for no limit."""


def spent(path: str, body: Json) -> tuple[int, int]:
    """(prompt tokens, answer tokens)."""
    if path.endswith("/embeddings"):
        prompts = _prompts(body["input"])
        return prompts + _count(body["input"]) * _text(body.get("instruction")), 0
    if path.endswith("/responses"):
        prompt = _text(body.get("instructions")) + _items(body["input"]) + _tools(body)
        return prompt + 20, _limit(body, "max_output_tokens") + _thought(body)
    if path.endswith("/chat/completions"):
        prompt = _items(body["messages"]) + _tools(body) + _documents(body) + 30
        prompt += _text(body.get("system")) + _text(body.get("chat_template_kwargs"))
        each = _limit(body, "max_tokens", "max_completion_tokens", "n_predict") + _thought(body)
        each += _text(body.get("prediction"))
        return prompt, each * _answers(body)
    prompt = _prompts(body["prompt"]) + _count(body["prompt"]) * _text(body.get("suffix"))
    each = _limit(body, "max_tokens", "n_predict") + _thought(body)
    answer = each * _answers(body) * _count(body["prompt"])
    if body.get("echo"):
        answer += prompt * _answers(body)
    return prompt, answer


def _limit(body: Json, *names: str) -> int:
    """Of several limits some server obeys the largest; none at all is the context."""
    said = [body.get(name) for name in names]
    limits = [each for each in said if each not in UNBOUNDED]
    return max([*limits, body.get("min_tokens") or 0]) if limits else CONTEXT


def _answers(body: Json) -> int:
    copies = int(body.get("n") or 1) * int(body.get("best_of") or 1)
    return copies * 2 if body.get("use_beam_search") else copies


def _thought(body: Json) -> int:
    """Where thinking is counted beside an answer (DashScope)."""
    reasoning = body.get("reasoning") or {}
    thinking = body.get("thinking") or {}
    alone = body.get("thinking_budget") or 0
    inside = [reasoning.get("max_tokens"), *map(thinking.get, ("budget_tokens", "max_tokens"))]
    return int(alone) + sum(int(tokens or 0) for tokens in inside)


def _count(prompt: object) -> int:
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        return len(prompt)
    return 1


def _prompts(prompt: object) -> int:
    """With a mark before and behind each."""
    if isinstance(prompt, str):
        return _text(prompt) + 2
    assert isinstance(prompt, list)
    if all(isinstance(each, int) for each in prompt):
        return len(prompt) + 2
    return sum(map(_prompts, prompt))


def _items(value: object) -> int:
    if isinstance(value, str):
        return _text(value) + 5
    assert isinstance(value, list)
    return sum(_item(each) for each in value)


def _item(item: Json) -> int:
    """Its role, its marks, and all that it says."""
    total = 6 + _text(item.get("role")) + _text(item.get("name"))
    content = item.get("content") or item.get("output")
    if isinstance(content, list):
        for part in content:
            if "image" in part["type"]:
                total += IMAGE
            else:
                total += _text(part.get("text"))
    else:
        total += _text(content)
    for call in item.get("tool_calls") or ():
        total += 8 + _text(call["function"]["name"]) + _text(call["function"]["arguments"])
    return total


def _tools(body: Json) -> int:
    """Written with an indent (Llama 3.1), behind what tells the model how to call one."""
    tools = body.get("tools")
    if not tools:
        return 0
    return 300 + sum(_indented(tool) for tool in tools)


def _indented(value: object) -> int:
    """A run of spaces is a token, and so is every other byte."""
    lines = json.dumps(value, indent=4, ensure_ascii=False).split("\n")
    return sum(2 + _text(line.strip()) for line in lines)


def _documents(body: Json) -> int:
    return sum(15 + _text(json.dumps(each)) for each in body.get("documents") or ())


def _text(value: object) -> int:
    """Each byte a token: digits, rare signs, and all of it to some tokenizers."""
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode())
    return len(json.dumps(value, ensure_ascii=False).encode())


def answer(path: str, body: Json, price: tuple[float, float]) -> tuple[Json, float]:
    """What is answered, with its count, and what it costs."""
    prompt, said = spent(path, body)
    dollars = (prompt * price[0] + said * price[1]) / 1e6
    if path.endswith("/responses"):
        usage = {"input_tokens": prompt, "output_tokens": said}
        return {"object": "response", "status": "completed", "output": [], "usage": usage}, dollars
    counts = {"prompt_tokens": prompt, "completion_tokens": said}
    if path.endswith("/embeddings"):
        return {"data": [], "usage": counts}, dollars
    message = {"role": "assistant", "content": "x"}
    choice = {"index": 0, "message": message, "text": "x", "finish_reason": "stop"}
    return {"id": "x", "object": "x", "choices": [choice], "usage": counts}, dollars
