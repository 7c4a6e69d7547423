"""URLs that users name: one form, and no secrets in any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import msgspec
import pytest

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.cli.reference import RECIPES
from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import flags_of
from llmops_cli.core.names import load_object
from llmops_cli.core.resolve import resolve
from llmops_cli.core.said import variable_of
from llmops_cli.core.urls import (
    is_secret_name,
    refuse_secrets,
    server_url,
    shown_url,
    without_secrets,
)
from llmops_cli.deploy.model_place import read_volume
from llmops_cli.gateway_file.config import RedisConfig
from llmops_cli.gateway_file.url import bad_url
from llmops_cli.plan.models import read_load
from llmops_cli.redteam.recipe import RedteamRecipe
from llmops_cli.serve.accounts.redis_link import RedisLink
from tests.conftest import Cli

SECRET = "hunter2"
SECRET_URLS = (
    f"http://user:{SECRET}@127.0.0.1:8000",
    f"http://{SECRET}@127.0.0.1:8000/v1",
    f"http://127.0.0.1:8000/?api_key={SECRET}",
    f"https://host/v1?x=1&access-token={SECRET}",
)


@pytest.mark.parametrize("url", SECRET_URLS)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as error:
        server_url(url, field="judge_url")
    assert "--judge-url" in error.value.message
    assert SECRET not in f"{error.value.message}{error.value.hint}"
    with pytest.raises(UsageError):
        refuse_secrets(url, field="url")


@pytest.mark.parametrize("scheme", ["http", "redis"])
def test_a_password_that_is_cut_by_its_own_signs_is_not_repeated(scheme: str) -> None:
    """Behind a slash it is no password to who takes a URL apart."""
    url = f"{scheme}://user:{SECRET}/{SECRET}@127.0.0.1:8000"
    with pytest.raises(UsageError) as error:
        server_url(url, field="url")
    assert SECRET not in f"{error.value.message}{error.value.hint}"
    assert SECRET not in (bad_url(url) or SECRET)
    with pytest.raises(UsageError) as error:
        RedisLink(RedisConfig(url=url))
    assert SECRET not in f"{error.value.message}{error.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        f"api.openai.com/v1?api_key={SECRET}",
        f"htps://api.openai.com/v1?api_key={SECRET}",
        f"http://host:99999/v1?k={SECRET}",
        f"h/v1#key={SECRET}",
        f"redis://:{SECRET}",
        f"redis://user:{SECRET}:6379",
        f"ftp://user:p?{SECRET}@host",
        f"ftp://user:{SECRET}@host/x.gguf",
    ],
)
def test_an_address_that_is_refused_is_not_repeated_with_its_secrets(url: str) -> None:
    refusing: list[Callable[[str], object]] = [partial(server_url, field="url"), read_volume]
    if not url.startswith("http://") and "://" in url:
        refusing.append(partial(read_load, scheme=None, cache_type="F16"))
    for refuse in refusing:
        with pytest.raises(UsageError) as error:
            refuse(url)
        assert SECRET not in f"{error.value.message}{error.value.hint}"
    assert SECRET not in (bad_url(url) or SECRET)


@pytest.mark.parametrize(
    "url",
    [
        *SECRET_URLS,
        f"https:/me:{SECRET}@host/x.gguf",
        f"redis://:a/{SECRET}@host",
        f"http://u:p'w{SECRET}@h/m",
        f"-1http://u:{SECRET}@h/m",
        f"'http://u:\"{SECRET}\"@h/m'",
        f"hf://owner/name:{SECRET}@main",
        f"hf://owner/{SECRET}@main@host",
        f"'http://host/x?token={SECRET}'",
        f"http://host/x?token=a'b{SECRET}",
    ],
)
def test_a_message_repeats_no_secret_of_a_url(url: str) -> None:
    told = without_secrets(f"no model at {url} here")
    assert SECRET not in told
    assert told.startswith("no model at ")
    assert told.endswith(" here")


@pytest.mark.parametrize(
    "text",
    [
        "http://h:80/v1?page=2 or a@b.org",
        "no 'hf://o/n.b-1@refs/pr/1'",
        "hf:/o/n@main",
        "llmops keys create --name x",
        "https://h/?key=$KEY",
    ],
)
def test_a_message_without_secrets_is_told_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize("command", [("quantize",), ("report", "show"), ("bench", "--model")])
def test_an_error_repeats_no_password(command: tuple[str, ...], cli: Cli) -> None:
    """An address in the place of a model or a run, where none can be."""
    told = cli(*command, f"http://me:{SECRET}@127.0.0.1:9/x.gguf")
    assert told.returncode == 2
    assert SECRET not in told.stderr


@pytest.mark.parametrize(
    "url", ["http://h:80/v1", "http://[::1]:80", "http://[::1]", "h:80/v1", "ftp://h", "http://{m}"]
)
def test_an_address_without_secrets_is_shown_whole(url: str) -> None:
    assert shown_url(url) == url


NEEDED: dict[str, object] = {"cases": "cases.yaml", "budget_calls": 20, "proposer": "small"}
"""Without which some commands say nothing of their addresses."""


def url_fields() -> Iterator[tuple[str, str]]:
    """(command, field) of every recipe's addresses."""
    for command, place in RECIPES.items():
        for field in flags_of(cast(type[msgspec.Struct], load_object(place))):
            if field.endswith("url") or field == "proxy":
                yield command, field


