"""One thing is no things."""

from __future__ import annotations

from llmops_cli.core.counted import counted


def test_one_thing_is_singular_and_thousands_are_read_at_a_glance() -> None:
    said = [counted(number, "key") for number in (0, 1, 2, 12345)]
    assert said == ["0 keys", "1 key", "2 keys", "12,345 keys"]
    assert counted(1, "category", "categories") == "1 category"
    assert counted(3, "category", "categories") == "3 categories"
