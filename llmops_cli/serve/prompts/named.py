"""Which prompt a request names: `MODEL@NAME`, `MODEL@NAME@VERSION`, or its field `prompt`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from llmops_cli.core.misfit import misfit_of
from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.serve.accounts.key import Key
from llmops_cli.serve.near_name import near_name
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.request import RequestBody

NAME_MOST = 100
VALUES_MOST = 100
AT = "@"


class PromptField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The field `prompt` of a chat, in the form that OpenAI's Responses have."""

    id: str = ""
    version: str = ""
    variables: dict[str, str | int | float | bool] = {}


class PromptChoice(NamedTuple):
    """`model`: the one that the request names, or none. `values`: of the prompt's variables."""

    prompt: Prompt
    model: str
    values: Mapping[str, str]


class _Named(NamedTuple):
    model: str
    name: str
    version: str


class ServedPrompts:
    """Those of one version of the configuration."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._prompts = {prompt.name: prompt for prompt in prompts}

    def __bool__(self) -> bool:
        return bool(self._prompts)

    def names(self, key: Key) -> dict[str, str]:
        """Of those that this key's client can ask for, the model each asks: `MODEL@NAME` -> MODEL.

        Not those with variables, which need more than a name, and those without a model.
        """
        return {
            f"{prompt.model}{AT}{name}": prompt.model
            for name, prompt in self._prompts.items()
            if prompt.model and not prompt.required and key.asks(name)
        }

    def chosen(
        self,
        body: RequestBody,
        is_model: Callable[[str], bool],
        *,
        may_be_model: bool,
        key: Key,
    ) -> PromptChoice | None:
        """None: the request names no prompt of ours. `may_be_model`: a name that nobody lists.

        `key`: a refusal names no prompt but those that it may use.

        Raises: Refusal for a prompt, a version or a form that is none.
        """
        if not self._prompts:
            return None
        field = _field_of(body.prompt)
        named = None if is_model(body.model) else self._in_model(body.model)
        if named is not None and named.name not in self._prompts and may_be_model:
            named = None
        if named is None and field is None:
            return None
        if field is None:
            field = PromptField()
        return self._choice(named, field, body.model, key)

    def _in_model(self, model: str) -> _Named | None:
        """A model's own name may have an @ in it."""
        before, at, last = model.rpartition(AT)
        if not at:
            return None
        first, at, middle = before.rpartition(AT)
        if at and last not in self._prompts and middle in self._prompts:
            return _Named(first, middle, last)
        return _Named(before, last, "")

    def _choice(
        self,
        named: _Named | None,
        field: PromptField,
        model: str,
        key: Key,
    ) -> PromptChoice:
        name = field.id
        version = field.version
        if named is not None:
            if name not in ("", named.name):
                said = f"the model names the prompt {named.name!r}, the field prompt {name!r}"
                raise _invalid(said)
            name = named.name
            model = named.model
            version = named.version or version
        elif AT in name:
            name, _, version = name.partition(AT)
        if not name:
            raise _invalid("prompt.id is missing: the name of a prompt")
        prompt = self._prompt(name, version, key)
        values = {key: _as_text(value) for key, value in field.variables.items()}
        return PromptChoice(prompt, model, values)

    def _prompt(self, name: str, version: str, key: Key) -> Prompt:
        """Raises: Refusal."""
        prompt = self._prompts.get(name)
        if prompt is None:
            said = f"there is no prompt {name[:NAME_MOST]!r}"
            shown = [each.name for each in self._prompts.values() if _is_shown(each, key)]
            hint = near_name(name, shown) if len(name) <= NAME_MOST else None
            if hint is not None:
                said = f"{said}: {hint}"
            raise Refusal(404, said, code="prompt_not_found")
        if not key.asks(name):
            raise Refusal(403, f"this key may not use prompt {name!r}", code="forbidden")
        if version and not prompt.version.startswith(version):
            said = f"prompt {name!r} is version {prompt.version} now, not {version[:NAME_MOST]!r}"
            raise Refusal(404, said, code="prompt_not_found")
        return prompt


def _is_shown(prompt: Prompt, key: Key) -> bool:
    """One without a model of its own is for any."""
    return key.asks(prompt.name) and (prompt.model is None or key.serves(prompt.model))


def _field_of(value: Any) -> PromptField | None:  # Any: JSON
    """Raises: Refusal."""
    if value is None:
        return None
    if isinstance(value, str):
        return PromptField(id=value)
    try:
        field = msgspec.convert(value, PromptField)
    except msgspec.ValidationError:
        misfit = misfit_of(value, PromptField, shows_values=False)
        said = "cannot be read" if misfit is None else misfit.told
        raise _invalid(f"prompt: {said}; its form: {{id, version, variables}}") from None
    if len(field.variables) > VALUES_MOST:
        raise _invalid(f"prompt has more than {VALUES_MOST} variables")
    return field


def _as_text(value: str | float | bool) -> str:  # noqa: FBT001 - one of JSON's scalars
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _invalid(said: str) -> Refusal:
    return Refusal(400, said, code="invalid_prompt")
