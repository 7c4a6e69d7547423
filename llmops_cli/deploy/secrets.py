"""What of a gateway's file is a secret: named in manifests, and written in none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.knob import Plain
from llmops_cli.gateway_file.variables import DEFAULT, FILE, has_variables
from llmops_cli.guard.personal import SECRETS, find
from llmops_cli.guard.secret_lines import secret_lines

FOLDER = "/run/secrets/llmops"
"""Where a pod has the files of its Secret."""
NAME = re.compile(r"\$?\$\{([^{}]*)\}")
SECRET_HEADER = re.compile(r"(?i)authorization|api-?key|token|secret|password|cookie")
URL_PASSWORD = re.compile(r"://[^/@\s]*:(?!\$\{)[^/@\s]+@")
PLACES = ("headers", "query")


class SecretNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """`variables`: with whether they may be missing. `files`: their names in the Secret."""

    variables: dict[str, bool]
    files: tuple[str, ...]

    @property
    def any(self) -> bool:
        return bool(self.variables or self.files)


def needs_of(written: Plain, *keys: str) -> SecretNeeds:
    """`keys`: variables that something else names.

    Raises: UsageError for files that one name of a Secret would stand for.
    """
    variables = dict.fromkeys(keys, False)
    files: dict[str, str] = {}
    for text in texts_in(written):
        for name in _names_in(text):
            if name.startswith(FILE):
                _note_file(files, name.removeprefix(FILE))
                continue
            plain, may_lack, _ = name.partition(DEFAULT)
            variables[plain] = variables.get(plain, True) and bool(may_lack)
    for upstream in (written.get("upstreams") or {}).values():
        if upstream.get("key_env"):
            variables[upstream["key_env"]] = False
        if upstream.get("key_file"):
            _note_file(files, upstream["key_file"])
    return SecretNeeds(variables=dict(sorted(variables.items())), files=tuple(sorted(files)))


def _note_file(files: dict[str, str], named: str) -> None:
    """One's key must never go where another's belongs. Raises: UsageError."""
    key = secret_key(named)
    if not key.strip("."):
        raise UsageError(f"{named} names no file", hint="key_file: keys/openai")
    path = str(PurePath(named))
    if files.setdefault(key, path) != path:
        raise UsageError(
            f"{files[key]} and {path} would both be the file {key} of one Secret",
            hint="give one of them another name",
        )


def texts_in(value: Plain) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from texts_in(each)


def _names_in(text: str) -> Iterator[str]:
    for match in NAME.finditer(text):
        if not match[0].startswith("$$"):
            yield match[1]


def secret_key(path: str) -> str:
    """What a file is called in a Secret."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", PurePath(path).name)


def in_cluster(text: str, folder: str = FOLDER) -> str:
    """With the files of `${file:...}` where a pod has them."""

    def one(match: re.Match[str]) -> str:
        name = match[1]
        if match[0].startswith("$$") or not name.startswith(FILE):
            return match[0]
        key = secret_key(name.removeprefix(FILE))
        return f"${{{FILE}{folder}/{key}}}"

    return NAME.sub(one, text)


def refuse_written(path: object, written: Plain) -> None:
    """Raises: UsageError for a secret that stands in the file, which would stand in manifests."""
    for name, upstream in (written.get("upstreams") or {}).items():
        for place in PLACES:
            for field, value in (upstream.get(place) or {}).items():
                if SECRET_HEADER.search(str(field)) and _holds_value(str(value)):
                    raise _refused(path, f"upstreams.{name}.{place}.{field}")
    for text in texts_in(written):
        if URL_PASSWORD.search(text) or is_secret(_without_variables(text)):
            raise _refused(path, "a value")


def refuse_in_text(path: object, text: str) -> None:
    """Of a file that is written into manifests as it is. Raises: UsageError, with the line."""
    for found in secret_lines(text):
        raise UsageError(
            f"{path}:{found.line}: {found.what} stands here, which no manifest may hold",
            hint="leave it out: whoever reads a ConfigMap has it",
        )


def _holds_value(text: str) -> bool:
    """Whether it says something itself: all of it, or what stands for a variable without one."""
    if not has_variables(text):
        return True
    return any(name.partition(DEFAULT)[2] for name in _names_in(text))


def _without_variables(text: str) -> str:
    """What whoever reads the file reads: a variable's own value is not there, its default is."""

    def one(match: re.Match[str]) -> str:
        return match[0][1:] if match[0].startswith("$$") else match[1].partition(DEFAULT)[2]

    return NAME.sub(one, text)


def is_secret(text: str) -> bool:
    """Whether it looks like a key or a password of somebody's."""
    if has_variables(text):
        return False
    return any(entity.kind in SECRETS for entity in find(text))


def _refused(path: object, where: str) -> UsageError:
    return UsageError(
        f"{path}: {where} holds a secret, which no manifest may",
        hint="key_env: NAME, or ${NAME} where it stands",
    )
