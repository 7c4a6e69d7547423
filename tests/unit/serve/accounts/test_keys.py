"""API keys: shown once, found by their digest, gone when they are revoked or expired."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.serve.accounts.budget import Spending
from llmops_cli.serve.accounts.key_changes import KeyChanges
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.accounts.spend import TagSpending, spent_by_tag, tag_names


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


NUMBERS = [
    {"expires": float("nan")},
    {"expires": float("inf")},
    {"expires": 1e300},
    {"expires": -1.0},
    {"budget_dollars": float("nan")},
    {"budget_dollars": float("inf")},
    {"budget_dollars": -0.5},
    {"budget_tokens": 0},
    {"budget_tokens": 1 << 70},
    {"tokens_per_minute": 1 << 64},
    {"requests_per_minute": 0},
    {"streams": -1},
    {"tags": {"team": "x" * 65}},
    {"tags": {"te\nam": "x"}},
    {"tags": {str(number): "x" for number in range(17)}},
]


@pytest.mark.parametrize("numbers", NUMBERS, ids=str)
def test_numbers_that_mean_nothing_are_refused(store: KeyStore, numbers: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        store.create("team", **numbers)
    store.create("good")
    with pytest.raises(UsageError):
        store.update("good", KeyChanges(fields=numbers))
    assert [key.name for key in store.all()] == ["good"]


DAMAGE = [
    ("expires", float("inf")),
    ("expires", "soon"),
    ("models", "[1, 2]"),
    ("models", "no json"),
    ("models", "[" * 100_000),
    ("budget_dollars", -1.0),
    ("budget_tokens", -5),
    ("streams", 0),
    ("created", "x"),
    ("name", b"\xff\xfe"),
    ("tags", '{"team": 3}'),
    ("prompts", ""),
    ("prompts", '"support"'),
]


@pytest.mark.parametrize(("column", "value"), DAMAGE, ids=str)
def test_a_damaged_row_harms_no_other_key(tmp_path: Path, column: str, value: object) -> None:
    store = KeyStore(tmp_path)
    bad, damaged = store.create("bad")
    good, kept = store.create("good")
    store._db.execute(f"update keys set {column} = ? where id = ?", (value, damaged.id))
    gateway = KeyStore(tmp_path)
    assert gateway.find(good) == kept
    assert gateway.all() == [kept]
    assert gateway.find(bad) is None
    assert len(gateway) == 1
    assert [row.id for row in gateway.damaged()] == [damaged.id]
    with pytest.raises(UsageError, match="damaged"):
        gateway.update(damaged.id, KeyChanges(fields={"role": "admin"}))
    gateway.revoke(damaged.id)
    assert gateway.damaged()[0].revoked


def test_a_database_of_before_has_keys_without_tags(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    secret, _ = store.create("old")
    for column in ("tags", "prompts", "budget_dollars", "budget_tokens"):
        store._db.execute(f"alter table keys drop column {column}")
    key = KeyStore(tmp_path).find(secret)
    assert key is not None
    assert key.tags == {}
    assert key.prompts == []
    assert key.asks("any")


def test_a_key_is_changed_and_stays_what_it_is(store: KeyStore, tmp_path: Path) -> None:
    gateway = KeyStore(tmp_path)
    secret, key = store.create("team", models=["a"], streams=3, tags={"team": "search"})
    assert gateway.find(secret) == key
    changes = KeyChanges(
        fields={"role": "admin", "budget_dollars": 2.0, "prompts": ["support"]},
        clear=("streams",),
        add_models=("b",),
        remove_models=("a",),
        add_tags={"project": "x"},
        remove_tags=("team",),
    )
    changed = store.update("team", changes)
    assert store.find(secret) == changed
    gateway._checked = 0.0
    assert gateway.find(secret) == changed
    assert (changed.role, changed.models, changed.streams) == ("admin", ["b"], None)
    assert changed.tags == {"project": "x"}
    assert (changed.asks("support"), changed.asks("sales")) == (True, False)
    assert store.update("team", KeyChanges(clear=("prompts",))).asks("sales")
    assert (changed.id, changed.created) == (key.id, key.created)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (KeyChanges(), "nothing to change"),
        (KeyChanges(fields={"role": "admn"}), "unknown role 'admn'"),
        (KeyChanges(fields={"streams": 2}, clear=("streams",)), "given and cleared"),
        (KeyChanges(clear=("stream",)), "unknown field to clear 'stream'"),
        (KeyChanges(remove_models=("b",)), "unknown model of the key 'b'"),
        (KeyChanges(remove_models=("a",)), "may use all"),
        (KeyChanges(clear=("models",), add_models=("c",)), "may use all models already"),
        (KeyChanges(remove_tags=("x",)), "unknown tag of the key 'x'"),
    ],
)
def test_contradictory_changes_are_refused(
    store: KeyStore, changes: KeyChanges, message: str
) -> None:
    _, key = store.create("team", models=["a"])
    with pytest.raises(UsageError, match=message):
        store.update("team", changes)
    assert store.all() == [key]


def test_only_keys_that_somebody_gets_in_by_are_counted(store: KeyStore) -> None:
    store.create("old", expires=time.time() - 1)
    _, damaged = store.create("damaged")
    store._db.execute("update keys set expires = 'soon' where id = ?", (damaged.id,))
    store.create("revoked")
    store.revoke("revoked")
    assert len(store) == 0
    assert not store.has_live()
    store.create("live")
    assert len(store) == 1
    assert store.has_live()


def test_spending_by_tag_has_every_dollar_once(store: KeyStore) -> None:
    _, one = store.create("one", tags={"team": "search"})
    _, two = store.create("two", tags={"team": "search", "project": "x"})
    store.create("three")
    spent = {one.id: Spending(1.0, 10), two.id: Spending(2.0, 20), "open": Spending(0.5, 5)}
    rows = spent_by_tag(store.all(), spent, "team")
    assert rows == [TagSpending("search", 2, 3.0, 30), TagSpending("", 1, 0.5, 5)]
    assert tag_names(store.all()) == ["project", "team"]


def test_what_cannot_be_written_is_said_and_changes_nothing(store: KeyStore) -> None:
    """A full disk is no bug of ours."""
    store.create("me")
    pages = store._db.execute("pragma page_count").fetchone()[0]
    store._db.execute(f"pragma max_page_count={pages}")
    tags = {f"tag{number}": "x" * 64 for number in range(16)}
    with pytest.raises(EnvironmentMissing, match=r"nothing was changed in .*gateway\.db.* full"):
        for number in range(100):
            store.create(f"more{number}", tags=tags)
    with pytest.raises(EnvironmentMissing, match="nothing was changed"):
        store.update("me", KeyChanges(fields={"models": ["m" * 200] * 200}))
    assert store.named("me").models == []
