"""Canaries and configurations of a gateway that serves, by `llmops deploy`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from llmops_cli.cli.app import command_line
from llmops_cli.core.errors import LlmopsError
from tests.gateway import CHAT, Gateway, Starter, Upstream, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FILE = (
    "upstreams: {{old: {{url: '{url}'}}, new: {{url: '{url}'}}}}\n"
    "models:\n"
    "  m: {{pool: [old], canary: {{use: [{{upstream: new, model: other}}], steps: [50, 100],"
    " step_s: 3600}}}}\n"
    "  plain: {{pool: [{{upstream: old, model: {plain}}}]}}\n"
)


class Told(NamedTuple):
    code: int
    out: str
    err: str


class Operator:
    """Has a key, and a gateway to use it at."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self.gateway = gateway
        self.key = key

    def deploy(self, *args: str, url: str | None = None, key: str | None = None) -> Told:
        env = {"LLMOPS_API_KEY": self.key if key is None else key}
        argv = ["deploy", *args, "--url", url or self.gateway.url]
        result = CliRunner().invoke(command_line(()), argv, env=env)
        error = result.exception
        if isinstance(error, LlmopsError):
            return Told(error.exit_code, "", f"{error.message}\n{error.hint or ''}")
        return Told(result.exit_code, result.stdout, result.stderr)

    def done(self, *args: str) -> dict[str, Any]:
        found = self.deploy(*args, "--json")
        assert found.code == 0, found
        reply: dict[str, Any] = json.loads(found.out)
        return reply

    def status(self) -> dict[str, Any]:
        return self.done("status")


@pytest.fixture
def operator(upstream: Upstream, start: Starter) -> Operator:
    key = start.key("ops", "--role", "admin")
    gateway = start.config(FILE.format(url=upstream.url, plain="m"), "--workers", "2")
    return Operator(gateway, key)


