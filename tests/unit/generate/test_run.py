"""Rows to answers: each form, in order, once each, within caps, and again where it failed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, GateFailed, UsageError
from llmops_cli.generate.gates import condition_of, failure_of
from llmops_cli.generate.recipe import GenerateRecipe
from llmops_cli.generate.report import Stop
from tests.chat_server import ChatServer, Reply, says, serving
from tests.unit.generate.batches import batch_row, read_rows, run_batch, write_rows


def echo(server: ChatServer, number: int) -> Reply:
    """The last message again, so that an answer tells whose it is."""
    body = json.loads(server.bodies[number])
    return says(f"to {body['messages'][-1]['content']}", prompt_tokens=3, completion_tokens=2)


@pytest.fixture
def server():
    with serving(lambda _: says("x"), model="m") as found:

        def answer(number: int) -> Reply:
            return echo(found, number)

        found.answer = answer
        yield found


def test_batch_rows_become_openais_batch_output_in_order(
    server: ChatServer, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [batch_row(number) for number in range(20)])
    report = run_batch(source, tmp_path / "out.jsonl", server.url)
    rows = read_rows(tmp_path / "out.jsonl")
    assert [row["custom_id"] for row in rows] == [f"row-{number}" for number in range(20)]
    for number, row in enumerate(rows):
        assert row["error"] is None
        response = row["response"]
        assert response["status_code"] == 200
        said = response["body"]["choices"][0]["message"]["content"]
        assert said == f"to question {number}"
    assert (report.answered, report.failed, report.not_asked) == (20, 0, 0)
    assert (report.input_tokens, report.output_tokens) == (60, 40)
    assert failure_of(report, []) is None
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "run"]


def test_other_rows_keep_their_fields_and_get_an_answer(server: ChatServer, tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "three"}]
    rows = ["one", {"prompt": "two", "id": 7}, {"messages": chat}, {"text": "four"}]
    source = write_rows(tmp_path / "in.jsonl", rows)
    run_batch(source, tmp_path / "out.jsonl", server.url, system="Be brief.", max_tokens=9, seed=5)
    found = read_rows(tmp_path / "out.jsonl")
    assert [row["answer"] for row in found] == ["to one", "to two", "to three", "to four"]
    assert found[1]["id"] == 7
    assert found[0]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2}
    body = json.loads(server.bodies[0])
    assert body["model"] == "m"
    assert body["max_tokens"] == 9
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_rows_have_seeds_of_their_own_that_one_seed_decides(
    server: ChatServer, tmp_path: Path
) -> None:
    """Rows that share a seed share their luck, and equal rows would be one answer."""
    source = write_rows(tmp_path / "in.jsonl", ["one", "one", "two"])
    for name in ("a", "b"):
        run_batch(source, tmp_path / f"{name}.jsonl", server.url, seed=5)
    run_batch(source, tmp_path / "c.jsonl", server.url, seed=6)
    seeds = [json.loads(body)["seed"] for body in server.bodies]
    first, second, other = (sorted(seeds[at : at + 3]) for at in (0, 3, 6))
    assert len(set(first)) == 3
    assert second == first
    assert not set(other) & set(first)


def test_parquet_and_plain_text_are_rows_too(server: ChatServer, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"prompt": ["a", "b"], "number": [1, 2]})
    parquet.write_table(table, tmp_path / "in.parquet")
    run_batch(tmp_path / "in.parquet", tmp_path / "out.jsonl", server.url)
    assert [row["answer"] for row in read_rows(tmp_path / "out.jsonl")] == ["to a", "to b"]
    (tmp_path / "in.txt").write_text("first\nsecond\n")
    run_batch(tmp_path / "in.txt", tmp_path / "out2.jsonl", server.url)
    assert [row["answer"] for row in read_rows(tmp_path / "out2.jsonl")] == [
        "to first",
        "to second",
    ]


def test_rows_of_parquet_are_sent_without_the_fields_that_they_lack(
    server: ChatServer, tmp_path: Path
) -> None:
    """A column of structs has in each row what any row has."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        [{"role": "user", "content": "a", "name": "Ann"}],
        [{"role": "user", "content": "b"}, {"role": "assistant", "content": None}],
        [{"role": "user", "content": "c"}],
    ]
    parquet.write_table(pyarrow.table({"messages": rows}), tmp_path / "in.parquet")
    run_batch(tmp_path / "in.parquet", tmp_path / "out.jsonl", server.url, concurrency=1)
    assert [json.loads(body)["messages"] for body in server.bodies] == rows


