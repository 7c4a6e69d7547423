"""Chats made smaller: what goes, what stays, and that it can be told."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.prompt_file.compression import compressed, estimated_tokens
from llmops_cli.prompt_file.prose import LineKind, lines_of

CODE = "```python\nif  x:\n\n\n\n    y  =  1   \n```"
CONTEXT = "The same long paragraph of context, which stands in every turn of a chat, says little."
OTHER = "Another paragraph that is long enough to count as one which is said again and again here."

CODES = [CODE, "~~~~\n```\na  b\n\n\n~~~~", "```\nopen  x", "<pre>\na  b", "</pre>", "\t x"]
PROSE = [CONTEXT, OTHER, f"{CONTEXT}  ", "- item  one", "Yes.  No.", "`a  b`  c", "", "  "]
BLOCKS = st.sampled_from([*CODES, *PROSE, "    a  =  1\n\n\n    b"])
texts = st.lists(
    st.tuples(BLOCKS, st.sampled_from(["\n", "\n\n", "\n\n\n\n", "  \n \n"])), max_size=5
).map(lambda pairs: "".join(block + gap for block, gap in pairs))
free = st.text(alphabet="ab \n`~.<pre>\t", max_size=60)
contents = texts | free | st.just(None) | texts.map(lambda text: [{"type": "text", "text": text}])
Chat = list[dict[str, Any]]


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    """Calls of tools have their results behind them, with or without a user's words between."""
    chat: Chat = []
    for number in range(draw(st.integers(1, 7))):
        role = draw(st.sampled_from(["system", "user", "assistant", "tool call"]))
        content = draw(contents)
        if role != "tool call":
            chat.append({"role": role, "content": content})
            continue
        call = {"id": str(number), "type": "function", "function": {"name": "f", "arguments": ""}}
        chat.append({"role": "assistant", "content": content, "tool_calls": [call]})
        if draw(st.booleans()):
            chat.append(said("user", "Wait."))
        chat.append({"role": "tool", "tool_call_id": str(number), "content": draw(texts)})
    return chat


def said(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def test_blanks_that_say_nothing_go_and_code_stays() -> None:
    text = f"Two  words.   \n\n\n\n  - indented  item with `a  b`\n{CODE}\nand  more"
    found = compressed([said("system", text), said("user", text), said("user", "Why?  ")])
    assert found.messages[0]["content"] == text
    assert found.messages[1]["content"] == (
        f"Two words.\n\n  - indented  item with `a  b`\n{CODE}\nand more"
    )
    assert found.messages[2]["content"] == "Why?  "
    assert found.tokens_after < found.tokens_before


def test_a_longer_fence_holds_shorter_ones_and_indented_code_its_empty_lines() -> None:
    for code in (
        "````\n```\na   b\n\n\n\n```\n````",
        "    a  b\n\n\n\n    c",
        "<pre>\n\n\n a  b</pre>",
    ):
        found = compressed([said("user", f"{code}\n\nx  y"), said("user", "?")])
        assert found.messages[0]["content"] == f"{code}\n\nx y"


def test_a_paragraph_that_stands_there_already_goes() -> None:
    chat = [
        said("user", f"{CONTEXT}\n\nFirst question?"),
        said("assistant", "Yes."),
        said("user", f"{CONTEXT}\n\nSecond question?"),
        said("assistant", "Yes."),
        said("user", f"{CONTEXT}\n\nThird question?"),
    ]
    found = compressed(chat)
    assert found.repeated_paragraphs == 1
    assert found.messages[2]["content"] == "Second question?"
    assert found.messages[4] == chat[4]


def test_a_paragraph_whose_first_copy_is_dropped_stays_once() -> None:
    chat = [
        said("user", f"{CONTEXT}\n\n{'one ' * 100}"),
        said("user", f"{CONTEXT}\n\nSecond question?"),
        said("user", "Third question?"),
    ]
    found = compressed(chat, most_tokens=60)
    assert found.dropped_turns == 1
    assert found.messages == chat[1:]


def test_the_oldest_turns_go_until_the_rest_fits_and_a_call_keeps_its_result() -> None:
    chat = [
        said("system", "Be short."),
        said("user", "one " * 100),
        {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "x  y"},
        said("assistant", "done"),
        said("user", "two"),
        said("assistant", "2"),
        said("user", "three"),
    ]
    found = compressed(chat, most_tokens=20)
    assert found.dropped_turns == 1
    assert found.messages == [chat[0], *chat[5:]]
    kept = compressed(chat, most_tokens=1)
    assert [message["content"] for message in kept.messages] == ["Be short.", "three"]


def test_what_is_no_chat_passes() -> None:
    odd: Chat = [
        {"role": ["user"], "content": 7},
        {"content": [{"type": "text", "text": None}, 3, "x  y"]},
        {"role": "assistant", "tool_calls": "x", "tool_call_id": {}},
    ]
    assert compressed(odd, most_tokens=1).messages[-1] == odd[-1]


@given(chats(), st.none() | st.integers(1, 60))
def test_laws(chat: Chat, most_tokens: int | None) -> None:
    found = compressed(chat, most_tokens=most_tokens)
    assert found.tokens_after == estimated_tokens(found.messages)
    assert found.tokens_after <= found.tokens_before == estimated_tokens(chat)
    assert compressed(found.messages, most_tokens=most_tokens).messages == found.messages
    users = [number for number, each in enumerate(chat) if each["role"] == "user"]
    last = users[-1] if users else len(chat) - 1
    assert found.messages[-len(chat[last:]) :] == chat[last:]
    systems = [each for each in chat if each["role"] == "system"]
    assert [each for each in found.messages if each["role"] == "system"] == systems
    assert _calls(found.messages) == _results(found.messages)
    assert all(each in chat for each in found.messages if each["role"] == "tool")
    if most_tokens is None:
        assert [_code(each) for each in found.messages] == [_code(each) for each in chat]


def _calls(chat: Chat) -> list[str]:
    return [call["id"] for message in chat for call in message.get("tool_calls", ())]


def _results(chat: Chat) -> list[str]:
    return [message["tool_call_id"] for message in chat if message["role"] == "tool"]


def _code(message: dict[str, Any]) -> list[str]:
    """Its lines of code, but empty ones, which other tests look at."""
    content = message["content"]
    texts = [part["text"] for part in content] if isinstance(content, list) else [content or ""]
    lines = [line for text in texts for line in lines_of(text)]
    return [line.text for line in lines if line.kind is LineKind.CODE and line.text.strip()]


def test_the_first_messages_stay_and_count_where_they_are_fixed() -> None:
    head = [said("user", "be  brief " * 8), said("assistant", "Yes.  ")]
    chat = [*head, *[said("user", "old " * 10), said("assistant", "so")] * 3, said("user", "new?")]
    found = compressed(chat, most_tokens=40, fixed=2)
    assert found.messages[:2] == head
    assert found.messages[-1] == chat[-1]
    assert found.tokens_before == estimated_tokens(chat)
    assert found.tokens_after == estimated_tokens(found.messages) <= 40
    assert found.dropped_turns == 2
    assert compressed(head, most_tokens=1, fixed=2).messages == head
