"""Forms: what is written is read again as it was, and nothing can be read in two ways."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.serve.form import FilePart, MalformedForm, read_form, written_form

names = st.sampled_from(["model", "prompt", "language", "größe"])
lists = st.sampled_from(["include[]", "image[]"])
texts = st.text(max_size=40).filter(lambda text: text not in ("true", "false"))
file_names = st.text(
    st.characters(exclude_characters='"\r\n\\%', categories=["L", "N"]), max_size=9
)
files = st.builds(
    FilePart,
    field=st.sampled_from(["file", "mask"]),
    name=file_names,
    kind=st.just("audio/wav"),
    data=st.binary(max_size=200),
)


@given(
    st.dictionaries(names, texts, max_size=4),
    st.dictionaries(lists, st.lists(texts, min_size=1, max_size=3), max_size=2),
    st.lists(files, max_size=3),
)
def test_a_form_survives(
    values: dict[str, str], several: dict[str, list[str]], parts: list[FilePart]
) -> None:
    fields = {
        name: msgspec.Raw(msgspec.json.encode(value)) for name, value in (values | several).items()
    }
    written = written_form(fields, parts)
    if not fields and not parts:
        return
    form = read_form(written.body, written.content_type.decode())
    assert form.values == values | several
    assert form.files == tuple(parts)


@given(st.binary(max_size=300), st.text(max_size=60))
def test_anything_is_a_form_or_none(body: bytes, kind: str) -> None:
    for content_type in (kind, "multipart/form-data; boundary=x"):
        try:
            read_form(body, content_type)
        except MalformedForm:
            continue


def test_a_name_cannot_write_a_head() -> None:
    part = FilePart("file", 'a"\r\nx: y', "audio/wav", b"")
    written = written_form({'b"\r\n\r\n': msgspec.Raw(b'"v"')}, [part])
    assert b'name="b%22%0D%0A%0D%0A"' in written.body
    assert b'filename="a%22%0D%0Ax: y"' in written.body


def test_a_part_that_comes_twice_is_refused() -> None:
    part = b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n'
    with pytest.raises(MalformedForm):
        read_form(part * 2 + b"--x--\r\n", "multipart/form-data; boundary=x")


def test_a_switch_is_one() -> None:
    part = b'--x\r\ncontent-disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
    form = read_form(part + b"--x--\r\n", "multipart/form-data; boundary=x")
    assert form.values == {"stream": True}
    raw = msgspec.Raw(msgspec.json.encode(form.values["stream"]))
    assert b"\r\n\r\ntrue\r\n" in written_form({"stream": raw}, []).body
