"""Secrets are planted wherever a user may put one; none may come to rest anywhere.

Each command runs in folders of its own (work, state, cache, temporary files), which are read during
the run and after it, with its output and the command lines of the processes that it starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.gateway import CHAT, Starter, Upstream, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LOOK_EVERY_S = 0.05
FEW = ("--concurrency", "1", "--requests", "3", "--warmup", "0", "--output-tokens", "3")
SMALL = ("--families", "extraction", "--max-attempts", "4", "--no-twins", "--retries", "0")
ENVIRONMENT = ("LLMOPS_API_KEY", "TEAM_TOKEN", "OTHER_KEY", "HF_TOKEN", "OPENAI_API_KEY")
PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")


class Planted:
    """Secrets by where they were put, the folders that a command may write into, and what was seen
    of the secrets there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.state = folder / "state"
        self.secrets: dict[str, bytes] = {}
        self.leaks: set[str] = set()
        self.inputs: set[Path] = set()
        places = {
            "XDG_CACHE_HOME": folder / "cache",
            "XDG_CONFIG_HOME": folder / "config",
            "LLMOPS_STATE_DIR": self.state,
            "TMPDIR": folder / "tmp",
        }
        for place in (self.work, *places.values()):
            place.mkdir(exist_ok=True)
        variables = {name: self.secret(f"${name}") for name in ENVIRONMENT}
        proxies = {name: f"http://me:{self.secret(f'${name}')}@127.0.0.1:9" for name in PROXIES}
        self.env = {**os.environ, **variables, **proxies}
        self.env.update({name: str(place) for name, place in places.items()})

    def secret(self, place: str) -> str:
        """A new one; `place` is what a leak of it is called."""
        value = f"planted{secrets.token_hex(8)}"
        self.secrets[place] = value.encode()
        return value

    def url(self, plain: str, place: str) -> str:
        """With a password in it."""
        return plain.replace("://", f"://me:{self.secret(place)}@", 1)

    def write(self, name: str, text: str) -> str:
        """A file of the user's own, which may hold what the user wrote."""
        path = self.work / name
        path.write_text(text)
        self.inputs.add(path)
        return str(path)

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        """A command, watched; what it says is looked through too."""
        process = subprocess.Popen(
            [sys.executable, "-m", "llmops_cli", *args],
            cwd=self.work,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process, self.watching(process.pid):
            try:
                said, told = process.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        name = f"llmops {args[0]}"
        self._look(f"stdout of {name}", said)
        self._look(f"stderr of {name}", told)
        return subprocess.CompletedProcess(args, process.returncode, said, told)

    @contextlib.contextmanager
    def watching(self, pid: int) -> Iterator[None]:
        """Looks at files and command lines until the block ends, and once more."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(LOOK_EVERY_S):
                self._look_at_processes(pid)
                self.look_at_files()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.look_at_files()

    def look_at_files(self) -> None:
        for path in self.folder.rglob("*"):
            if path in self.inputs or not path.is_file():
                continue
            with contextlib.suppress(OSError):
                self._look(f"file {path.relative_to(self.folder)}", path.read_bytes())

    def _look_at_processes(self, pid: int) -> None:
        """Of the command's children: its own line is what the user typed."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    line = " ".join(child.cmdline())
                    self._look(f"command line {child.name()}", line.encode())

    def _look(self, where: str, content: bytes) -> None:
        for place, value in list(self.secrets.items()):
            if value in content:
                self.leaks.add(f"{place} -> {where}")


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


@pytest.fixture
def echo(upstream: Upstream) -> Upstream:
    """Answers 401 and repeats the key that it was given, as some servers do."""
    upstream.mode = "repeat the key"
    return upstream


def test_bench_keeps_no_key_header_or_password(planted: Planted, upstream: Upstream) -> None:
    run = planted.run(
        *("bench", "--url", upstream.url, *FEW, "--api-key-env", "OTHER_KEY", "--allow-invalid"),
        *("--header", "X-Team: $TEAM_TOKEN", "-o", "run"),
    )
    assert run.returncode == 0, run.stderr
    sent = upstream.headers[-1]
    assert sent["X-Team"].encode() == planted.secrets["$TEAM_TOKEN"]
    assert sent["Authorization"].encode().endswith(planted.secrets["$OTHER_KEY"])
    for args in (("show", "run"), ("html", "run"), ("export", "run"), ("list",)):
        planted.run("report", *args)
    assert planted.leaks == set()


@pytest.mark.parametrize("command", ["bench", "redteam"])
def test_a_password_in_a_url_is_kept_nowhere(
    command: str, planted: Planted, upstream: Upstream
) -> None:
    few = FEW if command == "bench" else SMALL
    planted.run(command, "--url", planted.url(upstream.url, "--url"), *few, "-o", "a")
    query = f"{upstream.url}?api_key={planted.secret('--url query')}"
    planted.run(command, "--url", query, *few, "-o", "b")
    planted.run(command, *few, "-o", "c", LLMOPS_URL=planted.url(upstream.url, "$LLMOPS_URL"))
    assert planted.leaks == set()


def test_a_header_and_a_proxy_of_bench_are_kept_nowhere(
    planted: Planted, upstream: Upstream
) -> None:
    secret = planted.secret("--header")
    header = f"Authorization: Bearer {secret}"
    planted.run("bench", "--url", upstream.url, *FEW, "--header", header, "-o", "a")
    planted.run("bench", "--url", upstream.url, *FEW, "--header", f"X-Api-Key: {secret}", "-o", "b")
    proxy = planted.url(upstream.url.removesuffix("/v1"), "--proxy")
    planted.run("bench", "--url", upstream.url, *FEW, "--proxy", proxy, "-o", "c")
    assert planted.leaks == set()


def test_redteam_keeps_no_key(planted: Planted, upstream: Upstream) -> None:
    run = planted.run("redteam", "--url", upstream.url, *SMALL, "-o", "run")
    assert run.returncode == 0, run.stderr
    key = planted.secrets["$LLMOPS_API_KEY"]
    assert upstream.headers[-1]["Authorization"].encode().endswith(key)
    planted.run("redteam", "show", "run")
    planted.run("redteam", "--resume", "run")
    assert planted.leaks == set()


def test_the_urls_of_an_attacker_and_a_judge_are_kept_nowhere(
    planted: Planted, upstream: Upstream
) -> None:
    planted.run(
        *("redteam", "--url", upstream.url, *SMALL, "-o", "run"),
        *("--attacker-url", planted.url(upstream.url, "--attacker-url")),
        *("--judge-url", planted.url(upstream.url, "--judge-url")),
    )
    assert planted.leaks == set()


@pytest.mark.parametrize(
    "command",
    [
        ("bench", *FEW, "-o", "run"),
        ("redteam", *SMALL, "-o", "run"),
        ("generate", "rows.jsonl", "-o", "answers.jsonl"),
        ("prompt", "run", "What is 1 + 1?", "-o", "run"),
    ],
    ids=lambda command: command[0],
)
def test_a_key_that_the_server_repeats_is_kept_nowhere(
    command: tuple[str, ...], planted: Planted, echo: Upstream
) -> None:
    planted.write("rows.jsonl", '{"prompt": "a"}\n')
    planted.run(*command, "--url", echo.url, "--model", "m")
    assert echo.seen
    assert planted.leaks == set()


def test_a_recipe_of_steps_keeps_no_password(planted: Planted, upstream: Upstream) -> None:
    (planted.work / "m.gguf").write_bytes(b"GGUF" + bytes(64))
    settings = "requests: 3, concurrency: [1], warmup: 0, allow_invalid: true"
    for name, url in (("a", upstream.url), ("b", planted.url(upstream.url, "bench: url"))):
        text = f"model: m.gguf\nbench: {{url: '{url}', {settings}}}\n"
        planted.run("run", planted.write(f"{name}.yaml", text), "-o", name)
    assert planted.leaks == set()


def test_a_gateway_keeps_no_key_and_no_words(
    planted: Planted, upstream: Upstream, start: Starter
) -> None:
    start.folder = planted.folder
    start.state = planted.state
    start.env = {**planted.env, "UPSTREAM_KEY": planted.secret("key_env")}
    text = (
        f"upstreams: {{one: {{url: '{upstream.url}', key_env: UPSTREAM_KEY}}}}\n"
        "models: {m: {pool: [one]}}\nguard: default\n"
    )
    gateway = start.config(text, "--workers", "2")
    admin = start.key("ops", "--role", "admin")
    planted.secrets["a user's key"] = gateway.key.encode()
    planted.secrets["an admin's key"] = admin.encode()
    with planted.watching(gateway.process.pid):
        told = f"My key is {planted.secret('prompt')}."
        body = {**CHAT, "messages": [{"role": "user", "content": told}]}
        for more in ({}, {"stream": True}, {"api_key": planted.secret("body field")}):
            assert gateway.ask({**body, **more})[0] == 200
        assert upstream.headers[-1]["Authorization"].encode().endswith(planted.secrets["key_env"])
        upstream.mode = "repeat the key"
        gateway.ask(body)
        gateway.ask(body, key=planted.secret("a wrong key"))
        gateway.ask(body, headers={"X-Api-Key": planted.secret("X-Api-Key")})
        gateway.ask(body, path=f"/v1/chat/completions?key={planted.secret('query')}")
        upstream.mode = "fine"
        planted.run("top", gateway.url, "--once", LLMOPS_API_KEY=admin)
        planted.run("top", planted.url(gateway.url, "top URL"), "--once", LLMOPS_API_KEY=admin)
        url = ("redteam", "checklist", "--url")
        planted.run(*url, gateway.url, LLMOPS_API_KEY=gateway.key)
        planted.run(*url, planted.url(gateway.url, "checklist URL"), LLMOPS_API_KEY=gateway.key)
        planted.run("keys", "list")
    assert planted.leaks == set()


def test_a_gateway_s_addresses_keep_their_passwords(
    planted: Planted, upstream: Upstream, start: Starter
) -> None:
    """Of a Redis that is away, of an upstream, and of a collector of traces."""
    start.folder = planted.folder
    start.state = planted.state
    start.env = planted.env
    planted.inputs.add(planted.folder / "gateway.yaml")
    redis = f"redis://:{planted.secret('redis: url')}@127.0.0.1:{free_port()}/0"
    traces = f"http://127.0.0.1:{free_port()}"
    text = (
        f"upstreams: {{one: {{url: '{upstream.url}'}}}}\nmodels: {{m: {{pool: [one]}}}}\n"
        f"redis: {{url: '{redis}', when_down: alone}}\ntraces: {traces}\n"
    )
    gateway = start.config(text, "--workers", "2")
    with planted.watching(gateway.process.pid):
        for _ in range(3):
            gateway.ask(CHAT)
        for url, place in ((upstream.url, "upstream url"), (traces, "traces")):
            bad = text.replace(url, planted.url(url, place))
            planted.run("serve", "--config", planted.write("bad.yaml", bad), "--check")
        for flag in ("--upstream", "--redis"):
            url = planted.url("http://127.0.0.1:9/v1", flag)
            planted.run("serve", "--upstream", "http://127.0.0.1:9", flag, url, "--port", "1")
    assert planted.leaks == set()


def test_a_gateway_s_variables_and_key_files_are_kept_nowhere(
    planted: Planted, upstream: Upstream, start: Starter
) -> None:
    """Of an upstream's url, headers, query and key, and of what the file says elsewhere."""
    start.folder = planted.folder
    start.state = planted.state
    named = {name: planted.secret(f"${{{name}}}") for name in ("IN_PATH", "IN_HEADER", "IN_QUERY")}
    key = Path(planted.write("key", planted.secret("key_file")))
    held = Path(planted.write("held", planted.secret("${file:}")))
    planted.inputs.add(planted.folder / "gateway.yaml")
    start.env = {**planted.env, **named}
    text = (
        f"upstreams:\n  one:\n    url: {upstream.url}/${{IN_PATH}}\n    key_file: {key}\n"
        f"    headers: {{X-A: ${{IN_HEADER}}, X-B: '${{file:{held}}}'}}\n"
        "    query: {sig: ${IN_QUERY}}\nmodels: {m: {pool: [one]}}\n"
    )
    gateway = start.config(text, "--workers", "2")
    admin = start.key("ops", "--role", "admin")
    with planted.watching(gateway.process.pid):
        upstream.mode = "repeat the key"
        for _ in range(3):
            status, _, said = gateway.ask(CHAT)
            assert status == 502
            planted._look("an answer", said)
        assert upstream.headers[-1]["X-B"].encode() == planted.secrets["${file:}"]
        assert upstream.headers[-1]["Authorization"].encode().endswith(planted.secrets["key_file"])
        planted.run("top", gateway.url, "--once", LLMOPS_API_KEY=admin)
        planted._look("/admin/state", gateway.ask(None, path="/admin/state", key=admin)[2])
        for bad in (
            text.replace("sig:", "a b: {}, sig:"),
            text.replace(upstream.url, "http://127.0.0.1:${IN_PATH}"),
            text.replace("${IN_QUERY}", "${UNSET}"),
            f"{text}guard: ${{IN_PATH}}\nredis: {{url: '${{IN_QUERY}}'}}\n",
            f"{text}limits: {{models: {{a: {{streams: ${{IN_HEADER}}}}}}}}\n",
        ):
            done = planted.run(
                "serve", "--config", planted.write("b.yaml", bad), "--check", **named
            )
            assert done.returncode == 2, done.stderr
    assert planted.leaks == set()


def test_commands_that_tell_of_the_machine_tell_no_secret(planted: Planted) -> None:
    for args in (
        ("doctor", "--json"),
        ("env", "list"),
        ("engines",),
        ("keys", "list"),
    ):
        planted.run(*args)
    assert planted.leaks == set()


def test_a_key_is_shown_once_and_kept_as_a_digest(planted: Planted) -> None:
    made = planted.run("keys", "create", "--name", "a", "--json")
    planted.secrets["a new key"] = json.loads(made.stdout)["key"].encode()
    planted.run("keys", "list", "--json")
    planted.look_at_files()
    assert planted.leaks == set()
