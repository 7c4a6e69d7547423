"""Variables in the gateway's file: what they become, and what is said of those without a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import LlmopsError
from llmops_cli.gateway_file.credentials import credentials_of
from llmops_cli.gateway_file.read import load_config
from llmops_cli.gateway_file.variables import resolved

SECRET = "hunter-2-of-ours"
FINE = "upstreams:\n  one:\n    url: http://127.0.0.1:9/v1\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SET", SECRET)
    monkeypatch.setenv("EMPTY", " ")
    monkeypatch.setenv("NUMBER", "7")
    monkeypatch.setenv("LINES", f"{SECRET}\nX-Other: 1")
    monkeypatch.delenv("UNSET", raising=False)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "key").write_text(f"{SECRET}\n")
    return tmp_path / "gateway.yaml"


@pytest.mark.parametrize(
    ("more", "line", "said"),
    [
        ("    key_env: UNSET\n", 4, "UNSET is not set"),
        ("    key_env: EMPTY\n", 4, "EMPTY is not set"),
        ("    key_file: none\n", 4, "none cannot be read"),
        ("    key_file: empty\n", 4, "empty is empty"),
        ("    key_file: key\n    key_env: SET\n", 4, "not in both"),
        ("    key_header: 'a b'\n", 4, "cannot be a header's name"),
        ("    key_header: Connection\n", 4, "the gateway writes this header itself"),
        ("    headers:\n      X-A: a\n      X-B: ${UNSET}\n", 6, "UNSET is not set"),
        ("    headers: {X-A: '${LINES}'}\n", 4, "cannot stand in a header"),
        ("    headers: {X-A: a, x-a: b}\n", 4, "is sent twice"),
        ("    headers: {Content-Length: '5'}\n", 4, "the gateway writes this header itself"),
        ("    key_env: SET\n    headers: {authorization: b}\n", 5, "is sent twice"),
        ("    query: {a: '${file:none}'}\n", 4, "none cannot be read"),
        ("    query: {a: '${}'}\n", 4, "names no variable"),
        ("    query: {a: '${a b}'}\n", 4, "names no variable"),
        ("guard: ${UNSET}\n", 4, "UNSET is not set"),
        ("guard: ${SET}\n", 4, "no policy at ${SET}"),
        ("guard: none.yaml\n", 4, "guard: default, or a policy's file"),
        ("limits:\n  body_bytes: ${SET}\n", 5, "body_bytes"),
        ("limits:\n  body_bytes: ${NUMBER}\n  models: {'${SET}': {streams: 1}}\n", 0, ""),
        ("redis: {url: '${SET}'}\n", 4, "that is no address of Redis"),
        ("models:\n  a: {pool: ['${SET}']}\n", 5, "unknown upstream '${SET}'"),
    ],
)
def test_what_has_no_value_is_told_with_its_line_and_without_others_values(
    more: str, line: int, said: str, file: Path
) -> None:
    file.write_text(FINE + more)
    if not line:
        load_config(file)
        return
    with pytest.raises(LlmopsError) as caught:
        load_config(file)
    told = f"{caught.value.message} {caught.value.hint}"
    assert f"gateway.yaml:{line}:" in told, told
    assert said in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://${UNSET}/v1", "UNSET is not set"),
        ("http://127.0.0.1:${SET}/v1", "is no URL with its variables' values"),
        ("${SET}", "is no URL with its variables' values"),
        ("http://127.0.0.1:9/{name}", "only its path may have {model}"),
        ("http://{model}/v1", "only its path may have {model}"),
        ("http://127.0.0.1:9/{model}", "is a name of models:"),
        ("http://127.0.0.1:9/v1?a=b", "stands in query:"),
    ],
)
def test_a_wrong_address_is_told_without_its_values(url: str, said: str, file: Path) -> None:
    file.write_text(f"upstreams:\n  one:\n    url: '{url}'\n")
    with pytest.raises(LlmopsError) as caught:
        load_config(file)
    assert "gateway.yaml:3:" in caught.value.message
    assert said in caught.value.message
    assert SECRET not in caught.value.message


def test_values_are_taken_where_they_are_sent(file: Path) -> None:
    file.write_text(
        FINE + "    key_file: key\n    headers: {X-A: 'a ${SET}'}\n    query: {b: '${SET}'}\n"
    )
    upstream = load_config(file).upstreams["one"]
    assert SECRET not in repr(upstream)
    credentials = credentials_of(upstream)
    assert credentials.headers == {"X-A": f"a {SECRET}", "Authorization": f"Bearer {SECRET}"}
    assert credentials.query == f"b={SECRET}"
    assert SECRET in credentials.secrets


def test_numbers_and_truths_may_be_variables(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YES", "true")
    file.write_text(
        FINE
        + "    max_in_flight: ${NUMBER}\nlimits: {body_s: '${NUMBER}'}\nkeys_required: ${YES}\n"
        + "models: {a: {pool: ['${NAME:-one}'], cache: {ttl_s: ${NUMBER}}}}\n"
    )
    config = load_config(file)
    assert config.upstreams["one"].max_in_flight == 7
    assert config.limits.body_s == 7
    assert config.keys_required is True
    assert config.models["a"].pool == ["one"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", "a"),
        ("${A}", "1"),
        ("x${A}y${B}", "x1y2"),
        ("$${A}", "${A}"),
        ("$A {A} $", "$A {A} $"),
        ("${C:-d e}", "d e"),
        ("${A:-d}", "1"),
        ("${C:-}", ""),
    ],
)
def test_what_a_text_becomes(text: str, value: str) -> None:
    assert resolved(text, {"A": "1", "B": "2"}) == value


def test_a_header_s_and_a_query_s_value_are_the_characters_that_stand_there(file: Path) -> None:
    file.write_text(
        FINE + "    query: {api-version: 2024-10-21, a: 010, b: 1.50}\n    headers: {X-On: yes}\n"
    )
    credentials = credentials_of(load_config(file).upstreams["one"])
    assert credentials.query == "api-version=2024-10-21&a=010&b=1.50"
    assert credentials.headers == {"X-On": "yes"}
