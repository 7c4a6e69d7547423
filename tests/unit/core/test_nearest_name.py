"""A hint costs little, whoever made the name."""

import time

from llmops_cli.core.errors import nearest_name


def test_a_near_name_is_told_and_others_are_listed() -> None:
    assert nearest_name("Uper", ["upper", "lower"]) == "did you mean 'upper'?"
    assert nearest_name("x", ["upper", "lower"]) == "known: lower, upper"


def test_a_text_is_no_name_that_was_mistyped() -> None:
    start = time.process_time()
    assert nearest_name("ab" * 4_000_000, ["ab", "c"]) == "known: ab, c"
    assert time.process_time() - start < 1


def test_a_table_too_long_for_a_line_is_counted_and_a_command_shows_it() -> None:
    names = [f"card-{number}" for number in range(61)]
    assert nearest_name("zzzz", names) == "none of 61 known names is like it"
    assert nearest_name("zzzz", names, listed_by="llmops plan gpus").endswith(": llmops plan gpus")
    assert nearest_name("card-7x", names) == "did you mean 'card-7'?"
