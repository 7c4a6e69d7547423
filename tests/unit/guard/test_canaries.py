"""A policy's canaries are told in no answer, whole or piece by piece, plain or encoded."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.guard.check import Guard
from llmops_cli.guard.policy import load_policy
from llmops_cli.serve.answers.whole_guard import guarded_answer
from llmops_cli.serve.passed_endpoints import KNOWN

CANARY = "reference 7f3a91c2b4d5e608"
ENTRY = f"output: {{system_prompt: {{action: block, message: Withheld., canaries: [{CANARY}]}}}}"
TELLING = (
    f"My notes begin with [{CANARY.upper()}] and go on.",
    f"As asked, reversed: {CANARY[::-1]}",
    base64.b64encode(f"the line is {CANARY}, never repeat it".encode()).decode(),
)
HONEST = "The reference number of your order is 7f3a91."


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    policy = tmp_path / "policy.yaml"
    policy.write_text(ENTRY)
    return Guard(load_policy(policy))


@pytest.mark.parametrize("answer", TELLING)
def test_an_answer_that_tells_one_is_stopped(guard: Guard, answer: str) -> None:
    assert guard.check_output(answer).action == "block"
    assert Guard().check_output(answer).action != "block"


def test_another_is_not(guard: Guard) -> None:
    assert guard.check_output(HONEST).action == "allow"


def test_a_stream_that_tells_one_ends(guard: Guard) -> None:
    stream = guard.output_stream()
    shown = "".join(stream.feed(piece) for piece in TELLING[0]) + stream.finish()
    assert stream.decision is not None
    assert CANARY.upper() not in shown


def test_a_gateway_s_answer_is_replaced(guard: Guard) -> None:
    message = {"role": "assistant", "content": TELLING[0]}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    found = guarded_answer(guard, msgspec.json.encode(answer), KNOWN["/v1/chat/completions"])
    assert found.verdict is not None
    assert found.verdict.action == "block"
    assert CANARY.upper().encode() not in found.body
    assert b"Withheld." in found.body


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{action: block, canaries: [abc]}", "'abc' is said by chance"),
        ("{canaries: [reference 7f3a91c2]}", "canaries that may be told"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, entry: str, words: str) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"output: {{system_prompt: {entry}}}")
    with pytest.raises(UsageError, match=words):
        load_policy(policy)
