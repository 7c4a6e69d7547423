"""`{{name}}` in prompts and expected values: nunjucks' templates, in a sandbox.

Jinja2 is what nunjucks was made after. Values are written as JavaScript would: true, not True.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llmops_cli.core.errors import UsageError

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

MARKS = ("{{", "{%", "{#")
MOST_CHARS = 1_000_000
"""Of what a template writes."""
MOST_NESTED = 5
"""Times that a value may hold a template which holds another."""


def render(template: str, variables: Mapping[str, Any]) -> str:  # Any: a case's values
    """The text with its values. Raises: UsageError for a template that cannot be written."""
    if not any(mark in template for mark in MARKS):
        return template
    import jinja2

    try:
        text = str(_compiled(template).render(variables))
    except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
        raise UsageError(f"a template cannot be filled: {error}") from error
    if len(text) > MOST_CHARS:
        raise UsageError(f"a template writes more than {MOST_CHARS:,} characters")
    return text


def settle_variables(variables: Mapping[str, Any]) -> dict[str, Any]:  # Any: as above
    """Values whose text names other values, filled."""
    settled = dict(variables)
    for _ in range(MOST_NESTED):
        filled = {name: _filled(value, settled) for name, value in settled.items()}
        if filled == settled:
            break
        settled = filled
    return settled


def names_in(template: str) -> frozenset[str]:
    """The variables that a template asks for. Raises: UsageError for a broken one."""
    if not any(mark in template for mark in MARKS):
        return frozenset()
    import jinja2
    from jinja2 import meta

    try:
        tree = _environment().parse(template)
    except jinja2.TemplateSyntaxError as error:
        raise UsageError(f"a template is broken at its line {error.lineno}: {error}") from error
    return frozenset(meta.find_undeclared_variables(tree))


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:  # Any: a case's values
    return render(value, variables) if isinstance(value, str) else value


@lru_cache(maxsize=4096)
def _compiled(template: str) -> Any:  # Any: jinja2.Template
    return _environment().from_string(template)


@lru_cache(maxsize=1)
def _environment() -> SandboxedEnvironment:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Nunjucks(ImmutableSandboxedEnvironment):
        """Texts and lists have a length, as JavaScript's do."""

        def getattr(self, obj: Any, attribute: str) -> Any:  # Any: a case's value
            if attribute == "length" and isinstance(obj, str | list):
                return len(obj)
            return super().getattr(obj, attribute)

    found = Nunjucks(
        autoescape=False,
        undefined=jinja2.ChainableUndefined,
        finalize=_as_javascript,
        keep_trailing_newline=True,
    )
    found.filters["dump"] = _dump
    found.filters["safe"] = str
    return found


def _dump(value: Any, indent: int | None = None) -> str:  # Any: a case's value
    separators = None if indent else (",", ":")
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)


def _as_javascript(value: Any) -> Any:  # Any: a case's value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return ",".join(str(_as_javascript(each)) for each in value)
    if isinstance(value, dict):
        return _dump(value)
    return value
