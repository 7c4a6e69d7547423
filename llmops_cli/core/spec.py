"""What to run, without running it: a named Python, a server, a job."""

from __future__ import annotations

import msgspec


class Env(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place where an engine's libraries are importable.

    `python` is the interpreter; `origin` says how it was found: current, venv or user.
    """

    name: str
    python: str
    origin: str


class ServerSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A process that answers OpenAI-style HTTP at `url`; it is ready when /v1/models lists `model`.

    An empty argv means a server that already runs at `url`.
    """

    engine: str
    argv: tuple[str, ...]
    url: str
    model: str
    env: dict[str, str] = {}
    ready_timeout_s: float = 600.0


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker program by its dotted name below `workers`, and its input; it writes events.jsonl
    while it runs and output.json at the end.
    """

    name: str
    python: str
    program: str
    input: dict[str, object]
    env: dict[str, str] = {}
