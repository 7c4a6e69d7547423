"""Which form of calls a template asks for."""

from __future__ import annotations

import pytest

from _shared.tools import layouts
from tests.unit.workers._shared.tools import templates
from tests.unit.workers._shared.tools.templates import render_of


@pytest.mark.parametrize(
    ("template", "layout"),
    [
        ("QWEN", layouts.HERMES),
        ("LLAMA", layouts.LLAMA),
        ("MISTRAL", layouts.MISTRAL),
        ("MISTRAL_NAMED", layouts.MISTRAL_NAMED),
        ("FUNCTIONARY", layouts.FUNCTIONARY),
        ("ESCAPED", None),
        ("PLAIN", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_templates_marks_tell_its_form(template: str, layout: layouts.Layout | None) -> None:
    source = getattr(templates, template)
    assert layouts.layout_of(source, render_of(source)) == layout
