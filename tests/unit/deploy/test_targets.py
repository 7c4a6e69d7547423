"""The other places where the same file can run, and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.deploy.images.build import find_builder
from llmops_cli.deploy.images.containerfile import IMAGES
from llmops_cli.deploy.images.context import write_context
from llmops_cli.gateway_file.read import read_file
from tests.unit.deploy.conftest import Render, objects


def test_compose_has_every_service_without_rights(rendered: Render) -> None:
    services = yaml.safe_load(rendered(target="compose")["compose/compose.yaml"])["services"]
    assert set(services) == {"gateway", "chat", "big"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    assert services["gateway"]["ports"] == ["127.0.0.1:8080:8080"]


def test_units_listen_on_this_machine_alone(rendered: Render, tmp_path: Path) -> None:
    files = rendered(target="systemd")
    unit = files["systemd/llmops-chat.service"]
    assert "--host 127.0.0.1" in unit
    assert "NoNewPrivileges=yes" in unit
    path = tmp_path / "there.yaml"
    path.write_text(files["systemd/gateway.yaml"])
    assert read_file(path).config.upstreams["chat"].url == "http://127.0.0.1:8000/v1"


def test_kserve_has_inference_services_that_our_service_finds(rendered: Render) -> None:
    found = objects(rendered(target="kserve"))
    predictor = found["InferenceService", "llmops-chat"]["spec"]["predictor"]
    selector = found["Service", "llmops-chat"]["spec"]["selector"]
    assert selector.items() <= predictor["labels"].items()
    assert ("Deployment", "llmops-chat") not in found
    assert not [kind for kind, _ in found if kind == "ScaledObject"]


def test_local_pods_are_on_this_machine(rendered: Render) -> None:
    found = objects(rendered(), "overlays/local/pods")
    pod = found["Deployment", "llmops-chat"]["spec"]["template"]["spec"]
    assert pod["hostNetwork"] is True
    assert "127.0.0.1" in pod["containers"][0]["args"]
    assert "8001" in pod["containers"][0]["args"]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_pinned_and_has_no_rights(name: str, tmp_path: Path) -> None:
    path = write_context(tmp_path / name, name, base="localhost/base:1", wheels=None)
    lines = path.read_text().splitlines()
    assert lines[0] == "ARG BASE=localhost/base:1"
    assert "USER 10001:10001" in lines
    last = lines[lines.index("FROM ${BASE}") :]
    assert not [line for line in last if "build-essential" in line or "pip install" in line]


def test_the_gateways_packages_are_pinned(tmp_path: Path) -> None:
    write_context(tmp_path, "gateway", base="localhost/base:1", wheels=None)
    for line in (tmp_path / "requirements.txt").read_text().splitlines():
        assert "==" in line or "python_full_version" in line, line


def test_what_no_image_is_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown image 'gatewy'"):
        write_context(tmp_path, "gatewy", base="localhost/base:1", wheels=None)
    with pytest.raises(UsageError, match="names no image"):
        write_context(tmp_path, "gateway", base="Not An Image", wheels=None)


def test_without_a_builder_it_is_said_what_is_missing(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentMissing, match="buildah, podman, docker are missing"):
        find_builder()
