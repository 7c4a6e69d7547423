"""A gateway is not killed before it has drained, whatever the file's timeouts are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_cli.deploy.ending import BEFORE_END_S, ending_of
from llmops_cli.gateway_file.quantities import DAY_S
from llmops_cli.gateway_file.read import read_file
from llmops_cli.serve.door.workers import BEYOND_DRAIN_S
from tests.unit.deploy.conftest import GATEWAY, Render, objects

SHORT = "upstreams: {a: {url: http://h/v1, timeouts: {total_s: 20}}}\n"
seconds = st.floats(min_value=0.001, max_value=DAY_S)


def as_file(total_s: list[float], drain_s: float | None, wait_s: float | None) -> dict[str, Any]:
    upstreams = {}
    for number, each in enumerate(total_s):
        upstream: dict[str, Any] = {"url": "http://h/v1", "timeouts": {"total_s": each}}
        if wait_s is not None:
            upstream["max_in_flight"] = 4
        upstreams[f"u{number}"] = upstream
    file: dict[str, Any] = {"upstreams": upstreams}
    if drain_s is not None:
        file["limits"] = {"drain_s": drain_s}
    if wait_s is not None:
        file["queue"] = {"wait_s": wait_s}
    return file


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    total_s=st.lists(seconds, min_size=1, max_size=3),
    drain_s=st.none() | seconds,
    wait_s=st.none() | seconds,
)
def test_the_grace_period_holds_all_of_an_end(
    total_s: list[float], drain_s: float | None, wait_s: float | None, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.yaml"
    written = as_file(total_s, drain_s, wait_s)
    path.write_text(yaml.safe_dump(written))
    ending = ending_of(read_file(path).config, written)
    assert ending.grace_s >= BEFORE_END_S + ending.drain_s + BEYOND_DRAIN_S
    least_s = max(total_s) + (wait_s or 0) if drain_s is None else drain_s
    assert ending.drain_s >= min(least_s, DAY_S)
    path.write_text(yaml.safe_dump(written | {"limits": {"drain_s": ending.drain_s}}))
    assert read_file(path).config.limits.drain_s == ending.drain_s


def drain_of(text: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setenv("REDIS_PASSWORD", "x")
    path.write_text(text)
    return read_file(path).config.limits.drain_s


@pytest.mark.parametrize(
    ("text", "drain_s"),
    [
        (GATEWAY, 930),
        (SHORT, 20),
        (SHORT + "limits: {body_s: 9}\n", 20),
        (SHORT + "limits: {drain_s: 2.5}\n", 3),
    ],
)
def test_every_target_gives_the_drain_that_its_file_has(
    text: str,
    drain_s: float,
    rendered: Render,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grace_s = BEFORE_END_S + drain_s + BEYOND_DRAIN_S
    found = objects(rendered(text))
    file = found["ConfigMap", "llmops-gateway"]["data"]["gateway.yaml"]
    pod = found["Deployment", "llmops-gateway"]["spec"]["template"]["spec"]
    before = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert before == ["sleep", str(BEFORE_END_S)]
    assert pod["terminationGracePeriodSeconds"] >= grace_s
    assert drain_of(file, tmp_path / "a.yaml", monkeypatch) == drain_s

    compose = rendered(text, target="compose")
    services = yaml.safe_load(compose["compose/compose.yaml"])["services"]
    assert int(services["gateway"]["stop_grace_period"].rstrip("s")) >= grace_s
    assert drain_of(compose["compose/gateway.yaml"], tmp_path / "b.yaml", monkeypatch) == drain_s

    systemd = rendered(text, target="systemd")
    unit = systemd["systemd/llmops-gateway.service"]
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) >= grace_s
    assert drain_of(systemd["systemd/gateway.yaml"], tmp_path / "c.yaml", monkeypatch) == drain_s


def test_a_short_drain_makes_no_proxy_impatient(rendered: Render) -> None:
    text = "limits: {drain_s: 1}\nupstreams: {a: {url: http://h/v1, timeouts: {total_s: 700}}}\n"
    files = rendered(text)
    assert "proxy_read_timeout 730s;" in files["nginx/nginx.conf"]
