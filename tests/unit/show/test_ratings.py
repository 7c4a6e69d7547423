"""Users' scores: what counts, and when a difference is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.core.rating import Rating
from llmops_cli.core.significance import share_difference
from llmops_cli.show.ratings import compare_ratings, pairs_table, ratings_table


def written(path: Path, ratings: list[Rating], rest: bytes = b"") -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in ratings) + rest)
    return path


def rating(request: int, prompt: str, score: float | None, *labels: str) -> Rating:
    return Rating(at="t", request=f"{request:016x}", prompt=prompt, score=score, labels=[*labels])


def test_the_last_rating_of_a_request_counts_and_a_sure_difference_is_told(tmp_path: Path) -> None:
    ratings = [rating(number, "a@1", 0.0) for number in range(100)]
    ratings += [rating(number, "a@1", float(number < 40), "slow") for number in range(100)]
    ratings += [rating(100 + number, "b@2", float(number < 70)) for number in range(100)]
    ratings += [rating(300, "b@2", None, "long")]
    found = compare_ratings([written(tmp_path / "f.jsonl", ratings, b'{"at')], by="prompt")
    assert [(side.name, side.n, side.mean) for side in found.sides] == [
        ("a@1", 100, 0.4),
        ("b@2", 100, 0.7),
    ]
    assert found.sides[0].labels == {"slow": 100}
    assert (found.replaced, found.unreadable) == (100, 1)
    assert found.pairs[0].better == "b@2"
    assert found.pairs[0].ci95[0] > 0
    assert ratings_table(found).row_count == 2
    assert pairs_table(found).row_count == 1


def test_a_few_ratings_that_all_agree_are_not_sure(tmp_path: Path) -> None:
    ratings = [rating(number, "a", 1.0) for number in range(2)]
    ratings += [rating(9 + number, "b", 0.5) for number in range(2)]
    found = compare_ratings([written(tmp_path / "f.jsonl", ratings)], by="prompt")
    assert found.pairs[0].better == ""
    assert compare_ratings([tmp_path / "f.jsonl"], by="model").sides[0].name == "(none)"


def test_a_file_without_a_rating_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no rating in"):
        compare_ratings([written(tmp_path / "f.jsonl", [])], by="prompt")
    with pytest.raises(UsageError, match="no file at"):
        compare_ratings([tmp_path / "none.jsonl"], by="prompt")


sides = st.tuples(st.floats(0, 1), st.integers(1, 500))


@given(sides, sides)
def test_a_difference_lies_in_its_interval_and_turns_around(
    a: tuple[float, int], b: tuple[float, int]
) -> None:
    found = share_difference(a, b)
    low, high = found.ci95
    assert -1 <= low <= found.difference + 1e-9
    assert found.difference - 1e-9 <= high <= 1
    assert 0 <= found.p <= 1
    other = share_difference(b, a)
    assert other.difference == pytest.approx(-found.difference)
    assert other.ci95 == pytest.approx((-high, -low), abs=1e-9)
