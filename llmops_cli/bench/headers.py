"""Request headers from a recipe, with secrets from the environment only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.urls import is_secret_name
from llmops_cli.runtime.keys import require_header_value

SECRET_HEADERS = re.compile(r"authorization|.*(key|token|secret|cookie).*", re.IGNORECASE)
SECRET_VALUE = re.compile(r"(bearer|basic)\s", re.IGNORECASE)
PUBLIC_FIELDS = frozenset({"prompt_cache_key", "bos_token", "eos_token", "pad_token", "unk_token"})
"""Of requests and chat templates; they are named like secrets and are none."""
DEFAULT_KEY = "LLMOPS_API_KEY"
_NAME = re.compile(r"[\w-]+")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def headers_of(recipe: BenchRecipe, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The extra headers with $NAME filled in from the environment, and the API key if there is one.

    Raises: UsageError for a secret written out, which would end up in the report;
    EnvironmentMissing for a variable that is not set.
    """
    if environ is None:
        environ = os.environ
    _check_fields(recipe.body)
    found = {}
    for line in recipe.headers:
        name, value = _split(line)
        found[name] = _filled(value, environ)
    if recipe.api_key_env != DEFAULT_KEY or recipe.api_key_env in environ:
        key = _variable(recipe.api_key_env, environ)
        found.setdefault("Authorization", f"Bearer {key}")
    return found


def _check_fields(value: object) -> None:
    """At any depth of the body."""
    if isinstance(value, Mapping):
        for field, part in value.items():
            is_kept_open = field in PUBLIC_FIELDS or not is_secret_name(field)
            if isinstance(part, str) and not is_kept_open:
                raise UsageError(
                    f"--body {field}: a secret in a body would be saved in the report",
                    hint="use LLMOPS_API_KEY or --header",
                )
            _check_fields(part)
    elif isinstance(value, list):
        for part in value:
            _check_fields(part)


def _split(line: str) -> tuple[str, str]:
    """Name and value of a line that gives no secret away."""
    name, colon, value = line.partition(":")
    name = name.strip()
    value = value.strip()
    is_one_line = "\r" not in value and "\n" not in value
    has_name = colon and _NAME.fullmatch(name)
    if not has_name or not is_one_line:
        raise UsageError(f"--header '{line}' is no header", hint="--header 'X-Team: search'")
    has_secret_name = SECRET_HEADERS.fullmatch(name) is not None
    has_secret_form = SECRET_VALUE.match(value) is not None
    is_secret = has_secret_name or has_secret_form
    is_from_outside = _VARIABLE.search(value)
    if is_secret and not is_from_outside:
        raise UsageError(
            f"--header {name}: a secret on the command line would be saved in the report",
            hint=f"put it into a variable: --header '{name}: $MY_SECRET' (in single quotes)",
        )
    return name, value


def filled_path(path: str) -> str:
    """A path whose query has $NAME where a key belongs. Raises: EnvironmentMissing."""
    place, mark, query = path.partition("?")
    return place + mark + _filled(query, os.environ)


def _filled(value: str, environ: Mapping[str, str]) -> str:
    def read(match: re.Match[str]) -> str:
        return _variable(match[1], environ)

    return _VARIABLE.sub(read, value)


def _variable(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "")
    value = value.strip()
    if not value:
        raise EnvironmentMissing(
            f"the environment variable {name} is not set", hint=f"export {name}=..."
        )
    require_header_value(value, variable=name)
    return value
