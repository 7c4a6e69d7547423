"""What of two recipes makes two runs other work."""

from __future__ import annotations

import msgspec
import pytest

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.unlike import SAME_REQUESTS, WORKLOAD, said_of

Recipe = dict[str, object]


def recipe(**said: object) -> Recipe:
    """As a manifest has it."""
    settled = msgspec.convert(said, BenchRecipe)
    plain: Recipe = msgspec.to_builtins(settled)
    return plain


@pytest.mark.parametrize("names", [WORKLOAD, SAME_REQUESTS], ids=["workload", "same-requests"])
@pytest.mark.parametrize("api", ["chat", "embeddings"])
@pytest.mark.parametrize("field", WORKLOAD)
def test_a_report_older_than_a_field_has_its_default(
    names: tuple[str, ...], api: str, field: str
) -> None:
    now = recipe(api=api)
    older = {name: value for name, value in now.items() if name != field}
    if field == "api":
        now = recipe()
    assert said_of(older, names) == said_of(now, names)


@pytest.mark.parametrize(
    ("idle", "meant"),
    [
        ({"texts_per_request": 4}, {"api": "embeddings"}),
        ({"time_scale": 2.0}, {"trace": "trace.csv"}),
        ({"arrival": "constant"}, {"rate": [2.0]}),
        ({"burstiness": 0.5}, {"ramp": "1-20"}),
        ({"max_in_flight": 9}, {"burst": 40}),
        ({"shared_prefix_share": 0.5}, {"shared_prefix_tokens": 32}),
        ({"output_tokens": 5, "api": "embeddings"}, {"api": "chat"}),
    ],
    ids=["texts", "time-scale", "arrival", "burstiness", "in-flight", "prefix", "output"],
)
def test_a_field_counts_only_where_it_changes_a_request(idle: Recipe, meant: Recipe) -> None:
    plain = {name: value for name, value in idle.items() if name == "api"}
    assert said_of(recipe(**idle), WORKLOAD) == said_of(recipe(**plain), WORKLOAD)
    both = {**idle, **meant}
    assert said_of(recipe(**both), WORKLOAD) != said_of(recipe(**meant), WORKLOAD)
