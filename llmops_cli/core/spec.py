"""What to run, without running it: a named Python, a server, a job; and what its log means."""

from __future__ import annotations

import re

import msgspec

MODEL_DIGEST = "LLMOPS_MODEL_DIGEST"
"""A variable, by which an engine knows and tells what it serves (workers/_shared/build.py)."""


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
    """A worker program by its dotted name below `workers`, and its input.

    `launcher` is put between the Python and the program, and starts it several times:
    `("-m", "torch.distributed.run", "--nproc-per-node", "2")`. `grace_s`: how long it may save what
    it has when it is asked to end. `hears_interrupt`: it saves on Ctrl-C as it does on SIGTERM, so
    it gets the one that the command got. `has_first_rank`: the rank that writes the output is among
    those that are started here, and not on another node.
    """

    name: str
    python: str
    program: str
    input: dict[str, object]
    launcher: tuple[str, ...] = ()
    env: dict[str, str] = {}
    grace_s: float = 5.0
    hears_interrupt: bool = False
    has_first_rank: bool = True


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a log (`pattern`, searched for), what it means, and the option that helps."""

    pattern: str
    cause: str
    hint: str

    def explains(self, log: str) -> bool:
        found = re.search(self.pattern, log)
        return found is not None
