"""What is asked of a model each night, and when."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.gateway_file.config import GatewayConfig

TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
KEY = "LLMOPS_API_KEY"
"""A variable, which `bench` and `redteam` read."""
EXPRESSION = "${{"
MOST_S = 6 * 3600
JOBS: Mapping[str, tuple[str, ...]] = {
    "bench": ("bench", "--concurrency", "1,4", "--requests", "40"),
    "redteam": ("redteam", "--suite", "quick", "--concurrency", "4"),
}
"""Small, as they share the service with those that pay for it."""
AFTER_HOURS = {"bench": 0, "redteam": 1}
"""Attacks would disturb what is measured."""


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """`model`: as clients call it. `hour`, `minute`: UTC. `number`: beside others, from 1."""

    model: str
    hour: int
    minute: int
    number: int

    def cron(self, job: str) -> str:
        return f"{self.minute} {(self.hour + AFTER_HOURS[job]) % 24} * * *"

    def words(self, job: str, url: str) -> list[str]:
        """Behind `llmops`."""
        command, *options = JOBS[job]
        return [command, "--url", url, "--model", self.model, *options]


def nights_of(asked: Mapping[str, str], config: GatewayConfig) -> tuple[Night, ...]:
    """Raises: UsageError for a model that the file does not have, or what is no time."""
    found = []
    for number, (model, text) in enumerate(asked.items(), start=1):
        if config.models and model not in config.models:
            raise unknown_name("model", model, config.models)
        if EXPRESSION in model:
            raise UsageError(f"--nightly {model}: GitHub would put something else in its place")
        time = TIME.fullmatch(text)
        if time is None:
            raise UsageError(
                f"--nightly {model}={text} is no time", hint=f"--nightly {model}=03:30"
            )
        hour, minute = map(int, time.groups())
        found.append(Night(model=model, hour=hour, minute=minute, number=number))
    return tuple(found)
