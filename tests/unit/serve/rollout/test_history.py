"""What was served, in which order, and what is there to go back to."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.gateway_file.config import GatewayConfig, RedisConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.rollout import history
from llmops_cli.serve.rollout.history import Action, Deployment
from llmops_cli.serve.state import connect


def config(port: int, **more: object) -> GatewayConfig:
    upstreams = {"x": UpstreamConfig(url=f"http://127.0.0.1:{port}/v1")}
    return GatewayConfig(upstreams=upstreams, **more)  # type: ignore[arg-type]


def deployed(action: Action, digest: str, *, at: float = 1.0, model: str = "") -> Deployment:
    return Deployment(at=at, who="ops", action=action, digest=digest, model=model)


def test_the_configuration_before_is_another_one(tmp_path: Path) -> None:
    database = connect(tmp_path)
    digests = []
    for port, action in ((1, Action.START), (2, Action.CONFIG), (2, Action.START)):
        history.keep_config(database, config(port), "policy")
        digest = history.digest_of(config(port), "policy")
        history.record(database, deployed(action, digest))
        digests.append(digest)
    assert history.digest_before(database, digests[2]) == digests[0]
    kept = history.kept_config(database, digests[0])
    assert kept is not None
    assert (kept.config, kept.policy) == (config(1), "policy")
    assert not history.is_rolled_back(database, digests[0])
    history.record(database, deployed(Action.ROLLBACK, digests[0]))
    assert history.is_rolled_back(database, digests[0])
    history.record(database, deployed(Action.ROLLBACK, digests[0], model="m"))
    assert history.is_rolled_back(database, digests[0])


def test_a_password_of_redis_is_not_kept(tmp_path: Path) -> None:
    database = connect(tmp_path)
    secret = config(1, redis=RedisConfig(url="redis://:hunter2@127.0.0.1/0"))
    history.keep_config(database, secret, None)
    database.close()
    assert not [each for each in tmp_path.iterdir() if b"hunter2" in each.read_bytes()]


def test_a_start_is_written_once_and_changes_no_state(tmp_path: Path) -> None:
    database = connect(tmp_path)
    before = history.state_of(database, "d")
    for _ in range(3):
        history.begin(database, deployed(Action.START, "d", at=5.0))
    assert len(history.entries(database, 10)) == 1
    assert history.state_of(database, "d") == before
    history.record(database, deployed(Action.STEP, "d", model="m"))
    assert history.state_of(database, "d") == before
    history.record(database, deployed(Action.PROMOTE, "d", model="m"))
    assert history.state_of(database, "d") != before


def test_neither_history_nor_configurations_grow_for_ever(tmp_path: Path) -> None:
    database = connect(tmp_path)
    for port in range(1, 31):
        history.keep_config(database, config(port), None)
    for _ in range(history.ENTRIES_MOST + 5):
        history.record(database, deployed(Action.CONFIG, "d"))
    assert len(history.entries(database, 9999)) == history.ENTRIES_MOST
    count = database.execute("select count(*) from deployed_configs").fetchone()[0]
    assert count == history.CONFIGS_MOST


@given(st.integers(1, 65535), st.integers(1, 65535))
def test_a_digest_is_of_what_is_served(one: int, other: int) -> None:
    same = history.digest_of(config(one), None) == history.digest_of(config(other), None)
    assert same == (one == other)
    assert history.digest_of(config(one), None) != history.digest_of(config(one), "policy")
