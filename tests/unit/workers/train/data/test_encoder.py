"""Each token counts as its text does, and what is cut, dropped or never ends is known."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

from _shared.data.forms import Chat, PromptCompletion, Text
from _shared.data.row_error import RowError
from _shared.protocol import JobError
from tests.unit.workers.train.data.tokens import bare_tokenizer, demo_tokenizer, trained_text
from train.data.encoder import Encoder, Encoding, NumberedDocument
from train.data.sample import TrainingSample

CHAT = Chat(
    [
        {"role": "user", "content": "the 北京 q"},
        {"role": "assistant", "content": "yes été 🙂"},
        {"role": "user", "content": "2"},
        {"role": "assistant", "content": "  no"},
    ],
    (1, 3),
)


def encode(
    document: Any, tokenizer: Any = None, template: str | None = None, **how: Any
) -> TrainingSample:
    encoder = Encoder(
        tokenizer or demo_tokenizer(), Encoding(**{"length": 100, **how}), template=template
    )
    (sample,) = encoder.encode([NumberedDocument(7, document)])
    assert sample.number == 7
    return sample


def text_of(sample: TrainingSample) -> str:
    text: str = demo_tokenizer().decode(sample.ids_T.tolist())
    return text


def test_answers_and_their_ends_are_learned() -> None:
    sample = encode(CHAT)
    assert trained_text(demo_tokenizer(), sample) == ["yes été 🙂<|end|>", "  no<|end|>"]
    assert sample.ends
    assert set(sample.weights_T.tolist()) == {0.0, 1.0}


def test_the_rest_may_count_a_little_or_as_much() -> None:
    assert set(encode(CHAT, prompt_weight=0.25).weights_T.tolist()) == {0.25, 1.0}
    everything = encode(CHAT, train_on="all")
    assert set(everything.weights_T.tolist()) == {1.0}
    assert text_of(everything).startswith("<|user|>the 北京 q<|end|><|assistant|>yes")
    assert everything.ends


def test_single_answers_can_be_chosen() -> None:
    chosen = Chat(CHAT.messages, (3,))
    assert trained_text(demo_tokenizer(), encode(chosen)) == ["  no<|end|>"]


def test_texts_are_learned_whole_and_end() -> None:
    sample = encode(Text("the fox"))
    assert text_of(sample) == "the fox<|end|>"
    assert sample.weights_T.all()
    assert text_of(encode(Text("the fox", ends=False))) == "the fox"


def test_completions_go_on_from_their_prompts() -> None:
    sample = encode(PromptCompletion("the quick", " brown fox"))
    assert text_of(sample) == "the quick brown fox<|end|>"
    (learned,) = trained_text(demo_tokenizer(), sample)
    assert learned == " brown fox<|end|>"
    assert trained_text(demo_tokenizer(), encode(PromptCompletion("a", "")))[-1] == "<|end|>"


@pytest.mark.parametrize(("too_long", "kept"), [("cut", 6), ("drop", 0)])
def test_long_samples_are_cut_or_dropped_and_say_so(too_long: str, kept: int) -> None:
    whole = encode(CHAT)
    sample = encode(CHAT, length=5, too_long=too_long)
    assert len(sample.ids_T) == kept
    assert sample.cut_tokens + sample.dropped_tokens == len(whole.ids_T) - kept
    assert encode(CHAT, length=whole.pairs, too_long="error").pairs == whole.pairs
    with pytest.raises(RowError, match=f"it has {len(whole.ids_T)} tokens"):
        encode(CHAT, length=whole.pairs - 1, too_long="error")


def test_packed_texts_are_never_cut() -> None:
    sample = encode(Text("the fox " * 9), length=5, packs=True)
    assert sample.is_divisible
    assert not sample.cut_tokens


def test_a_chat_needs_a_template() -> None:
    with pytest.raises(RowError, match="no chat template"):
        encode(CHAT, bare_tokenizer())
    sample = encode(CHAT, bare_tokenizer(), template="chatml")
    assert trained_text(bare_tokenizer(), sample)[1] == "  no<|im_end|>"
    assert sample.ends


def test_an_end_that_is_never_learned_is_noticed() -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|end|>{% endfor %}"
    )
    assert not encode(CHAT, template=template).ends


def test_what_no_tokenizer_takes_is_named() -> None:
    encoder = Encoder(demo_tokenizer(), Encoding(length=9))
    batch = [NumberedDocument(0, Text("a")), NumberedDocument(1, Text("b\ud800"))]
    with pytest.raises(RowError, match="half of a surrogate pair at character 1") as caught:
        encoder.encode(batch)
    assert caught.value.index == 1


def test_a_sample_that_would_take_all_memory_is_refused() -> None:
    huge = Text("a " * 2_000_001, ends=True)
    with pytest.raises(RowError, match="4,000,002 characters; at most 4,000,000"):
        encode(huge)


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(JobError, match="no fast one"):
        Encoder(object(), Encoding(length=9))


def test_a_batch_is_what_its_samples_are_alone() -> None:
    documents = [CHAT, Text("the fox"), PromptCompletion("a", "b"), Chat(CHAT.messages[:2], (1,))]
    encoder = Encoder(demo_tokenizer(), Encoding(length=100))
    together = encoder.encode([NumberedDocument(7, document) for document in documents])
    for document, sample in zip(documents, together, strict=True):
        alone = encode(document)
        assert sample.ids_T.tolist() == alone.ids_T.tolist()
        assert sample.weights_T.tolist() == alone.weights_T.tolist()
