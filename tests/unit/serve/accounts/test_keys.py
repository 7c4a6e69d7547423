"""API keys: shown once, found by their digest, gone when they are revoked or expired."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.serve.accounts.keys import KeyStore


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path)


def test_a_key_is_found_with_all_that_it_may(store: KeyStore, tmp_path: Path) -> None:
    secret, key = store.create("team", models=["a"], streams=3, budget_dollars=1.5)
    assert store.find(secret) == key
    assert KeyStore(tmp_path).find(secret) == key
    assert key.serves("a")
    assert not key.serves("b")
    assert key.may("chat")
    assert not key.may("metrics")
    assert store.find(secret + "x") is None


def test_the_secret_is_kept_nowhere(store: KeyStore, tmp_path: Path) -> None:
    secret, _ = store.create("team")
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


def test_another_process_sees_changes_at_once(store: KeyStore, tmp_path: Path) -> None:
    gateway = KeyStore(tmp_path)
    secret, key = store.create("team")
    assert gateway.find(secret) == key
    new, _ = store.rotate("team")
    assert gateway.find(new) == key
    store.revoke(key.id)
    assert KeyStore(tmp_path).find(new) is None
    assert len(store) == 0


def test_an_expired_key_is_none(store: KeyStore) -> None:
    secret, _ = store.create("old", expires=time.time() - 1)
    assert store.find(secret) is None


def test_names_are_unique_among_live_keys(store: KeyStore) -> None:
    store.create("team")
    with pytest.raises(UsageError, match="there is a key named team"):
        store.create("team")
    store.revoke("team")
    store.create("team")
    assert len(store.all()) == 2


@pytest.mark.parametrize(
    ("name", "role", "message"),
    [
        ("", "user", "needs a name"),
        ("a\nb", "user", "needs a name"),
        ("x" * 101, "user", "needs a name"),
        ("team", "admn", "unknown role 'admn'"),
    ],
)
def test_a_key_needs_a_name_and_a_role(store: KeyStore, name: str, role: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        store.create(name, role=role)


def test_who_is_not_there_cannot_be_revoked(store: KeyStore) -> None:
    store.create("team")
    with pytest.raises(UsageError) as raised:
        store.revoke("taem")
    assert "team" in (raised.value.hint or "")
