"""Files of `llmops plan fit`: written, read, and used in place of the published defaults."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.calls import pasted
from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.sizing.calibration import Group
from llmops_cli.sizing.efficiency import FITTED, constants_digest

SCHEMA = "llmops.plan-fit/2"


class FitFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sources`: the reports that it was made of.

    `constants`: beside which engines' constants, by their digest; "" in a file of /1.
    """

    schema: str = SCHEMA
    constants: str = ""
    groups: tuple[Group, ...]
    sources: tuple[str, ...] = ()


def write_fit(place: Path, found: FitFile) -> None:
    from llmops_cli.runtime.files import write_atomic

    text = msgspec.json.format(msgspec.json.encode(found), indent=2)
    write_atomic(place, text + b"\n")


def read_groups(place: str | None) -> tuple[Group, ...]:
    """Those of the file before the defaults.

    Raises: UsageError for a file that `plan fit` did not write, or beside other constants.
    """
    if place is None:
        return FITTED
    try:
        raw = Path(place).read_bytes()
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}") from error
    try:
        file = msgspec.json.decode(raw, type=FitFile)
    except UNREADABLE:
        reason = wrong_in(raw, FitFile)
        raise UsageError(
            f"{place} is no file of plan fit: {reason}", hint="llmops plan fit RESULTS -o FILE"
        ) from None
    if file.constants != constants_digest():
        runs = [pasted(source) for source in file.sources] or ["RESULTS"]
        raise UsageError(
            f"{place} was fitted beside other constants of the engines than this version has",
            hint=f"llmops plan fit {' '.join(runs)} -o {pasted(place)}",
        )
    return (*file.groups, *FITTED)