def within_s(seconds: float, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_canary_is_rolled_back_begun_anew_and_promoted(
    operator: Operator,
    upstream: Upstream,
) -> None:
    assert operator.status()["canaries"]["m"]["percent"] == 50
    reply = operator.done("rollback", "m", "--reason", "it swears\nmuch")
    assert (reply["changed"], reply["status"]["canaries"]["m"]["percent"]) == (True, 0)
    assert operator.done("rollback", "m")["changed"] is False
    early = operator.deploy("promote", "m")
    assert early.code == 5
    assert "by ops: it swears<U+000A>much)" in early.err.splitlines()[0]
    assert operator.done("canary", "m")["changed"] is True
    assert operator.done("promote", "m")["changed"] is True
    time.sleep(1.2)  # the other worker looks once a second
    upstream.seen.clear()
    for _ in range(12):
        assert operator.gateway.ask(CHAT)[0] == 200
    assert {body["model"] for body in upstream.seen} == {"other"}
    history = operator.status()["history"]
    told = [(each["who"], each["action"], each["model"]) for each in history]
    assert told == [
        ("ops", "promote", "m"),
        ("ops", "canary", "m"),
        ("ops", "rollback", "m"),
        ("gateway", "start", ""),
    ]
    page = operator.deploy("status")
    assert page.code == 0
    assert "it swears" in page.out
    assert "rollback m 0 %" in page.out


def test_the_configuration_before_comes_back_until_the_file_changes(
    operator: Operator,
    upstream: Upstream,
    start: Starter,
) -> None:
    first = operator.status()["config"]
    nothing = operator.deploy("rollback")
    assert nothing.code == 5
    assert "no configuration before" in nothing.err
    start.file.write_text(FILE.format(url=upstream.url, plain="missing"))
    within_s(10, lambda: operator.status()["config"] != first)
    reply = operator.done("rollback", "--reason", "wrong weights")
    assert reply["changed"] is True
    status = reply["status"]
    assert (status["config"], status["rolled_back"]) == (first, True)
    assert operator.done("rollback")["changed"] is False
    time.sleep(1.2)
    upstream.seen.clear()
    plain = {**CHAT, "model": "plain"}
    for _ in range(4):
        assert operator.gateway.ask(plain)[0] == 200
    assert {body["model"] for body in upstream.seen} == {"m"}
    start.file.write_text(FILE.format(url=upstream.url, plain="third"))
    within_s(10, lambda: operator.status()["config"] != first)
    assert operator.status()["rolled_back"] is False


def test_another_operators_change_in_between_is_told(operator: Operator) -> None:
    seen = operator.status()["state"]
    operator.done("rollback", "m", "--expect", seen)
    late = operator.deploy("canary", "m", "--expect", seen)
    assert late.code == 5
    assert "in between, last by ops: rollback m" in late.err
    assert operator.status()["canaries"]["m"]["state"] == "rolled back"


def orders_in(gateway: Gateway) -> list[dict[str, Any]]:
    """Lines of the audit log; each is written when its answer has gone."""
    return [line for line in gateway.audit() if line["route"] == "/admin/deployments"]


def test_the_audit_log_says_what_was_ordered_and_what_it_set(
    operator: Operator,
) -> None:
    operator.done("canary", "m", "--percent", "100", "--reason", "all at once")
    operator.done("canary", "m", "--percent", "100")
    operator.done("rollback", "m", "--reason", "it swears")
    assert operator.deploy("promote", "m").code == 5
    within_s(5, lambda: len(orders_in(operator.gateway)) == 4)
    lines = orders_in(operator.gateway)
    orders = [line["order"] for line in lines]
    config = operator.status()["config"]
    shown = {"model": "m", "config": config}
    begun = {"action": "canary", "percent": 100, **shown}
    assert orders == [
        {**begun, "changed": True, "reason": "all at once"},
        begun,
        {"action": "rollback", "percent": 0, "changed": True, "reason": "it swears", **shown},
        {"action": "promote", **shown},
    ]
    assert [line["status"] for line in lines] == [200, 200, 200, 409]
    assert len({line["key"] for line in lines}) == 1
    history = operator.status()["history"]
    done = [(each["action"], each["percent"]) for each in history]
    assert done == [("rollback", 0), ("canary", 100), ("start", None)]


def test_the_audit_log_names_the_configuration_that_was_put_back(
    operator: Operator,
    upstream: Upstream,
    start: Starter,
) -> None:
    first = operator.status()["config"]
    start.file.write_text(FILE.format(url=upstream.url, plain="missing"))
    within_s(10, lambda: operator.status()["config"] != first)
    operator.done("rollback", "--reason", "wrong weights")
    within_s(5, lambda: len(orders_in(operator.gateway)) == 1)
    (line,) = orders_in(operator.gateway)
    order = {"action": "rollback", "changed": True, "config": first, "reason": "wrong weights"}
    assert line["order"] == order


def test_each_mistake_is_one_line_with_its_exit_code(operator: Operator, start: Starter) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    user = start.key("user")
    cases = [
        (operator.deploy("canary", "mm"), 2, "did you mean 'm'?"),
        (operator.deploy("promote", "plain"), 2, "has no canary"),
        (operator.deploy("canary", "m", "--percent", "7"), 2, "50, 100"),
        (operator.deploy("rollback", "m", "--reason", "x" * 501), 2, "reason"),
        (operator.deploy("status", url=nobody), 3, "nothing answers"),
        (operator.deploy("rollback", "m", key="llmops_wrong"), 3, "no valid key"),
        (operator.deploy("rollback", "m", key=user), 3, "not of the role admin"),
        (operator.deploy("rollback", "m", key=""), 3, "no valid key"),
        (operator.deploy("rollback", ""), 2, "the model is empty"),
        (operator.deploy("canary", ""), 2, "the model is empty"),
    ]
    for result, code, words in cases:
        assert result.code == code, result
        assert words in result.err
        assert len(result.err.strip().splitlines()) <= 2
    assert len(operator.status()["history"]) == 1


def test_without_keys_a_change_still_needs_one(upstream: Upstream, start: Starter) -> None:
    gateway = start.config("keys_required: false\n" + FILE.format(url=upstream.url, plain="m"))
    path = "/admin/deployments"
    order = {"action": "rollback", "model": "m"}
    assert gateway.ask(None, path=path, key="")[0] == 200
    assert gateway.ask(order, path=path, key="")[0] == 401
    assert gateway.ask(order, path=path)[0] == 403
    admin = start.key("ops", "--role", "admin")
    for raw in (
        b"",
        b"[]",
        b"{",
        b'{"action": "sell"}',
        b'{"action": "canary", "models": "m"}',
        b'{"action": "rollback", "model": ""}',
        b'{"action": "promote", "model": "m", "percent": 50}',
        b'{"action": "rollback", "model": "m", "percent": 50}',
        b'{"action": "canary", "model": "m", "percent": 50, "percent": 100}',
    ):
        assert gateway.ask(None, path=path, key=admin, raw=raw)[0] == 400
    assert gateway.ask({"action": "promote"}, path=path, key=admin)[0] == 400
    assert gateway.ask({**order, "model": "nobody"}, path=path, key=admin)[0] == 404
    assert gateway.ask(order, path=path, key=admin)[0] == 200
    assert gateway.ask(order, path=path, key=admin, method="PUT")[0] == 405
