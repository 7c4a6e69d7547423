"""Keys of a running gateway: changed, damaged, tagged, expired; and what they have cost."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from llmops_cli.cli.app import command_line
from llmops_cli.core.errors import UsageError
from tests.gateway import CHAT, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PRICED = "upstreams: {{one: {{url: '{url}', price: {{input: 1000, output: 1000}}}}}}\n"


def keys(start: Starter, *args: str) -> Result:
    return CliRunner().invoke(
        command_line(()),
        ["keys", *args],
        env={"LLMOPS_STATE_DIR": str(start.state), "COLUMNS": "200"},
    )


def is_refused(done: Result) -> bool:
    """As a mistake of whoever typed it: the program ends with 2."""
    return done.exit_code == UsageError.exit_code or isinstance(done.exception, UsageError)


def shown(start: Starter, *args: str) -> Any:  # Any: JSON
    done = keys(start, *args, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_change_of_a_key_holds_within_a_second(upstream: Upstream, start: Starter) -> None:
    gateway = start(upstream.url)
    key = start.key("team", "--requests-per-minute", "1")
    assert re.search(
        r"^models: those of \w+    dashboard: http://\S+/ui$", start.log(), re.MULTILINE
    )
    assert [gateway.ask(CHAT, key=key)[0] for _ in range(2)] == [200, 429]
    changed = shown(start, "update", "team", "--requests-per-minute", "100", "--tag", "team=a")
    assert changed["requests_per_minute"] == 100
    assert changed["tags"] == {"team": "a"}
    time.sleep(1)
    shown(start, "update", "team", "--clear", "requests-per-minute")
    time.sleep(1)
    assert gateway.ask(CHAT, key=key)[0] == 200
    shown(start, "update", "team", "--models", "other", "--role", "admin")
    time.sleep(1)
    assert gateway.ask(CHAT, key=key)[0] == 403
    assert gateway.ask(None, path="/metrics", key=key)[0] == 200
    shown(start, "update", "team", "--add-model", "m")
    time.sleep(1)
    assert gateway.ask(CHAT, key=key)[0] == 200
    shown(start, "update", "team", "--expires-days", "0")
    time.sleep(1)
    assert gateway.ask(CHAT, key=key)[0] == 401
    row = shown(start, "show", "team")
    assert row["models"] == ["other", "m"]
    assert "team=a" in keys(start, "list").stdout


@pytest.mark.parametrize(
    "args",
    [
        ("--expires-days", "1e300"),
        ("--expires-days", "nan"),
        ("--expires-days", "inf"),
        ("--expires-days=-1",),
        ("--budget-dollars", "nan"),
        ("--budget-dollars", "1e999"),
        ("--budget-dollars=-1",),
        ("--budget-tokens", "99999999999999999999999"),
        ("--tokens-per-minute", "0"),
        ("--streams", "9223372036854775808"),
        ("--tag", "team"),
        ("--tag", "=x"),
    ],
    ids=" ".join,
)
def test_numbers_that_no_key_can_have(start: Starter, args: tuple[str, ...]) -> None:
    start.key("good")
    for command in (("create", "--name", "bad"), ("update", "good")):
        done = keys(start, *command, *args)
        assert is_refused(done), (command, done.output)
    assert [row["name"] for row in shown(start, "list")] == ["good"]


def test_a_damaged_row_is_shown_and_harms_nobody(upstream: Upstream, start: Starter) -> None:
    gateway = start(upstream.url)
    bad = start.key("bad")
    with sqlite3.connect(start.state / "gateway.db") as database:
        database.execute("update keys set expires = ? where name = 'bad'", (1e300,))
    database.close()
    time.sleep(1)
    assert gateway.ask(CHAT)[0] == 200
    assert gateway.ask(CHAT, key=bad)[0] == 401
    done = keys(start, "list")
    assert done.exit_code == 0
    assert "damaged" in done.output
    assert keys(start, "revoke", "bad").exit_code == 0


def test_a_database_that_takes_nothing_keeps_no_file_from_being_read(
    upstream: Upstream, start: Starter
) -> None:
    """As on a full disk: what waits to be written holds up nothing else."""
    gateway = start.config(PRICED.format(url=upstream.url))
    key = start.key("a")
    admin = start.key("ops", "--role", "admin")
    time.sleep(1)
    with contextlib.closing(sqlite3.connect(start.state / "gateway.db")) as held:
        held.execute("begin immediate")
        assert gateway.ask(CHAT, key=key)[0] == 200
        time.sleep(1.5)
        start.file.write_text("upstreams: {")
        deadline = time.monotonic() + 20
        while b"config_ok 0" not in gateway.ask(None, path="/metrics", key=admin)[2]:
            assert time.monotonic() < deadline
            time.sleep(0.3)
        assert gateway.ask(None, path="/admin/state", key=admin)[0] == 200
        assert gateway.ask(CHAT, key=key)[0] == 200


def test_what_tags_have_cost(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(PRICED.format(url=upstream.url) + "tags: [team]\n")
    search = start.key("a", "--tag", "team=search", "--tag", "project=x")
    docs = start.key("b", "--tag", "team=docs")
    admin = start.key("ops", "--role", "admin")
    time.sleep(1)
    for key in (search, search, docs):
        assert gateway.ask(CHAT, key=key)[0] == 200
    time.sleep(2)
    rows = {row["value"]: row for row in shown(start, "spend", "--by", "team")}
    assert rows["search"]["dollars"] == pytest.approx(2 * 0.008)
    assert rows["docs"]["tokens"] == 8
    assert is_refused(keys(start, "spend", "--by", "tean"))
    for month in ("2026-13", "2026-1", "11", "november", "2026-11-01", ""):
        done = keys(start, "spend", "--by", "team", "--month", month)
        assert is_refused(done), month
    assert "search" in keys(start, "spend", "--by", "team").stdout
    text = gateway.ask(None, path="/metrics", key=admin)[2].decode()
    assert 'cost_dollars_by_tag_total{tag="team",value="search"} 0.016' in text
    assert "project" not in text
    lines = [line for line in gateway.audit() if line.get("tags")]
    assert lines[0]["tags"] == {"team": "search", "project": "x"}


def test_everybody_s_address_needs_a_key_that_lives(start: Starter, upstream: Upstream) -> None:
    keys(start, "create", "--name", "old", "--expires-days", "0")
    argv = ["serve", "--upstream", upstream.url, "--host", "0.0.0.0"]
    done = CliRunner().invoke(command_line(()), argv, env={"LLMOPS_STATE_DIR": str(start.state)})
    assert is_refused(done)
