"""What Transformers takes from a folder whose tokenizer class makes steps of its own.

Such a class reads the pieces, the merges and what is put around a text from tokenizer.json, and
passes over the file's normalizer, splitting rule and list of added tokens.
Source: transformers 5.23, tokenization_utils_tokenizers.py, convert_to_native_format; the classes'
__init__; models/auto/tokenization_auto.py, AutoTokenizer.from_pretrained.
"""

from pathlib import Path
from typing import NamedTuple

from _shared.protocol import JobError, Json
from llamacpp import split_patterns as patterns
from llamacpp.tokenizer_files import read_if_there

CLASS_OF_TYPE = {
    "Qwen2ForCausalLM": "Qwen2Tokenizer",
    "Qwen3ForCausalLM": "Qwen2Tokenizer",
    "Gemma2ForCausalLM": "GemmaTokenizer",
    "Gemma3ForCausalLM": "GemmaTokenizer",
    "Gemma3ForConditionalGeneration": "GemmaTokenizer",
}
"""Where the folder names none."""
WHATEVER_IS_NAMED = ("Qwen2ForCausalLM",)
FILE_ALONE = ("MistralForCausalLM", "Phi3ForCausalLM")
"""Of these no class is taken, whatever the folder names."""

WORDS: Json = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
BYTES: Json = {**WORDS, "use_regex": False}
DIGITS: Json = {"type": "Digits", "individual_digits": True}
NFC: Json = {"type": "NFC"}


class OwnSteps(NamedTuple):
    """`normalizer` and `cuts` as tokenizer.json has them."""

    normalizer: Json | None
    cuts: tuple[Json, ...]
    has_byte_fallback: bool = False


def _isolated(pattern: str) -> Json:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }


OWN_STEPS = {
    "CodeGenTokenizer": OwnSteps(None, (WORDS,)),
    "CohereTokenizer": OwnSteps(NFC, (DIGITS, WORDS)),
    "GPT2Tokenizer": OwnSteps(None, (WORDS,)),
    "GPTNeoXTokenizer": OwnSteps(NFC, (WORDS,)),
    "Qwen2Tokenizer": OwnSteps(NFC, (_isolated(patterns.QWEN2), BYTES)),
    "Qwen3_5Tokenizer": OwnSteps(NFC, (_isolated(patterns.QWEN35), BYTES)),
    "GemmaTokenizer": OwnSteps(
        {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        ({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"},),
        has_byte_fallback=True,
    ),
}
OTHERS = [
    "Albert",
    "Bart",
    "Barthez",
    "Bert",
    "BigBird",
    "Blenderbot",
    "CLIP",
    "Camembert",
    "ConvBert",
    "DPRContextEncoder",
    "DPRQuestionEncoder",
    "DPRReader",
    "Deberta",
    "DebertaV2",
    "DistilBert",
    "Electra",
    "Esmc",
    "FNet",
    "Funnel",
    "Herbert",
    "LED",
    "Lasr",
    "LayoutLM",
    "LayoutLMv2",
    "LayoutLMv3",
    "LayoutXLM",
    "Longformer",
    "Luke",
    "Lxmert",
    "MBart50",
    "MBart",
    "MLuke",
    "MPNet",
    "MarkupLM",
    "MobileBert",
    "Mvp",
    "Nllb",
    "Nougat",
    "OpenAIGPT",
    "Pegasus",
    "Phi3",
    "Reformer",
    "RemBert",
    "RoFormer",
    "Roberta",
    "SeamlessM4T",
    "Siglip2",
    "Splinter",
    "SqueezeBert",
    "T5",
    "Tipsv2",
    "Udop",
    "VideoPrism",
    "Whisper",
    "XGLM",
    "XLMRoberta",
    "XLNet",
]
"""Before "Tokenizer" in the names of classes that make other steps."""


WITHOUT_ENDS = ("GPTNeoXTokenizer",)


def class_named(folder: Path, architecture: str) -> str | None:
    """The class that makes its own tokenizer of the folder; None where the file is taken as it is.

    Raises: JobError for a class whose steps llama.cpp has not.
    """
    if architecture in FILE_ALONE:
        return None
    named = CLASS_OF_TYPE.get(architecture)
    if architecture not in WHATEVER_IS_NAMED:
        named = _told(folder) or named
    if named is not None and named.removesuffix("Tokenizer") in OTHERS:
        message = f"{folder}: Transformers makes a {named} of its tokenizer.json"
        hint = "whose steps llama.cpp has not; is tokenizer_class of tokenizer_config.json right?"
        raise JobError("UsageError", message, hint)
    return named if named in OWN_STEPS else None


def _told(folder: Path) -> str | None:
    """Without "Fast". Raises: JobError for a name that is no text."""
    for file in ("tokenizer_config.json", "config.json"):
        told = read_if_there(folder / file).get("tokenizer_class")
        if told is None or told == "":
            continue
        if not isinstance(told, str):
            message = f"{folder / file}: tokenizer_class is {told!r:.60}, not a text"
            raise JobError("UsageError", message, "correct it, or download the file again")
        return told.removesuffix("Fast")
    return None


def as_class_reads(tokenizer: Json, name: str, folder: Path) -> Json:
    """The same tokenizer.json with the steps of the class.

    Raises: JobError for a class that reads its pieces as another kind.
    """
    steps = OWN_STEPS[name]
    model = tokenizer["model"]
    if bool(model.get("byte_fallback")) is not steps.has_byte_fallback:
        kind = "bytes as pieces of their own" if steps.has_byte_fallback else "byte-level pieces"
        message = f"{folder}: Transformers makes a {name} of its tokenizer.json, which has {kind}"
        raise JobError("UsageError", message, "and the pieces there are of another kind")
    if name in WITHOUT_ENDS and _puts_ends(tokenizer):
        message = f"{folder}: Transformers makes a {name}, which puts nothing around a text"
        raise JobError("UsageError", message, "tokenizer.json says that something is put there")
    is_spaced = bool(read_if_there(folder / "tokenizer_config.json").get("add_prefix_space"))
    cuts = [
        {**cut, "add_prefix_space": is_spaced and cut["type"] == "ByteLevel"} for cut in steps.cuts
    ]
    return {
        **tokenizer,
        "normalizer": steps.normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts},
        "model": {**model, "ignore_merges": False, "dropout": None},
    }


def check_pieces_alone(name: str | None, folder: Path) -> None:
    """Raises: JobError for a class that reads tokenizer.model as byte-level pieces."""
    if name is not None and not OWN_STEPS[name].has_byte_fallback:
        message = f"{folder}: Transformers makes a {name} of its tokenizer.model"
        raise JobError("UsageError", message, "and the pieces there are of another kind")


def _puts_ends(tokenizer: Json) -> bool:
    """Whether the file's template has more in it than the text."""
    post = tokenizer.get("post_processor") or {}
    steps = post.get("processors", [post])
    templates = [step["single"] for step in steps if step.get("type") == "TemplateProcessing"]
    return any("Sequence" not in piece for template in templates for piece in template)
