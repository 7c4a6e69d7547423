"""Connections and the files that a process may have open for them."""

from __future__ import annotations

import resource

import pytest

from llmops_cli.serve.door.room import connections_that_fit, fitting


def test_files_are_asked_for_as_the_connections_need_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shell's limit of 1,024 was passed by silent sockets, and no upstream could be reached."""
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1 << 20))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert connections_that_fit(4096) == 4096
    assert asked == [(8448, 1 << 20)]


@pytest.mark.parametrize(("files", "fits"), [(1024, 384), (256, 16), (8448, 4096), (9000, 4096)])
def test_no_more_connections_are_taken_than_there_are_files(
    files: int, fits: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert fitting(4096, files=files) == fits
    assert bool(caplog.messages) == (fits < 4096)
