"""Whether a state folder, or a backup of one, can be served from, and what in it is odd."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from math import isfinite
from pathlib import Path

import msgspec

from llmops_cli.core.counted import counted
from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.backup import AUDIT, unpack
from llmops_cli.serve.state import DATABASE

CENT = 0.01
FINDINGS_MOST = 100
MONTH_CHARS = 7
Spent = dict[tuple[str, str], float]


class StateFinding(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    rule: str
    message: str


class CheckedState(msgspec.Struct, frozen=True, kw_only=True):
    ok: bool
    keys: int
    audit_lines: int
    findings: list[StateFinding]


class _AuditLine(msgspec.Struct):
    at: str
    key: str = ""
    dollars: float = 0.0


def check_state_of(place: Path) -> CheckedState:
    """`place`: a folder, which may be served from meanwhile, or an archive. Raises: UsageError."""
    if place.is_dir():
        return _checked(place)
    if not place.is_file():
        raise UsageError(f"no state at {place}", hint="a state folder, or a file of state backup")
    with tempfile.TemporaryDirectory(prefix="llmops-check-") as work:
        unpack(place, Path(work))
        return _checked(Path(work))


def _checked(folder: Path) -> CheckedState:
    path = folder / DATABASE
    if not path.is_file():
        raise UsageError(f"no state in {folder}", hint="set LLMOPS_STATE_DIR to the gateway's")
    lines = 0
    keys = 0
    findings = list[StateFinding]()
    paid: Spent = defaultdict(float)
    for audit in sorted(folder.glob(f"{AUDIT}*")):
        if audit.suffix == ".lock":
            continue
        count, bad = _read_audit(audit, paid)
        lines += count
        if bad:
            findings.append(_finding(audit, "lines", f"{counted(bad, 'line')} cannot be read"))
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            keys = int(database.execute("select count(*) from keys").fetchone()[0])
            findings += _in_database(path, database, paid)
    except sqlite3.Error as error:
        findings.append(_finding(path, "database", str(error)))
    return CheckedState(
        ok=not findings,
        keys=keys,
        audit_lines=lines,
        findings=findings[:FINDINGS_MOST],
    )


def _read_audit(path: Path, paid: Spent) -> tuple[int, int]:
    """Its lines, and how many are none; what they cost is added up."""
    decode = msgspec.json.Decoder(_AuditLine).decode
    count = 0
    bad = 0
    with path.open("rb") as file:
        for raw in file:
            try:
                line = decode(raw)
            except UNREADABLE:
                bad += raw.endswith(b"\n")  # the last one may be being written
                continue
            count += 1
            if line.dollars:
                paid[line.key, line.at[:MONTH_CHARS]] += line.dollars
    return count, bad


def _in_database(path: Path, database: sqlite3.Connection, paid: Spent) -> Iterator[StateFinding]:
    whole = str(database.execute("pragma quick_check(1)").fetchone()[0])
    if whole != "ok":
        yield _finding(path, "database", whole.splitlines()[-1])
        return
    spent: Spent = {}
    for key, month, dollars, tokens in database.execute("select * from spend"):
        if not isinstance(dollars, float | int) or not isfinite(dollars) or dollars < 0:
            yield _finding(path, "spend", f"key {key}, {month}: {dollars} dollars")
        elif not isinstance(tokens, int) or tokens < 0:
            yield _finding(path, "spend", f"key {key}, {month}: {counted(tokens, 'token')}")
        else:
            spent[key, month] = dollars
    for place, dollars in paid.items():
        kept = spent.get(place, 0.0)
        if dollars > kept + CENT:
            key, month = place
            message = f"key {key}, {month}: {dollars:.2f} dollars in the audit log, {kept:.2f} kept"
            yield _finding(path, "lost spending", message)


def _finding(path: Path, rule: str, message: str) -> StateFinding:
    return StateFinding(file=path.name, rule=rule, message=message)
