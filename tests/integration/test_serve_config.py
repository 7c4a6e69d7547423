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


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        ("upstreams:\n  one: {url: 'http://127.0.0.1:9/v1'\n", 3, "expected ',' or '}'", ""),
        ("models: {}\n", 1, "no upstream", ""),
        ("- a\n", None, "no configuration", ""),
        (FINE.replace("models", "    kee_env: X\nmodels"), 4, "kee_env", "did you mean 'key_env'"),
        ("upstreams:\n  one: {}\n", 2, "a url, or an engine", ""),
        ("upstreams:\n  one:\n    url: ftp://x\n", 3, "no URL", ""),
        ("upstreams:\n  one:\n    url: http://me:secret@host/v1\n", 3, "no password", ""),
        (
            "upstreams:\n  one:\n    url: http://127.0.0.1:9\n    timeouts:\n      connect_s: soon\n",
            5,
            "float",
            "",
        ),
        (FINE.replace("[one]", "[one, oen]"), 6, "unknown upstream 'oen'", "did you mean 'one'"),
        (FINE + "    fallback: [b]\n", 7, "unknown model 'b'", ""),
        (FINE + "    balance: tokns\n", 7, "unknown value 'tokns'", "did you mean 'tokens'"),
        (FINE + "  a:\n    pool: [one]\n", 7, "models.a stands there twice", ""),
        (FINE + "redis: {url: foo}\n", 7, "no address of Redis", "redis://"),
        (FINE + "    fallback: [a]\n", 7, "stand in for itself", ""),
        (FINE + "    canary: {use: [one]}\n", 7, "what the pool uses", ""),
        (FINE + "  b:\n", 7, "nothing stands there", ""),
        (
            FINE + "    rules:\n    - {longer_then: 3, use: [one]}\n",
            8,
            "longer_then",
            "did you mean 'longer_than'",
        ),
        (FINE + "    canary: {use: [{upstream: one, model: x}], steps: [50, 5]}\n", 7, "grow", ""),
        (FINE + "    live: blue\n", 5, "which of them is live", ""),
        (FINE + "limitz: {}\n", 7, "limitz", "did you mean 'limits'"),
        (FINE + "limits:\n  key:\n    streams: 0\n", 9, ">= 1", ""),
        (FINE + "guard: policy.yaml\n", 7, "no policy", ""),
        (
            FINE.replace("    url:", "    key_env: SURELY_NOT_SET\n    url:"),
            3,
            "SURELY_NOT_SET is not set",
            "",
        ),
        (
            FINE.replace("url: http://127.0.0.1:9/v1", "engine: lamacpp"),
            None,
            "unknown engine",
            "'llamacpp'",
        ),
        (FINE.replace("    url:", "    price: genai\n    url:"), None, "does not know a", "price:"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    text: str, line: int | None, said: str, hint: str, tmp_path: Path, demo_cli: Cli
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    done = demo_cli("serve", "--config", str(file), "--check")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert hint in done.stderr
    if line is not None:
        assert f"gateway.yaml:{line}:" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_a_good_file_passes_and_flags_do_not_mix(tmp_path: Path, demo_cli: Cli) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        FINE
        + "    hedge_after_s: 1\nlimits: {ip: {requests_per_minute: 10}, models: {a: {streams: 4}}}\n"
    )
    done = demo_cli("serve", "--config", str(file), "--check")
    assert done.returncode == 0
    assert "is fine" in done.stderr
    assert demo_cli("serve", "--config", str(file), "--guard", "default").returncode == 2
    assert demo_cli("serve", "--check").returncode == 2
    assert demo_cli("serve", "--config", str(tmp_path / "none.yaml")).returncode == 2


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
