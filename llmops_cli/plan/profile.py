"""How many requests come in each hour: a number a day, a list of hours, or a trace."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.misfit import misfit_of
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.rows import read_text
from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml, reason_of

HOUR_S = 3600.0
DAY_HOURS = 24
MOST_HOURS = DAY_HOURS * 366
MOST_REQUESTS = 1e9
"""In an hour."""
TIMES = ("timestamp", "arrived_at", "time")
"""Columns with the time of a request, lower case (Azure's and BurstGPT's traces among them)."""
PROMPTS = ("input_length", "contexttokens", "request tokens", "prompt_tokens")
ANSWERS = ("output_length", "generatedtokens", "response tokens", "output_tokens")
MILLISECOND_FILES = ".jsonl"
"""Mooncake's traces have milliseconds."""
HINT = "a YAML or JSON list of requests an hour, or a trace (.csv, .jsonl) with a timestamp"


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """`hourly_rates`: requests a second. Mean lengths where a trace tells them."""

    hourly_rates: tuple[float, ...]
    prompt_tokens: float | None = None
    output_tokens: float | None = None

    @property
    def requests_per_day(self) -> float:
        return sum(self.hourly_rates) / len(self.hourly_rates) * HOUR_S * DAY_HOURS


def profile_of(*, traffic: Path | None, requests_per_day: float | None) -> Profile:
    """Raises: UsageError for both, none, or a file that tells no traffic."""
    if traffic is not None and requests_per_day is not None:
        raise UsageError("--traffic and --requests-per-day are two profiles", hint="give one")
    if traffic is not None:
        return read_profile(traffic)
    if requests_per_day is None:
        raise UsageError(
            "a month's cost needs its traffic", hint="--requests-per-day N, or --traffic FILE"
        )
    if not 0 < requests_per_day <= MOST_REQUESTS:
        raise UsageError(f"{requests_per_day:g} requests a day are no traffic", hint="1 or more")
    rate = requests_per_day / DAY_HOURS / HOUR_S
    return Profile(hourly_rates=(rate,) * DAY_HOURS)


def read_profile(path: Path) -> Profile:
    """Raises: UsageError for a file that cannot be read, or says nothing of traffic."""
    try:
        if path.suffix in {".csv", ".jsonl"}:
            return _of_trace(path)
        return _of_hours(path)
    except FileNotFoundError:
        raise UsageError(f"no traffic file at {path}", hint=near_path(path, HINT)) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=HINT) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text", hint=HINT) from None


def _of_hours(path: Path) -> Profile:
    try:
        loaded: Any = load_yaml(read_text(path))  # Any: YAML
    except UNREADABLE as error:
        reason = reason_of(error)
        raise UsageError(f"{path} is no list of requests an hour: {reason}", hint=HINT) from None
    misfit = misfit_of(loaded, list[float])
    if misfit is not None:
        reason = misfit.told
        raise UsageError(f"{path} is no list of requests an hour: {reason}", hint=HINT)
    counts = msgspec.convert(loaded, list[float])
    if not 1 <= len(counts) <= MOST_HOURS:
        raise UsageError(f"{path} has {len(counts):,} hours", hint=HINT)
    if not all(0 <= count <= MOST_REQUESTS for count in counts) or not sum(counts):
        raise UsageError(f"{path} has hours without a number of requests", hint=HINT)
    return Profile(hourly_rates=tuple(count / HOUR_S for count in counts))


def _of_trace(path: Path) -> Profile:
    times = []
    prompts = []
    answers = []
    scale = 1e-3 if path.suffix == MILLISECOND_FILES else 1.0
    for row in _rows(path):
        at = _seconds(_first(row, TIMES))
        if at is None or not math.isfinite(at):
            raise UsageError(f"{path}: a row has no timestamp", hint=HINT)
        times.append(at * scale)
        prompts.append(_number(_first(row, PROMPTS)))
        answers.append(_number(_first(row, ANSWERS)))
    if not times:
        raise UsageError(f"{path} has no requests", hint=HINT)
    return Profile(
        hourly_rates=_hourly(path, times),
        prompt_tokens=_mean(prompts),
        output_tokens=_mean(answers),
    )


def _hourly(path: Path, times: list[float]) -> tuple[float, ...]:
    """Of whole hours; a trace of less than one is taken as an hour at its rate."""
    begin = min(times)
    length_s = max(times) - begin
    hours = int(length_s // HOUR_S)
    if hours > MOST_HOURS:
        raise UsageError(f"{path} is longer than a year", hint="seconds (.csv), or ms (.jsonl)")
    if hours == 0:
        return (len(times) / max(length_s, 1.0),)
    counts = [0] * hours
    for at in times:
        hour = int((at - begin) // HOUR_S)
        if hour < hours:
            counts[hour] += 1
    return tuple(count / HOUR_S for count in counts)


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:  # Any: JSON
    """With names in lower case."""
    with path.open(encoding="utf-8", newline="") as file:
        found = _json_rows(path, file) if path.suffix == ".jsonl" else csv.DictReader(file)
        try:
            for row in found:
                yield {str(name).strip().lower(): value for name, value in row.items()}
        except csv.Error as error:
            raise UsageError(f"{path} is no CSV: {error}", hint=HINT) from None


def _json_rows(path: Path, lines: Iterable[str]) -> Iterator[dict[str, Any]]:  # Any: JSON
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            raise UsageError(f"{path}:{number} is no JSON object", hint=HINT) from None


def _first(row: Mapping[str, object], names: Iterable[str]) -> object:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _number(value: object) -> float | None:
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if 0 <= found <= MOST_REQUESTS else None


def _seconds(value: object) -> float | None:
    """A number, or a date and a time."""
    try:
        return float(str(value))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(str(value)[:26]).timestamp()
    except ValueError:
        return None


def _mean(values: list[float | None]) -> float | None:
    """None unless every row tells it."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return sum(known) / len(known)
