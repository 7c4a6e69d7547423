"""Files of the state folder that are damaged, or where something else stands."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import CacheConfig, CanaryConfig, ModelConfig, SemanticConfig
from llmops_cli.serve.accounts.bucket_file import BucketFile
from llmops_cli.serve.accounts.bucket_tables import RateTable
from llmops_cli.serve.accounts.charge import Charge
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.answers.cache import LocalStore
from llmops_cli.serve.answers.semantic import Meanings
from llmops_cli.serve.door.server import check_start
from llmops_cli.serve.spec import GatewaySpec
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.watch.audit import AuditEntry, AuditLog

GARBAGE = bytes(range(256)) * 40
SEMANTIC = CacheConfig(semantic=SemanticConfig(model="v"))


def spec(folder: Path, host: str = "127.0.0.1") -> GatewaySpec:
    return GatewaySpec(
        folder=str(folder), config=GatewayConfig(upstreams={}, cache=SEMANTIC), host=host
    )


def spoil(path: Path) -> None:
    """Every page but the first."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for start in range(4096, size, 4096):
            file.seek(start)
            file.write(GARBAGE[:3000])


@pytest.mark.parametrize("name", ["cache.db", "meanings.db", "limits", "failed-keys", "owners"])
def test_what_may_be_lost_begins_anew(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / name).write_bytes(GARBAGE)
    check_start(spec(tmp_path), lambda _: None)
    said = [record.message for record in caplog.records]
    if name.endswith(".db"):
        assert len(said) == 1
        assert f"{name} was damaged" in said[0]
    check_start(spec(tmp_path), lambda _: None)
    assert len(caplog.records) == len(said), "once"


@pytest.mark.parametrize(
    "name",
    ["cache.db", "meanings.db", "limits", "failed-keys", "owners", "gateway.db", "audit.jsonl"],
)
def test_a_folder_in_a_file_s_place_is_said(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(EnvironmentMissing) as raised:
        check_start(spec(tmp_path), lambda _: None)
    assert str(tmp_path) in raised.value.message
    assert raised.value.hint
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_database_of_keys_is_said_and_never_removed(whole: bool, tmp_path: Path) -> None:
    KeyStore(tmp_path).create("me")
    gc.collect()  # which closes it
    path = tmp_path / "gateway.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("pragma journal_mode=delete")  # all of it is in one file now
    if whole:
        path.write_bytes(GARBAGE)
    else:
        spoil(path)
    before = path.read_bytes()
    for opens in (KeyStore, Canaries):
        with pytest.raises(EnvironmentMissing, match=r"gateway\.db") as raised:
            opens(tmp_path)
        assert "\n" not in raised.value.message
        assert "put back a copy" in str(raised.value.hint)
    assert path.read_bytes() == before


def test_a_page_that_is_damaged_under_way_costs_the_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path)

    async def fill() -> None:
        for number in range(300):
            await store.put(f"{number}", b"{}" * 50, 60)

    asyncio.run(fill())
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "cache.db")) as database:
        database.execute("pragma journal_mode=delete")
    spoil(tmp_path / "cache.db")
    store = LocalStore(tmp_path)

    async def use() -> None:
        for number in range(300):
            await store.get(f"{number}")
        await store.put("new", b"{}", 60)
        assert await store.get("new") is not None

    asyncio.run(use())
    assert "was damaged" in caplog.text


def test_two_workers_begin_one_new_cache(tmp_path: Path) -> None:
    one = LocalStore(tmp_path)
    two = LocalStore(tmp_path)
    asyncio.run(one.put("a", b"{}", 60))
    (tmp_path / "cache.db").write_bytes(GARBAGE)
    for store in (one, two):
        asyncio.run(store.get("b"))
    three = LocalStore(tmp_path)
    asyncio.run(three.put("c", b"{}", 60))
    assert asyncio.run(three.get("c")) is not None


def test_a_cache_of_another_version_begins_anew(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "meanings.db")
    old.execute("create table questions (x)")
    old.execute("create table meanings (x)")
    old.commit()
    old.close()
    meanings = Meanings(tmp_path)
    vector = np.ones(4, np.float32) / 2
    meanings.remember("p", "n", vector, [], most=5)
    near = meanings.nearest("p", vector, [], threshold=0.5)
    assert near is not None


def test_an_audit_log_follows_and_never_writes_elsewhere(tmp_path: Path) -> None:
    """Its path becomes a folder: lines go on to the file that is open."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    path.rename(tmp_path / "moved")
    path.mkdir()
    log.look()
    log.write(AuditEntry(at="now", request="r", route="/", status=200))
    assert (tmp_path / "moved").read_bytes().endswith(b"\n")
    assert log.lost == 0


def test_a_log_that_cannot_be_turned_over_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "audit.jsonl.lock").mkdir()
    (tmp_path / "audit.jsonl").touch()
    os.truncate(tmp_path / "audit.jsonl", 101 << 20)
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write(AuditEntry(at="now", request="r", route="/", status=200))
    assert log.lost == 0


@pytest.mark.parametrize(
    ("left", "at_s"),
    [(float("nan"), 0.0), (float("-inf"), 0.0), (-1e300, 0.0), (0.0, 3600.0), (0.0, float("nan"))],
)
def test_a_damaged_bucket_or_a_clock_set_back_keeps_nobody_out(
    left: float, at_s: float, tmp_path: Path
) -> None:
    buckets = BucketFile(tmp_path)
    charge = Charge("key:k", "requests", 10, 1.0)
    buckets.take([charge])
    path = tmp_path / "limits"
    raw = path.read_bytes()
    name = buckets._name(charge)
    offset = raw.index(name)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(RateTable.ROW.pack(name, left, time.time() + at_s))
    assert buckets.take([charge]).refused is None


def test_a_canary_s_state_that_cannot_be_read_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    canaries = Canaries(tmp_path)
    model = ModelConfig(pool=["a"], canary=CanaryConfig(use=["b"], steps=[7, 100]))
    database = sqlite3.connect(tmp_path / "gateway.db")
    database.execute("insert into canaries values ('m', ?)", (GARBAGE,))
    database.commit()
    database.close()
    with caplog.at_level(logging.WARNING):
        canaries.configure({"m": model})
    assert canaries.percent("m") == 7
    assert "begins anew" in caplog.text


def test_wide_addresses_need_a_key_that_somebody_gets_in_by(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.create("old", expires=time.time() - 1)
    store.create("gone")
    store.revoke("gone")
    with pytest.raises(UsageError, match="there is no key"):
        check_start(spec(tmp_path, "0.0.0.0"), lambda _: None)
    store.create("me")
    check_start(spec(tmp_path, "0.0.0.0"), lambda _: None)
