"""Request bodies: seeded, of the exact length in the server's tokens, and never by accident in a
warm cache.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.bench.plan import Words, Workload
from llmops_cli.bench.rows import PromptRow
from llmops_cli.bench.tokens import measure_words
from llmops_cli.bench.vocabulary import WORDS
from llmops_cli.bench.workload import SessionSource

OVERHEAD = 9


def count(text: str) -> int:
    """A tokenizer that splits some words in two, with a chat template around."""
    return OVERHEAD + sum(1 + (len(word) > 5) for word in text.split()[1:])


EXACT = measure_words(count, free=True)


def source(
    *,
    words: Words = EXACT,
    seed: str = "0",
    rows: list[PromptRow] | None = None,
    spool: Path | None = None,
    **fields: Any,
) -> SessionSource:
    if rows is not None:
        assert spool is not None
        import msgspec

        spool.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        fields["spool"] = str(spool)
    work = Workload(
        **{
            "kind": "synthetic",
            "api": "chat",
            "fields": {"model": "m"},
            "input_tokens": 64,
            "output_tokens": 16,
            "words": words,
            **fields,
        }
    )
    return SessionSource(work, seed)


def prompt_of(source: SessionSource, index: int) -> str:
    turn = source.session(index).next_turn(None)
    assert turn is not None
    body = json.loads(turn.body)
    return str(body["messages"][0]["content"])


@given(st.integers(12, 3000), st.integers(0, 50), st.text("0123456789abcdef", max_size=8))
def test_a_prompt_has_exactly_the_tokens_asked_for(tokens: int, index: int, nonce: str) -> None:
    made = source(input_tokens=tokens, nonce=nonce)
    assert EXACT.exact
    assert count(prompt_of(made, index)) == tokens


def test_the_same_seed_gives_the_same_requests_in_any_order() -> None:
    first = [prompt_of(source(input_tokens="uniform:20-90"), i) for i in range(6)]
    made = source(input_tokens="uniform:20-90")
    assert [prompt_of(made, i) for i in reversed(range(6))] == first[::-1]
    assert len(set(first)) == 6
    assert prompt_of(source(seed="1"), 0) != prompt_of(source(seed="2"), 0)


def test_another_run_shares_no_beginning_unless_asked() -> None:
    def common(a: str, b: str) -> int:
        return next(
            (i for i, (x, y) in enumerate(zip(a.split(), b.split(), strict=False)) if x != y),
            len(a.split()),
        )

    assert common(prompt_of(source(nonce="aa"), 0), prompt_of(source(nonce="bb"), 0)) <= 3
    assert prompt_of(source(), 0) == prompt_of(source(), 0)


def test_a_shared_prefix_has_its_length_and_share() -> None:
    made = source(input_tokens=100, shared_prefix_tokens=60, shared_prefix_share=0.5)
    prompts = [prompt_of(made, i) for i in range(400)]
    assert all(count(prompt) == 100 for prompt in prompts)
    heads = [" ".join(prompt.split()[:30]) for prompt in prompts]
    most = max(heads.count(head) for head in set(heads))
    assert 160 < most < 240
    assert len(set(prompts)) == 400


def test_a_conversation_sends_all_that_was_said_before() -> None:
    session = source(turns=3, think_time_s=2.0).session(0)
    assert session.think_time_s == 2.0
    bodies = []
    answer = None
    while (turn := session.next_turn(answer)) is not None:
        bodies.append(json.loads(turn.body)["messages"])
        answer = f"answer {len(bodies)}"
    assert [len(messages) for messages in bodies] == [1, 3, 5]
    assert bodies[2][:3] == bodies[1]
    assert bodies[2][3] == {"role": "assistant", "content": "answer 2"}
    assert not session.needs_answer


def test_trace_requests_share_blocks_by_their_hashes(tmp_path: Path) -> None:
    rows = [
        PromptRow(input_tokens=1100, output_tokens=5, hash_ids=[1, 2, 3]),
        PromptRow(input_tokens=1100, output_tokens=5, hash_ids=[1, 2, 4]),
        PromptRow(input_tokens=1100, output_tokens=5, hash_ids=[7, 8, 9]),
    ]
    made = source(kind="trace", rows=rows, spool=tmp_path / "rows")
    a, b, c = (prompt_of(made, i) for i in range(3))
    assert [count(text) for text in (a, b, c)] == [1100] * 3
    shared = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    assert count(a[:shared]) > 1000
    assert a.split()[1:9] != c.split()[1:9]
    made.close()


def test_rows_go_round_and_each_round_is_new_to_the_cache(tmp_path: Path) -> None:
    rows = [
        PromptRow(turns=["one"], output_tokens=3),
        PromptRow(messages=[{"role": "user", "content": "two"}]),
    ]
    made = source(kind="file", rows=rows, spool=tmp_path / "rows", nonce="n")
    assert [prompt_of(made, i) for i in range(4)] == [
        "[n] one",
        "[n] two",
        "[n-1] one",
        "[n-1] two",
    ]
    turn = made.session(0).next_turn(None)
    assert turn is not None
    assert json.loads(turn.body)["max_tokens"] == 3
    made.close()


def test_own_body_fields_win_and_completions_get_a_prompt() -> None:
    turn = (
        source(api="completions", fields={"model": "m", "max_tokens": 7, "top_p": 0.5})
        .session(0)
        .next_turn(None)
    )
    assert turn is not None
    body = json.loads(turn.body)
    assert (body["max_tokens"], body["top_p"]) == (7, 0.5)
    assert body["prompt"].startswith(WORDS[0])


def test_words_that_do_not_add_up_are_not_called_exact() -> None:
    assert not measure_words(lambda _: None, free=True).exact
    assert not measure_words(lambda text: len(text) // 4, free=True).exact
    assert not measure_words(
        count, free=False
    ).exact  # two tokens for a word, and no way to ask about each
    assert measure_words(lambda text: 3 + len(text.split()), free=False).exact
