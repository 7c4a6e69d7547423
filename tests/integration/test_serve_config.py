"""The gateway's file: what is wrong with it, and how it is read anew."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.gateway import CHAT, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FINE = "upstreams:\n  one:\n    url: http://127.0.0.1:9/v1\nmodels:\n  a:\n    pool: [one]\n"
ENGINE = "upstreams:\n  one:\n    engine: llamacpp\n    model: demo\n    options: {}\n"


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        (FINE.replace("models", "    kee_env: X\nmodels"), 4, "kee_env", "did you mean 'key_env'"),
        (FINE.replace("[one]", "[one, oen]"), 6, "unknown upstream 'oen'", "did you mean 'one'"),
        (FINE + "guard: policy.yaml\n", 7, "no policy", ""),
        (ENGINE.replace("{}", "{ctx_size: 4096}"), 5, "unknown engine option 'ctx_size'", "known"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    text: str, line: int, said: str, hint: str, tmp_path: Path, demo_cli: Cli
) -> None:
    """On two lines at most; tests/unit/gateway_file has the other mistakes."""
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    done = demo_cli("serve", "--config", str(file), "--check")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert hint in done.stderr
    assert f"gateway.yaml:{line}:" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_a_good_file_passes_and_flags_do_not_mix(tmp_path: Path, demo_cli: Cli) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        FINE
        + (
            "    hedge_after_s: 1\nlimits: {ip: {requests_per_minute: 10}, models: {a: "
            "{streams: 4}}}\n"
        )
    )
    done = demo_cli("serve", "--config", str(file), "--check")
    assert done.returncode == 0
    assert "is fine" in done.stderr
    assert demo_cli("serve", "--config", str(file), "--guard", "default").returncode == 2
    assert demo_cli("serve", "--check").returncode == 2
    assert demo_cli("serve", "--config", str(tmp_path / "none.yaml")).returncode == 2


def test_check_shows_where_private_prompts_can_go(tmp_path: Path, demo_cli: Cli) -> None:
    file = tmp_path / "gateway.yaml"
    rules = "[{private: true, use: [two]}, {keys: [nobody], use: [two]}]"
    more = f"    fallback: [b]\n    rules: {rules}\n  b:\n    pool: [one]\n"
    two = "  two:\n    url: http://127.0.0.1:8/v1\nmodels:"
    file.write_text(FINE.replace("models:", two) + more)
    check = ("serve", "--config", str(file), "--check")
    done = demo_cli(*check)
    assert done.returncode == 0, done.stderr
    assert "can leave: no rule says private" in done.stdout
    found = json.loads(demo_cli(*check, "--json").stdout)
    shown = {each["model"]: each for each in found["models"]}
    assert (shown["a"]["bound"], shown["a"]["may_see"], shown["a"]["may_not"]) == (
        "all",
        ["two"],
        ["one"],
    )
    assert (shown["b"]["bound"], shown["b"]["may_see"]) == ("none", ["one"])
    assert demo_cli("serve", "--json").returncode == 2


def test_the_example_passes(demo_cli: Cli) -> None:
    from llmops_cli.runtime.paths import recipes_dir

    assert (
        demo_cli("serve", "--config", str(recipes_dir() / "gateway.yaml"), "--check").returncode
        == 0
    )


def test_a_reload_cannot_open_a_gateway_to_everybody(upstream: Upstream, start: Starter) -> None:
    text = f"upstreams: {{up: {{url: '{upstream.url}'}}}}\n"
    gateway = start.config(text, "--host", "0.0.0.0")
    start.file.write_text(text + "keys_required: false\n")
    time.sleep(2)
    assert "would let everybody in" in start.log()
    assert gateway.ask(CHAT, key="")[0] == 401


def test_the_file_is_read_anew_under_load(
    upstreams: Callable[[int], list[Upstream]], start: Starter
) -> None:
    one, two = upstreams(2)
    one.delay_s = two.delay_s = 0.02

    def text(to: Upstream, name: str = "up") -> str:
        return f"upstreams: {{{name}: {{url: '{to.url}'}}}}\nmodels: {{m: {{pool: [{name}]}}}}\n"

    gateway = start.config(text(one))
    stop = threading.Event()
    answers = list[tuple[int, bytes]]()

    def load() -> None:
        while not stop.is_set():
            status, _, body = gateway.ask({**CHAT, "stream": True})
            answers.append((status, body))

    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for i in range(8):
            time.sleep(0.4)
            start.file.write_text(text((two, one)[i % 2], f"up{i}"))
            gateway.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        start.file.write_text("upstreams: [broken\n")
        time.sleep(1.6)
        start.file.write_text(text(two, "last"))
        time.sleep(1.6)
        before = len(one.seen)
        time.sleep(0.5)
        assert len(one.seen) == before
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in answers} == {200}
    assert all(body.endswith(b"data: [DONE]\n\n") for _, body in answers)
    assert len(answers) > 100
    assert one.seen
    assert two.seen
    assert "the configuration stays as it was" in start.log()
    assert ":2: " in start.log().split("the configuration stays as it was")[1].splitlines()[0]
    admin = start.key("adm", "--role", "admin")
    time.sleep(1)
    assert json.loads(gateway.ask(None, path="/admin/state", key=admin)[2])["config_ok"] is True
