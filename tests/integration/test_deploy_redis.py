"""The rendered Redis wants its password, which stands in no command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import redis
import yaml
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from llmops_cli.deploy.recipe import RenderRecipe
from llmops_cli.deploy.render import render
from tests.gateway import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is missing"),
]

FILE = "upstreams: {a: {url: http://h/v1}}\nredis: {url: redis://localhost:6379/0}\n"
PASSWORD = "hunter2-Xy7"
VARIABLE = "REDIS_PASSWORD"


def rendered(folder: Path, target: str) -> dict[str, str]:
    path = folder / "gateway.yaml"
    path.write_text(FILE)
    files = render(RenderRecipe(config=str(path), target=target)).files
    return {name: raw.decode() for name, raw in files.items()}


def argv_on_kubernetes(folder: Path) -> list[str]:
    text = rendered(folder, "k8s")["manifests/redis.yaml"]
    deployment = next(each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in container["env"]] == [VARIABLE]
    return [*container["command"], *container["args"]]


def argv_of_compose(folder: Path) -> list[str]:
    text = rendered(folder, "compose")["compose/compose.yaml"]
    service = yaml.safe_load(text)["services"]["redis"]
    assert service["environment"] == {VARIABLE: f"${{{VARIABLE}:?}}"}
    return [word.replace("$$", "$") for word in service["command"]]


def answering(port: int) -> redis.Redis:
    client = redis.Redis(port=port, password=PASSWORD, retry=Retry(NoBackoff(), 0))
    for _ in range(200):
        try:
            client.ping()
            return client
        except redis.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("it does not answer")


@pytest.mark.parametrize("target", ["k8s", "compose"])
def test_a_password_is_wanted_and_not_shown(tmp_path: Path, target: str) -> None:
    rendered_argv = (argv_on_kubernetes if target == "k8s" else argv_of_compose)(tmp_path)
    argv = [str(tmp_path) if word == "/data" else word for word in rendered_argv]
    port = free_port()
    more = ["--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(
        [*argv, *more], env={**os.environ, VARIABLE: PASSWORD}, stdout=subprocess.DEVNULL
    )
    try:
        answering(port).close()
        with redis.Redis(port=port) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        shown = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert "redis-server" in shown
        assert PASSWORD not in shown
    finally:
        process.terminate()
        assert process.wait(10) == 0, "it is no child of a shell that would not tell it"