@pytest.mark.parametrize("url", SECRET_URLS)
@pytest.mark.parametrize(("command", "field"), list(url_fields()))
@pytest.mark.parametrize("origin", ["flag", "env", "file"])
def test_no_url_of_a_recipe_has_secrets(url: str, command: str, field: str, origin: str) -> None:
    """A new command's too: what a recipe holds is in its report."""
    kind = cast(type[msgspec.Struct], load_object(RECIPES[command]))
    needed = {name: NEEDED[name] for name in NEEDED if name in kind.__struct_fields__}
    given: dict[str, dict[str, object]] = {"flag": {}, "file": {}}
    environ = {}
    if origin == "env":
        environ[variable_of(command, field)] = url
    else:
        given[origin][field] = url
    with pytest.raises(UsageError, match="would be saved"):
        resolve(
            kind,
            command=command,
            file={**needed, **given["file"]},
            flags=given["flag"],
            environ=environ,
        )


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000"),
        ("https://host/prefix", "https://host/prefix"),
        ("http://host:8000/v1/chat/completions", "http://host:8000"),
        ("http://host/prefix/v1/completions/", "http://host/prefix"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_the_address_of_a_server_has_one_form(url: str, plain: str) -> None:
    assert server_url(url, field="url") == plain


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "ftp://host", "http://", "http://host:port", "http://h?x=1", "http://["],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--url"):
        server_url(url, field="url")


@pytest.mark.parametrize("kind", [BenchRecipe, RedteamRecipe])
def test_a_backend_beside_a_url_is_refused(kind: type[BenchRecipe | RedteamRecipe]) -> None:
    with pytest.raises(UsageError, match="would start another"):
        resolve(kind, command="x", flags={"url": "http://host", "backend": "llamacpp"})
    found = resolve(kind, command="x", flags={"url": "http://host"})
    assert found.recipe.backend == "remote"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Api-Key": SECRET},
        [{"authorization": f"Bearer {SECRET}"}],
        [["a", f"X-Auth-Token: {SECRET}"], 1],
    ],
)
def test_a_value_that_is_refused_is_shown_without_its_secrets(headers: object) -> None:
    with pytest.raises(UsageError, match="headers=") as refused:
        resolve(BenchRecipe, command="bench", file={"headers": headers})
    assert SECRET not in f"{refused.value.message}{refused.value.hint}"


def test_names_of_secrets() -> None:
    secret = ("api_key", "api-key", "token", "X-Auth-Token", "client_secret", "password", "sig")
    plain = ("max_tokens", "model", "monkey", "author", "signal", "tokenizer")
    assert [name for name in secret if not is_secret_name(name)] == []
    assert [name for name in plain if is_secret_name(name)] == []


def test_a_hidden_value_ends_with_its_quote() -> None:
    told = without_secrets(f'{{"url":"http://h/?key={SECRET}","n":1}}')
    assert told == '{"url":"http://h/?key=***","n":1}'