def test_an_error_inside_a_200_is_no_answer_to_a_batch_row(tmp_path: Path) -> None:
    overload = {"error": {"type": "overloaded_error", "message": "later"}}
    wrong = {"error": {"type": "invalid_request_error", "message": "no"}}
    replies = iter([(200, overload), says("fine"), (200, wrong)])
    source = write_rows(tmp_path / "in.jsonl", [batch_row(number) for number in range(2)])
    with serving(lambda _: next(replies)) as server:
        report = run_batch(source, tmp_path / "out.jsonl", server.url, retries=1, concurrency=1)
    assert (report.answered, report.error_kinds) == (1, {"error in the reply": 1})
    assert read_rows(tmp_path / "out.jsonl")[1]["error"]["message"] == "no"


def test_tokens_that_no_server_counts_are_estimated(tmp_path: Path) -> None:
    def answer(_: int) -> Reply:
        return 200, {"choices": [{"message": {"role": "assistant", "content": "x" * 400}}]}

    source = write_rows(tmp_path / "in.jsonl", [batch_row(0, max_tokens=100)])
    with serving(answer) as server:
        report = run_batch(source, tmp_path / "out.jsonl", server.url, max_total_tokens=1000)
    assert report.output_tokens == 100
    assert 10 < report.input_tokens < 60


def test_a_batch_row_keeps_its_own_model_unless_one_is_named(
    server: ChatServer, tmp_path: Path
) -> None:
    rows = [batch_row(0, model="a"), batch_row(1, model=None)]
    source = write_rows(tmp_path / "in.jsonl", rows)
    run_batch(source, tmp_path / "one.jsonl", server.url, concurrency=1)
    assert [json.loads(body)["model"] for body in server.bodies] == ["a", "m"]
    with pytest.raises(UsageError, match="line 1: its model is 'a', not 'n'"):
        run_batch(source, tmp_path / "two.jsonl", server.url, model="n")
    run_batch(source, tmp_path / "two.jsonl", server.url, model="n", replace_model=True)
    assert {json.loads(body)["model"] for body in server.bodies[2:]} == {"n"}


def test_rows_that_fail_are_named_and_asked_again_when_told(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [batch_row(number) for number in range(6)])
    output = tmp_path / "out.jsonl"
    refused = (400, {"error": {"message": "too long"}})
    replies = iter([refused, *[says("ok") for _ in range(5)]])
    with serving(lambda _: next(replies)) as server:
        report = run_batch(source, output, server.url, concurrency=1)
    assert report.error_kinds == {"http 400": 1}
    assert read_rows(output)[0]["error"] == {"code": "http 400", "message": "too long"}
    with serving(lambda _: says("now")) as server:
        kept = run_batch(source, output, server.url)
        assert (kept.answered_before, kept.failed, server.asked) == (5, 1, 0)
        mended = run_batch(source, output, server.url, retry_errors=True)
        assert server.asked == 1
    assert (mended.answered, mended.failed) == (6, 0)
    assert read_rows(output)[0]["error"] is None


def test_nothing_answered_is_a_failure_and_conditions_are_gates(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", ["a", "b"])
    with serving(lambda _: (404, {"error": {"message": "no such model"}})) as server:
        report = run_batch(source, tmp_path / "out.jsonl", server.url)
    failure = failure_of(report, [])
    assert isinstance(failure, EngineFailed)
    assert "http 404" in failure.message
    assert read_rows(tmp_path / "out.jsonl")[1]["error"]["kind"] == "http 404"
    replies = iter([(404, {}), says("ok")])
    with serving(lambda _: next(replies)) as server:
        report = run_batch(source, tmp_path / "out2.jsonl", server.url)
    assert failure_of(report, []) is None
    recipe = GenerateRecipe()
    assert isinstance(failure_of(report, [condition_of("errors > 10%", recipe)]), GateFailed)
    assert failure_of(report, [condition_of("errors > 60%", recipe)]) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("errors > 5", "never holds"),
        ("errors >= 0%", "always holds"),
        ("cost > 1", "needs prices"),
        ("cost > 5%", "has no unit"),
        ("errors.x > 1%", "no part 'x'"),
    ],
)
def test_a_condition_that_can_tell_nothing_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        condition_of(text, GenerateRecipe())


def test_a_cost_beyond_the_cap_can_never_be(tmp_path: Path) -> None:
    recipe = GenerateRecipe(price_in=1.0, max_cost=3.0)
    condition_of("cost > 2", recipe)
    with pytest.raises(UsageError, match="never holds"):
        condition_of("cost > 3", recipe)


