"""Workload files of the field become one form; what cannot be read is named with its line."""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.bench.conversation import RequestBodies
from llmops_cli.bench.datasets import normalize
from llmops_cli.bench.normalized import Normalized
from llmops_cli.bench.plan import Words, Workload
from llmops_cli.bench.rows import PromptRow
from llmops_cli.core.errors import UsageError


def read(tmp_path: Path, name: str, content: str, *, kind: str = "file") -> list[PromptRow]:
    path = tmp_path / name
    spool = tmp_path / "spool"
    path.write_text(content)
    assert normalize(path, spool, kind=kind).count == len(spool.read_text().splitlines())
    return [msgspec.json.decode(line, type=PromptRow) for line in spool.read_bytes().splitlines()]


def test_prompt_files(tmp_path: Path) -> None:
    assert [r.turns for r in read(tmp_path, "a.txt", "one\n\ntwo\n")] == [["one"], ["two"]]
    lines = (
        '{"prompt": "one", "output_tokens": 5}\n"two"\n{"question": "three", "max_tokens": "7"}\n'
    )
    rows = read(tmp_path, "a.jsonl", lines)
    assert [(r.turns[0], r.output_tokens) for r in rows] == [("one", 5), ("two", 0), ("three", 7)]
    (row,) = read(tmp_path, "b.csv", 'prompt,output_tokens\n"with, comma\nand line",9\n')
    assert (row.turns, row.output_tokens) == (["with, comma\nand line"], 9)


def test_chat_messages_and_sharegpt(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}
    (row,) = read(tmp_path, "a.jsonl", json.dumps(chat))
    assert [m["role"] for m in row.messages] == ["system", "user"]
    talk = [
        {"from": "system", "value": "s"},
        {"from": "human", "value": "hi"},
        {"from": "gpt", "value": "ho"},
        {"from": "human", "value": "and?"},
    ]
    (row,) = read(tmp_path, "sharegpt.json", json.dumps([{"id": "1", "conversations": talk}]))
    assert row.turns == ["hi", "and?"]
    assert row.messages == [{"role": "system", "content": "s"}]


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(
        pyarrow.table({"prompt": ["one", "two"], "output_tokens": [3, 4]}), tmp_path / "a.parquet"
    )
    found = normalize(tmp_path / "a.parquet", tmp_path / "spool", kind="file")
    assert found == Normalized(count=2)
    assert b'"one"' in (tmp_path / "spool").read_bytes()


def test_traces(tmp_path: Path) -> None:
    mooncake = (
        '{"timestamp": 27000, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1]}\n' * 2
    )
    rows = read(tmp_path, "m.jsonl", mooncake, kind="trace")
    assert (rows[1].at_s, rows[1].input_tokens, rows[1].output_tokens, rows[1].hash_ids) == (
        0,
        6755,
        500,
        [0, 1],
    )
    azure = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
        "2023-11-16 18:15:50.9951690,396,109\n"
    )
    rows = read(tmp_path, "azure.csv", azure, kind="trace")
    assert rows[1].at_s == pytest.approx(4.314579)
    assert (rows[1].input_tokens, rows[1].output_tokens) == (396, 109)
    burst = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,0,1087,Conversation log
118,GPT-4,417,276,693,API log
"""
    rows = read(tmp_path, "burst.csv", burst, kind="trace")
    assert [(r.at_s, r.input_tokens, r.output_tokens) for r in rows] == [
        (0, 472, 18),
        (113, 417, 276),
    ]


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("a.jsonl", '{"prompt": "x"}\n{oops\n', "file", "a.jsonl, line 2"),
        ("a.jsonl", '{"answer": "x"}\n', "file", "line 1: no prompt in it"),
        (
            "a.jsonl",
            '{"conversations": [{"from": "robot", "value": "x"}]}',
            "file",
            "unknown speaker 'robot'",
        ),
        ("a.json", "{}", "file", "no list of"),
        ("a.txt", "", "file", "holds no requests"),
        ("a.html", "<p>one</p>\n", "file", "'.html' files are not read"),
        ("a.py", "import os\n", "file", "'.py' files are not read"),
        ("a.txt", "\n <!DOCTYPE html>\n<p>one</p>\n", "file", "is a page or XML"),
        ("a", '<?xml version="1.0"?>\n<p/>\n', "file", "is a page or XML"),
        ("a.csv", "x,y\n1,2\n", "trace", "no trace that we know"),
        ("a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,many\n", "trace", "row 1"),
        (
            "a.jsonl",
            '{"timestamp": "inf", "input_length": 1, "output_length": 1}',
            "trace",
            "timestamp must be a number, not 'inf'",
        ),
        (
            "a.jsonl",
            '{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": ["a"]}',
            "trace",
            r"hash_ids\[0\]: must be a whole number",
        ),
        (
            "a.csv",
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2026-13-45 00:00:00,1,2\n",
            "trace",
            "row 1: '2026-13-45 00:00:00' is no time",
        ),
        (
            "a.jsonl",
            '{"timestamp": 1, "input_length": 1, "output_length": 0}',
            "trace",
            "no requests",
        ),
        ("a.jsonl", '{"timestamp": 1, "input_length": -1, "output_length": 1}', "trace", "fewer"),
        (
            "a.jsonl",
            '{"timestamp": 1, "delay": 5, "input_length": 1, "output_length": 1}',
            "trace",
            "belongs to a session",
        ),
        (
            "a.csv",
            "TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,2\n",
            "trace",
            "row 1: 'yesterday' is no time",
        ),
        ("a.jsonl", '{"timestamp": 5}', "trace", "input_length"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: str, kind: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        read(tmp_path, name, content, kind=kind)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no dataset at"):
        normalize(tmp_path / "none.jsonl", tmp_path / "spool", kind="file")


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=30))
def test_a_trace_is_sent_in_order_of_time_from_its_first_request_on(times_ms: list[int]) -> None:
    lines = [
        f'{{"timestamp": {time_ms}, "input_length": {number + 1}, "output_length": 1}}\n'
        for number, time_ms in enumerate(times_ms)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "t.jsonl").write_text("".join(lines))
        found = normalize(folder / "t.jsonl", folder / "spool", kind="trace")
        spooled = (folder / "spool").read_text().splitlines()
        rows = [json.loads(line) for line in spooled]
    begin_ms = min(times_ms)
    expected = sorted(
        ((time_ms - begin_ms) / 1e3, number + 1) for number, time_ms in enumerate(times_ms)
    )
    assert [(row.get("at_s", 0.0), row["input_tokens"]) for row in rows] == [
        (pytest.approx(at_s), number) for at_s, number in expected
    ]
    falls = sum(late > early for late, early in itertools.pairwise(times_ms))
    assert bool(found.notes) == bool(falls)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_times_are_the_same_on_every_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    """Whole seconds, fractions, zones, and a night on which clocks are set."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    content = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-03-10 01:59:58.5,1,1\n"
        "2024-03-10 01:59:59,2,1\n2024-03-10 03:00:00.25+00:00,3,1\n"
        "2024-03-10T03:00:01Z,4,1\n2024-03-10 04:00:02+01:00,5,1\n"
    )
    try:
        rows = read(tmp_path, "azure.csv", content, kind="trace")
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    found = [row.at_s for row in rows]
    assert found == pytest.approx([0, 0.5, 3601.75, 3602.5, 3603.5])


