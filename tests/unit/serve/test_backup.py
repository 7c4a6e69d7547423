"""A state that is saved while others spend, put back elsewhere, and checked."""

from __future__ import annotations

import asyncio
import io
import json
import resource
import signal
import sqlite3
import tarfile
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.serve.accounts.budget import month_now
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.accounts.local_budgets import LocalBudgets
from llmops_cli.serve.backup import backup, restore
from llmops_cli.serve.state_check import check_state_of
from llmops_cli.serve.watch.audit import AuditEntry, AuditLog, now

DOLLARS = 0.001
RATE_PER_S = 200


class Spender(threading.Thread):
    """Pays as a gateway's worker does: a reservation, what it came to, a line of the audit log."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.secret, self.key = KeyStore(folder).create("a", role="user", budget_dollars=1000.0)
        self.ends = threading.Event()
        self.paid: list[float] = []

    def run(self) -> None:
        asyncio.run(self._pay())

    async def _pay(self) -> None:
        budgets = LocalBudgets(self._folder)
        audit = AuditLog(self._folder / "audit.jsonl")
        while not self.ends.is_set():
            reservation = await budgets.reserve(self.key, DOLLARS, 10)
            await budgets.settle(reservation, DOLLARS, 10)
            self.paid.append(time.time())
            entry = AuditEntry(
                at=now(),
                request="r",
                route="/v1/chat/completions",
                status=200,
                key=self.key.id,
                dollars=DOLLARS,
            )
            audit.write(entry)
            await asyncio.sleep(1 / RATE_PER_S)
        audit.close()


@pytest.fixture
def spender(tmp_path: Path) -> Spender:
    found = Spender(tmp_path / "state")
    found.start()
    while len(found.paid) < 20:
        time.sleep(0.01)
    return found


def test_nothing_that_was_paid_is_lost_and_keys_work(spender: Spender, tmp_path: Path) -> None:
    archive = tmp_path / "state.tar.gz"
    manifest = backup(tmp_path / "state", archive)
    spender.ends.set()
    spender.join()
    assert archive.stat().st_mode & 0o777 == 0o600
    elsewhere = tmp_path / "elsewhere"
    restore(archive, elsewhere)
    spent = asyncio.run(LocalBudgets(elsewhere).spent(month_now()))
    paid = sum(at <= manifest.as_of for at in spender.paid)
    assert paid >= 20
    assert spent[spender.key.id].dollars >= paid * DOLLARS - 1e-9
    assert spent[spender.key.id].dollars <= len(spender.paid) * DOLLARS + 1e-9
    found = KeyStore(elsewhere).find(spender.secret)
    assert found is not None
    assert found.id == spender.key.id
    for place in (tmp_path / "state", archive, elsewhere):
        checked = check_state_of(place)
        assert checked.ok, checked.findings
        assert checked.keys == 1
        assert checked.audit_lines >= 20


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    KeyStore(tmp_path / "state").create("a", role="user")
    (tmp_path / "state" / "audit.jsonl").write_text('{"at": "2026-01-01", "request": "r"}\n' * 999)
    found = tmp_path / "state.tar.gz"
    backup(tmp_path / "state", found)
    return found


def changed(archive: Path, change: dict[str, bytes], kinds: dict[str, bytes] | None = None) -> Path:
    """The archive with these files in place of its own, or beside them."""
    with tarfile.open(archive) as tar:
        files = {}
        for info in tar:
            source = tar.extractfile(info)
            assert source is not None
            files[info.name] = source.read()
    found = archive.with_name("changed.tar.gz")
    with tarfile.open(found, "w:gz") as tar:
        for name, raw in {**files, **change}.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            info.type = (kinds or {}).get(name, tarfile.REGTYPE)
            if info.type == tarfile.SYMTYPE:
                info.linkname = "/etc/passwd"
                info.size = 0
            tar.addfile(info, io.BytesIO(raw))
    return found


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"../outside": b"x"}, {}),
        ({"/tmp/outside": b"x"}, {}),
        ({"audit.jsonl/../../outside": b"x"}, {}),
        ({"audit.jsonl.9": b""}, {"audit.jsonl.9": tarfile.SYMTYPE}),
        ({"audit.jsonl": b"{}\n"}, {}),
        ({"gateway.db": b"SQLite format 3\x00"}, {}),
        ({"audit.jsonl.7": b"{}\n"}, {}),
        ({"manifest.json": b"{"}, {}),
        ({"manifest.json": b"[]"}, {}),
    ],
)
def test_a_backup_that_somebody_has_changed_is_refused(
    archive: Path, tmp_path: Path, change: dict[str, bytes], kinds: dict[str, bytes]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(UsageError, match=r"backup|damaged"):
        restore(changed(archive, change, kinds), elsewhere)
    assert list(elsewhere.iterdir()) == []
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_half_a_backup_is_none(archive: Path, tmp_path: Path, share: float) -> None:
    raw = archive.read_bytes()
    archive.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(UsageError, match="is no"):
        restore(archive, tmp_path / "elsewhere")


def test_no_state_is_written_over(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has a state already"):
        restore(archive, tmp_path / "state")
    with pytest.raises(UsageError, match="is there already"):
        backup(tmp_path / "state", archive)
    with pytest.raises(UsageError, match="no state in"):
        backup(tmp_path / "nowhere", tmp_path / "x.tar.gz")
    with pytest.raises(UsageError, match="is no backup"):
        restore(tmp_path / "nowhere.tar.gz", tmp_path / "elsewhere")


def test_spending_that_is_gone_and_rows_that_are_none_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    KeyStore(folder).create("a", role="user")
    line = {"at": "2026-01-31T00:00:00Z", "request": "r", "key": "k", "dollars": 2.5}
    (folder / "audit.jsonl").write_text(f"{json.dumps(line)}\nnonsense\n{{")
    with closing(sqlite3.connect(folder / "gateway.db")) as database:
        database.execute("insert into spend values ('x', '2026-01', -1.0, 3)")
        database.commit()
    found = check_state_of(folder)
    assert not found.ok
    assert [each.rule for each in found.findings] == ["lines", "spend", "lost spending"]


def test_a_folder_that_takes_no_more_says_nothing_of_the_backup(
    archive: Path, tmp_path: Path
) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signals = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with pytest.raises(EnvironmentMissing, match="cannot unpack a backup into"):
            restore(archive, tmp_path / "elsewhere")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, signals)
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentMissing, match="File exists"):
        restore(archive, tmp_path / "file")
    restore(archive, tmp_path / "elsewhere")


def test_a_flipped_byte_changes_nothing_that_is_put_back(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    audit = (tmp_path / "state" / "audit.jsonl").read_bytes()
    refused = 0
    for place in range(10, len(whole), len(whole) // 20):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        elsewhere = tmp_path / f"elsewhere-{place}"
        try:
            restore(archive, elsewhere)
        except UsageError:
            refused += 1
            assert not list(elsewhere.iterdir())
        else:
            assert (elsewhere / "audit.jsonl").read_bytes() == audit
    assert refused >= 10
