"""Workload files of the field become one form; what cannot be read is named with its line."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from llmops_cli.bench.datasets import normalize
from llmops_cli.bench.rows import PromptRow
from llmops_cli.core.errors import UsageError


def read(tmp_path: Path, name: str, content: str, *, kind: str = "file") -> list[PromptRow]:
    path = tmp_path / name
    spool = tmp_path / "spool"
    path.write_text(content)
    assert normalize(path, spool, kind=kind) == len(spool.read_text().splitlines())
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
    assert normalize(tmp_path / "a.parquet", tmp_path / "spool", kind="file") == 2
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
        ("a.jsonl", '{"prompt": "x"}\n{oops\n', "file", "a.jsonl line 2"),
        ("a.jsonl", '{"answer": "x"}\n', "file", "line 1: no prompt in it"),
        (
            "a.jsonl",
            '{"conversations": [{"from": "robot", "value": "x"}]}',
            "file",
            "unknown speaker 'robot'",
        ),
        ("a.json", "{}", "file", "no list of"),
        ("a.txt", "", "file", "holds no requests"),
        ("a.csv", "x,y\n1,2\n", "trace", "no trace that we know"),
        ("a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,many\n", "trace", "row 1"),
        (
            "a.jsonl",
            (
                '{"timestamp": 5, "input_length": 1, "output_length": 1}\n'
                '{"timestamp": 4, "input_length": 1, "output_length": 1}\n'
            ),
            "trace",
            "do not rise",
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