def test_rows_that_no_request_can_be_made_of_are_counted(tmp_path: Path) -> None:
    asks = '{"conversations": [{"from": "human", "value": "Hi"}]}\n'
    silent = '{"conversations": [{"from": "gpt", "value": "Hello"}]}\n'
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + f"{asks}{silent}\n{silent}".encode())
    found = normalize(tmp_path / "a.jsonl", tmp_path / "spool", kind="file")
    assert found.count == 1
    (note,) = found.notes
    assert note.startswith("2 rows were skipped: nobody asks anything (first: ")
    assert note.endswith("a.jsonl, line 2)")
    burst = "Timestamp,Request tokens,Response tokens\n5,472,18\n45,1087,0\n50,0,3\n"
    (tmp_path / "burst.csv").write_bytes(b"\xef\xbb\xbf" + burst.encode())
    found = normalize(tmp_path / "burst.csv", tmp_path / "spool", kind="trace")
    assert found.count == 1
    assert [note.partition(": ")[2].partition(" (")[0] for note in found.notes] == [
        "no output tokens",
        "no input tokens",
    ]


def test_a_trace_may_carry_its_texts(tmp_path: Path) -> None:
    content = '{"timestamp": 10, "text_input": "What?", "output_length": 7}\n'
    (row,) = read(tmp_path, "t.jsonl", content, kind="trace")
    assert (row.turns, row.output_tokens, row.input_tokens) == (["What?"], 7, 0)
    (row,) = read(tmp_path, "t.jsonl", content)
    assert row.turns == ["What?"]


def test_a_trace_may_carry_its_messages(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    asked = {"role": "user", "content": "What?"}
    answered = {"role": "assistant", "content": "That."}
    line = {"timestamp": 10, "messages": [system, asked, answered], "output_length": 7}
    (row,) = read(tmp_path, "t.jsonl", json.dumps(line) + "\n", kind="trace")
    assert (row.messages, row.turns, row.output_tokens) == ([system, asked], [], 7)
    with pytest.raises(UsageError, match="line 1: 'messages' must be a list"):
        read(tmp_path, "t.jsonl", '{"timestamp": 1, "messages": ["What?"]}\n', kind="trace")


def test_a_batch_file_keeps_its_requests_fields(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    body = {
        "model": "gpt-x",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": tools,
        "temperature": 0.5,
        "max_completion_tokens": 9,
        "stop": None,
    }
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (row,) = read(tmp_path, "batch.jsonl", json.dumps(line))
    assert row.output_tokens == 9
    assert sorted(row.fields) == ["temperature", "tools"]
    shared = {"model": "m", "temperature": 0, "seed": 3}
    for fixed, temperature in (((), 0.5), (("temperature",), 0)):
        work = Workload(
            kind="file",
            api="chat",
            fields=shared,
            fixed=fixed,
            input_tokens=1,
            output_tokens=1,
            words=Words(words=("a",), costs=(1,)),
        )
        bodies = RequestBodies(work)
        sent = json.loads(bodies.of_messages(bodies.start_with(row.fields), row.messages, 9))
        assert sent == {
            "model": "m",
            "seed": 3,
            "temperature": temperature,
            "tools": tools,
            "max_tokens": 9,
            "messages": body["messages"],
        }
