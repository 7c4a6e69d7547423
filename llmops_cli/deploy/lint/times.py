"""When CronJobs begin: five fields, each within its bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from llmops_cli.deploy.lint.finding import Finding, Found

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
EVERY = re.compile(r"@every (?:\d+(?:\.\d+)?(?:h|m|s|ms))+")
"""An interval, as Go writes it."""
ANY = ("*", "?")


class Field(NamedTuple):
    """`words`: names of its numbers, the first of `least`."""

    name: str
    least: int
    most: int
    words: tuple[str, ...] = ()


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("weekday", 0, 6, DAYS),
)


def wrong_times(objects: Sequence[Found]) -> Iterator[Finding]:
    for found in objects:
        if found.kind == "CronJob":
            schedule = str(found.spec.get("schedule", ""))
            for message in wrong_schedule(schedule):
                yield found.wrong("schedule", f"{schedule!r}: {message}")


def wrong_schedule(schedule: str) -> Iterator[str]:
    if schedule in MACROS or EVERY.fullmatch(schedule):
        return
    words = schedule.split()
    if len(words) != len(FIELDS):
        yield f"{len(words)} fields, and a CronJob has {len(FIELDS)}"
        return
    for field, word in zip(FIELDS, words, strict=True):
        if not all(_is_part(field, part) for part in word.split(",")):
            yield f"{word} is no {field.name}"


def _is_part(field: Field, part: str) -> bool:
    """`*`, `5`, `1-5`, `mon`, and each with `/2` behind it."""
    span, slash, step = part.partition("/")
    if slash and not (step.isdecimal() and int(step)):
        return False
    if span in ANY:
        return True
    first, dash, last = span.partition("-")
    least = _number(field, first)
    most = _number(field, last) if dash else least
    return least is not None and most is not None and least <= most


def _number(field: Field, text: str) -> int | None:
    if text.lower() in field.words:
        return field.least + field.words.index(text.lower())
    if text.isdecimal() and field.least <= int(text) <= field.most:
        return int(text)
    return None