def test_a_cap_below_one_row_is_told_before_anything_is_sent(
    server: ChatServer, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", ["a question"])
    with pytest.raises(UsageError, match="--max-total-tokens buys no request"):
        run_batch(source, tmp_path / "out", server.url, max_total_tokens=9, max_tokens=8)
    assert not server.bodies


def test_a_cap_is_not_passed_and_a_higher_one_goes_on(server: ChatServer, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [batch_row(number) for number in range(10)])
    output = tmp_path / "out.jsonl"
    report = run_batch(source, output, server.url, max_requests=4)
    assert report.stopped is Stop.REQUESTS
    assert (server.asked, report.answered, report.not_asked) == (4, 4, 6)
    assert isinstance(failure_of(report, []), GateFailed)
    kinds = [(row["error"] or {}).get("code") for row in read_rows(output)]
    assert kinds.count("not asked") == 6
    again = run_batch(source, output, server.url, max_requests=100)
    assert (server.asked, again.answered) == (10, 10)


def test_a_cap_in_tokens_needs_a_limit_of_answers(server: ChatServer, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", ["a" * 100] * 20)
    with pytest.raises(UsageError, match="limit for each answer"):
        run_batch(source, tmp_path / "out.jsonl", server.url, max_total_tokens=1000)
    report = run_batch(
        source, tmp_path / "out.jsonl", server.url, max_total_tokens=250, max_tokens=10
    )
    assert report.stopped is Stop.TOKENS
    assert 0 < report.input_tokens + report.output_tokens <= 250


def test_a_server_that_leaves_ends_the_run(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [f"row {number}" for number in range(200)])
    with serving(lambda _: (200, b"")) as server:
        with pytest.raises(EnvironmentMissing, match="nothing answers"):
            run_batch(source, tmp_path / "out.jsonl", "http://127.0.0.1:1")
        found: list[Reply] = []

        def answer(number: int) -> Reply:
            if number > 3:
                raise ConnectionAbortedError
            found.append(says("ok"))
            return found[-1]

        server.answer = answer
        server.is_quiet = True
        report = run_batch(source, tmp_path / "out.jsonl", server.url)
    assert report.stopped is Stop.SERVER_GONE
    assert report.not_asked > 100
    assert isinstance(failure_of(report, []), EngineFailed)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"custom_id": "row-0", "body": {}, "url": "/v1/x"}', "custom_id 'row-0', that of 1"),
        ("{not json", "line 2: no JSON"),
        ('{"custom_id": "x", "url": "/v1/chat/completions", "body": {}}', "line 2: no messages"),
        ('{"custom_id": "x", "url": "/v1/chat/completions"}', "line 2: no body"),
        ('{"body": {}}', "line 2: no custom_id"),
        ('{"prompt": "x"}', "line 2: batch rows and others are mixed"),
        ("7", "line 2: neither an object nor a text"),
        ('{"question": "x"}', "line 2: no messages, prompt or text"),
    ],
)
def test_rows_that_cannot_be_asked_are_named_before_the_start(
    line: str, words: str, server: ChatServer, tmp_path: Path
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(batch_row(0)) + "\n" + line + "\n")
    with pytest.raises(UsageError, match=words):
        run_batch(source, tmp_path / "out.jsonl", server.url)
    assert server.asked == 0
    assert not (tmp_path / "out.jsonl").exists()


def test_a_field_is_not_written_over(server: ChatServer, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"prompt": "1 + 1?", "answer": "2"}])
    with pytest.raises(UsageError, match="a field 'answer' already"):
        run_batch(source, tmp_path / "out.jsonl", server.url)
    run_batch(source, tmp_path / "out.jsonl", server.url, answer_field="said")
    (row,) = read_rows(tmp_path / "out.jsonl")
    assert (row["answer"], row["said"]) == ("2", "to 1 + 1?")


def test_an_output_is_not_written_over_unless_told(server: ChatServer, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", ["a"])
    output = tmp_path / "out.jsonl"
    output.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        run_batch(source, output, server.url)
    with pytest.raises(UsageError, match="is the input"):
        run_batch(source, source, server.url, overwrite=True)
    run_batch(source, output, server.url, overwrite=True)
    assert read_rows(output)[0]["answer"] == "to a"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is no file"):
        run_batch(source, tmp_path / "pipe", server.url, overwrite=True)


def test_an_output_that_is_a_link_stays_one(server: ChatServer, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", ["a"])
    output = tmp_path / "out.jsonl"
    output.symlink_to(tmp_path / "disk" / "real.jsonl")
    run_batch(source, output, server.url)
    assert output.is_symlink()
    assert read_rows(tmp_path / "disk" / "real.jsonl")[0]["answer"] == "to a"


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "OUT.CSV"])
def test_answers_are_not_called_what_they_are_not(
    name: str, server: ChatServer, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", ["a"])
    with pytest.raises(UsageError, match="lines of JSON") as told:
        run_batch(source, tmp_path / name, server.url)
    assert (told.value.hint or "").endswith(".jsonl")
    assert server.asked == 0


def test_anthropics_dialect_answers_prompts(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", ["a"])
    reply = {
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    with serving(lambda _: (200, reply)) as server:
        run_batch(
            source, tmp_path / "out.jsonl", server.url, dialect="anthropic", system="Be brief."
        )
        body = json.loads(server.bodies[0])
    assert body["system"] == "Be brief."
    assert read_rows(tmp_path / "out.jsonl")[0]["answer"] == "hello"
