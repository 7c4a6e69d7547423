"""Which form of calls a template asks for."""

from __future__ import annotations

import pytest

from _shared.tools import layouts
from tests.unit.workers._shared.tools import templates


@pytest.mark.parametrize(
    ("template", "layout"),
    [
        ("QWEN", layouts.HERMES),
        ("LLAMA", layouts.LLAMA),
        ("MISTRAL", layouts.MISTRAL),
        ("MISTRAL_NAMED", layouts.MISTRAL_NAMED),
        ("FUNCTIONARY", layouts.FUNCTIONARY),
        ("QWEN_CODER", None),
        ("PLAIN", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_templates_marks_tell_its_form(template: str, layout: layouts.Layout | None) -> None:
    assert layouts.layout_of(getattr(templates, template)) == layout
