"""Every form of tokenizer, with a tiny model."""

from __future__ import annotations

from tests.zoo import tokenizers as t
from tests.zoo.case import FALLBACK, Case
from tests.zoo.texts import DECOMPOSED, LEADING, ONLY_SPACES, WITH_SPECIAL

FULL_LLAMA = {"tokenizer_class": "LlamaTokenizer"}
TOKENIZERS = {
    "gpt2-split": Case(tokenizer=t.written(t.byte_level(""))),
    "llama3-split": Case(tokenizer=t.written(t.byte_level(t.LLAMA3))),
    "llama3-split-ignore-merges": Case(
        tokenizer=t.written(t.byte_level(t.LLAMA3), t.set_at("model", "ignore_merges", value=True))
    ),
    "tekken-split": Case(tokenizer=t.written(t.byte_level(t.TEKKEN))),
    "unknown-split": Case(
        tokenizer=t.written(t.byte_level(r"\p{L}+|\P{L}+")), refused="splitting rule"
    ),
    "removed-split": Case(
        tokenizer=t.written(
            t.byte_level(),
            t.set_at("pre_tokenizer", "pretokenizers", 0, "behavior", value="Removed"),
        ),
        refused="Split that is Removed",
    ),
    "prefix-space": Case(
        tokenizer=t.written(
            t.byte_level(""),
            t.set_at("pre_tokenizer", "pretokenizers", 0, "add_prefix_space", value=True),
        ),
        refused="add_prefix_space",
    ),
    "lowercase": Case(
        tokenizer=t.written(t.byte_level(), t.set_at("normalizer", value={"type": "Lowercase"})),
        refused="normalizer Lowercase",
    ),
    "nfkc": Case(
        tokenizer=t.written(t.byte_level(), t.set_at("normalizer", value={"type": "NFKC"})),
        refused="normalizer NFKC",
    ),
    "nfc": Case(
        tokenizer=t.written(t.byte_level(), t.set_at("normalizer", value={"type": "NFC"})),
        notices=("NFC",),
        other_texts=(DECOMPOSED,),
    ),
    "rstrip": Case(
        tokenizer=t.written(t.byte_level(), t.strip_after("</s>")), refused="has rstrip"
    ),
    "rstrip-as-phi3": Case(
        "Phi3",
        {},
        t.written(t.byte_fallback, t.strip_after("</s>", "<pad>")),
        refused="has rstrip",
    ),
    "lstrip": Case(
        tokenizer=t.written(t.byte_level(), t.set_at("added_tokens", 0, "lstrip", value=True)),
        refused="has lstrip",
    ),
    "phi3-strips": Case(
        "Phi3",
        {"vocab_size": 520},
        t.written(
            t.byte_fallback,
            lambda tokenizer: (
                t.add(
                    {"id": 512, "content": "<|endoftext|>", "special": True},
                    {"id": 513, "content": "<|end|>", "special": True},
                )(tokenizer),
                t.strip_after("</s>", "<pad>", "<|end|>")(tokenizer),
            ),
        ),
    ),
    "named-phi3": Case(folder="my-Phi-3-tune"),
    "named-phi3-bare": Case("Phi3", {}, FALLBACK, folder="phi3mini"),
    "named-modern-bert": Case(folder="modern-bert-like"),
    "bos-and-eos": Case(
        tokenizer=t.written(
            t.byte_level(), t.set_at("post_processor", value=t.template("<s>", "$A", "</s>"))
        )
    ),
    "model-alone-bos": Case(tokenizer=t.trained(config={"add_bos_token": True})),
    "bos-by-template": Case(
        tokenizer=t.written(
            t.byte_level(), t.set_at("post_processor", value=t.template("<s>", "$A"))
        )
    ),
    "eos-by-template": Case(
        tokenizer=t.written(
            t.byte_level(), t.set_at("post_processor", value=t.template("$A", "</s>"))
        )
    ),
    "two-before": Case(
        tokenizer=t.written(
            t.byte_level(), t.set_at("post_processor", value=t.template("<s>", "<unk>", "$A"))
        ),
        refused="around a text",
    ),
    "added-tokens": Case(
        config={"vocab_size": 520},
        tokenizer=t.written(
            t.byte_level(),
            t.add(
                {"id": 512, "content": "<tool>", "normalized": True},
                {"id": 513, "content": "<a b>"},
                {"id": 514, "content": "<im▁end>", "special": True},
            ),
        ),
    ),
    "named-alone": Case(
        config={"vocab_size": 520},
        tokenizer=t.written(
            t.byte_level(), pad_token="<tool>", additional_special_tokens=["<|end|>", "<|user|>"]
        ),
    ),
    "named-in-the-old-map": Case(
        config={"vocab_size": 520},
        tokenizer=t.with_old_map(
            t.written(t.byte_level()), pad_token="<tool>", additional_special_tokens=["<|end|>"]
        ),
    ),
    "named-alone-beyond": Case(
        tokenizer=t.written(t.byte_level(), pad_token="<tool>"),
        notices=("<tool>",),
        other_texts=("x<|end|> y <|user|>z <tool> <a b> <im▁end> w",),
    ),
    "added-on-a-piece": Case(
        tokenizer=t.written(t.byte_level(), t.add({"id": 300, "content": "<tool>"})),
        refused="'<tool>' is said to be 300, which is piece",
    ),
    "model-alone-added-on-a-piece": Case(
        tokenizer=t.trained(added={"<tool>": 300}), refused="'<tool>' is said to be 300"
    ),
    "three-ends": Case(config={"eos_token_id": [2, 300, 301]}),
    "four-ends": Case(
        config={"eos_token_id": [2, 300, 301, 302]},
        notices=("goes on after",),
        goes_on_after=(302,),
    ),
    "padded-vocabulary": Case(config={"vocab_size": 640}),
    "pad-at-vocab-size": Case(
        tokenizer=t.written(
            t.byte_level(),
            t.add({"id": 512, "content": "[PAD]", "special": True}),
            pad_token="[PAD]",
        ),
        notices=("[PAD]",),
    ),
    "larger-than-model": Case(
        config={"vocab_size": 400}, refused="makes 512 tokens and the model's vocabulary has 400"
    ),
    "unigram": Case(config={"vocab_size": 128}, tokenizer=t.unigram, refused="Unigram"),
    "fallback-prepend": Case(tokenizer=t.written(t.byte_fallback, t.prepend)),
    "fallback-prepend-llama-class": Case(
        tokenizer=t.written(t.byte_fallback, t.prepend, **FULL_LLAMA),
        notices=("begins with a space",),
        other_texts=(LEADING, ONLY_SPACES, WITH_SPECIAL),
    ),
    "fallback-prepend-llama-class-legacy": Case(
        tokenizer=t.written(t.byte_fallback, t.prepend, **FULL_LLAMA, legacy=True),
        notices=("begins with a space",),
        other_texts=(LEADING, ONLY_SPACES, WITH_SPECIAL),
    ),
    "fallback-prepend-llama-class-without": Case(
        tokenizer=t.written(t.byte_fallback, t.prepend, **FULL_LLAMA, add_prefix_space=False),
    ),
    "fallback-code-llama-class": Case(
        tokenizer=t.written(
            t.byte_fallback,
            lambda tokenizer: (
                t.prepend(tokenizer),
                t.set_at("post_processor", value=t.template("<s>", "$A"))(tokenizer),
            ),
            tokenizer_class="CodeLlamaTokenizerFast",
        ),
        notices=("begins with a space",),
        other_texts=(LEADING, ONLY_SPACES, WITH_SPECIAL),
    ),
    "fallback-llama-class-of-gemma": Case(
        "Gemma2",
        {},
        t.written(t.byte_fallback, **FULL_LLAMA),
        notices=("begins with a space",),
        other_texts=(LEADING, ONLY_SPACES, WITH_SPECIAL),
    ),
    "fallback-llama-class-of-phi3": Case(
        "Phi3",
        {},
        t.written(t.byte_fallback, t.prepend, **FULL_LLAMA),
    ),
    "byte-level-llama-class": Case(tokenizer=t.written(t.byte_level(t.LLAMA3), **FULL_LLAMA)),
    "fallback-metaspace": Case(
        tokenizer=t.written(t.byte_fallback, t.metaspace("always")),
        notices=("begins with a space",),
        other_texts=(LEADING, ONLY_SPACES, WITH_SPECIAL),
    ),
    "fallback-metaspace-first": Case(
        tokenizer=t.written(t.byte_fallback, t.metaspace("first")),
        notices=("begins with a space",),
        other_texts=(LEADING, ONLY_SPACES, WITH_SPECIAL),
    ),
    "fallback-metaspace-never": Case(tokenizer=t.written(t.byte_fallback, t.metaspace("never"))),
    "fallback-lowercase": Case(
        tokenizer=t.written(t.byte_fallback, t.set_at("normalizer", value={"type": "Lowercase"})),
        refused="normalizer Lowercase",
    ),
    "fallback-nfkc": Case(
        tokenizer=t.written(t.byte_fallback, t.set_at("normalizer", value={"type": "NFKC"})),
        refused="normalizer NFKC",
    ),
    "fallback-one-way": Case(tokenizer=t.written(t.byte_fallback, t.only_first_merges)),
    "fallback-one-way-prefix": Case(
        tokenizer=t.written(
            t.byte_fallback, lambda j: (t.only_first_merges(j), t.metaspace("always")(j))
        ),
        refused="one score each",
    ),
    "fallback-bos": Case(tokenizer=t.written(t.byte_fallback, add_bos_token=True)),
    "model-alone": Case(tokenizer=t.trained()),
    "model-alone-prefix": Case(
        tokenizer=t.trained(add_dummy_prefix=True), refused="add_dummy_prefix is True"
    ),
    "model-alone-llama": Case(
        tokenizer=t.trained(add_dummy_prefix=True, config=FULL_LLAMA),
        notices=("begins with a space",),
        other_texts=(LEADING, ONLY_SPACES, WITH_SPECIAL),
    ),
    "model-alone-llama-no-prefix": Case(
        tokenizer=t.trained(config=FULL_LLAMA), refused="add_dummy_prefix is False"
    ),
    "model-alone-added": Case(
        config={"vocab_size": 520},
        tokenizer=t.trained(added={"<|user|>": 512, "<|end|>": 513}),
    ),
    "model-alone-symbols": Case(tokenizer=t.trained(user_defined_symbols=("<tool>", "▁▁"))),
    "model-alone-unigram": Case(tokenizer=t.trained(kind="unigram"), refused="Unigram"),
    "model-alone-nfkc": Case(
        tokenizer=t.trained(normalization_rule_name="nmt_nfkc"), refused="'nmt_nfkc'"
    ),
    "model-alone-collapsed": Case(
        tokenizer=t.trained(remove_extra_whitespaces=True), refused="remove_extra_whitespaces"
    ),
    "class-with-nfc": Case(
        tokenizer=t.written(t.byte_level(""), tokenizer_class="GPTNeoXTokenizerFast"),
        notices=("NFC",),
        other_texts=(DECOMPOSED,),
    ),
    "class-of-another-kind": Case(
        tokenizer=t.written(t.byte_level(""), tokenizer_class="RobertaTokenizerFast"),
        refused="makes a RobertaTokenizer",
    ),
    "class-cuts-otherwise": Case(
        "Qwen3",
        {},
        t.written(t.byte_level(t.LLAMA3), tokenizer_class="Qwen2Tokenizer"),
        notices=("NFC",),
        other_texts=(DECOMPOSED,),
    ),
    "class-of-gemma": Case(
        tokenizer=t.written(
            t.byte_fallback, t.metaspace("always"), tokenizer_class="GemmaTokenizerFast"
        ),
    ),
    "class-of-llama-in-qwen3": Case(
        "Qwen3",
        {},
        t.written(t.byte_fallback, **FULL_LLAMA),
        notices=("begins with a space",),
        other_texts=(LEADING, ONLY_SPACES, WITH_SPECIAL),
    ),
    "class-of-code-llama-alone": Case(
        tokenizer=t.written(t.byte_level(), tokenizer_class="CodeLlamaTokenizer"),
        refused="makes a CodeLlamaTokenizer",
    ),
    "named-piece": Case(
        config={"vocab_size": 520},
        tokenizer=t.written(t.byte_level(), image_token="the", pad_token="ing"),
    ),
    "named-image": Case(
        config={"vocab_size": 520}, tokenizer=t.written(t.byte_level(), image_token="<tool>")
    ),
    "split-special": Case(
        tokenizer=t.written(t.byte_level(), split_special_tokens=True),
        refused="split_special_tokens",
    ),
    "bos-of-another-number": Case(
        tokenizer=t.written(
            t.byte_level(),
            lambda tokenizer: (
                t.set_at("post_processor", value=t.template("<s>", "$A"))(tokenizer),
                t.set_at("post_processor", "special_tokens", "<s>", "ids", value=[300])(tokenizer),
            ),
        ),
        refused="puts [300] around a text",
    ),
    "model-alone-named": Case(
        config={"vocab_size": 520},
        tokenizer=t.trained(config={"pad_token": "<tool>", "image_token": "the"}),
    ),
    "model-alone-gap": Case(
        config={"vocab_size": 520},
        tokenizer=t.trained(added={"<tool>": 514}),
        refused="Transformers makes it 512",
    ),
    "model-alone-in-qwen2": Case("Qwen2", {}, t.trained(), refused="makes a Qwen2Tokenizer"),
}
