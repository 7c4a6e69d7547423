"""What only the raw text shows: role markers and delimiters that users do not write, hidden HTML,
long runs of examples.
"""

from __future__ import annotations

import re
from functools import cache

import re2

from llmops_cli.guard.rules import Rule

RULES: tuple[tuple[str, str, float, str], ...] = (
    # id, family, weight, pattern over the text as it came (case counts unless the pattern says
    # otherwise)
    (
        "structure.chat-template",
        "direct_hijack",
        0.6,
        r"(?i)<\|(?:im_start|im_end|system|user|assistant|end_of_text|endoftext|eot_id|start_header_id|end_header_id|begin_of_text|end)\|>|<(?:start|end)_of_turn>|<</?SYS>>|\[/?INST\]|\[/?SYSTEM(?:_PROMPT)?\]",
    ),
    (
        "structure.system-turn",
        "direct_hijack",
        0.5,
        r"(?i)<\|im_start\|>\s*system|<\|start_header_id\|>\s*system|<\|system\|>",
    ),
    (
        "structure.role-line",
        "direct_hijack",
        0.3,
        r"(?im)(?:^|\n)\s{0,4}(?:[#*>\[(<]{1,3} ?)?(?:system|assistant|developer|sysadmin|admin)(?: (?:message|prompt|note|override|instruction|update|notice|alert))?(?:[\])>*#]{1,3})? ?:",
    ),
    (
        "structure.role-json",
        "direct_hijack",
        0.35,
        r"(?i)['\"]role['\"]\s*:\s*['\"](?:system|developer)['\"]",
    ),
    (
        "structure.closing-tag",
        "direct_hijack",
        0.5,
        r"(?i)</(?:system|prompt|instructions?|user_?input|document|context|untrusted|data|input|query|endprompt|endline|user)>",
    ),
    (
        "structure.end-marker",
        "direct_hijack",
        0.5,
        r"(?im)(?:^|\n)[^\w\n]{2,40}(?:end|begin|start|stop)(?: of)? (?:[\w ]{0,24})(?:instructions?|input|prompt|ambiguity|message|data|text|context|conversation)[^\w\n]{0,40}(?:\n|$)",
    ),
    (
        "structure.rule-line",
        "direct_hijack",
        0.2,
        r"(?m)(?:^|\n)[-=#*~_]{6,}[ \t]*\n[-=#*~_\s]*\n?",
    ),
    (
        "structure.hidden-html",
        "indirect",
        0.4,
        r"(?i)<!--.{0,200}(?:ignore|instruction|assistant|system|must|you are|prompt|respond|state:|say)|(?:display:\s*none|font-size:\s*0|visibility:\s*hidden|opacity:\s*0|color:\s*(?:white|#fff(?:fff)?|transparent))",
    ),
    (
        "structure.image-link",
        "indirect",
        0.4,
        r"!\[[^\]\n]{0,80}\]\(\s*https?://[^)\s]{1,200}[?&][^)\s]{0,100}(?:=\s*[{\[<$]|=\s*\)|(?i:secret|password|prompt|history|data|conversation|token|key))",
    ),
    (
        "structure.script",
        "indirect",
        0.7,
        r"(?i)<script[\s>]|javascript:\s*\w|onerror\s*=|<iframe\s",
    ),
    (
        "structure.placeholder",
        "jailbreak",
        0.4,
        r"(?i)\[ ?(?:insert|your|the|my)? ?(?:malicious|harmful)? ?(?:prompt|question|request|instruction|text|goal)(?: goes)?(?: here)? ?\]|\{\{? ?(?:prompt|question|goal|query) ?\}?\}|<(?:prompt|question|insert)[^>\n]{0,20}>|PROMPT[ _]HERE",
    ),
    (
        "structure.persona-tag",
        "jailbreak",
        0.35,
        r"(?:\[|\(|【|🔒|🔓|:lock:|:unlock:)\s{0,2}(?:[🔒🔓]|:un?lock:)?\s{0,2}(?:CLASSIC|JAILBREAK|JB|GPT|CHATGPT|ChatGPT|DAN|NORMAL|Jailbreak|Developer Mode|DEV|GPT-4REAL|Normal Output|STAN|DUDE|EVIL|AntiGPT|AIM|[A-Z]\w{1,12}GPT)[^\]\n]{0,20}(?:\]|\)|】|:)",
    ),
    (
        "structure.persona-name",
        "jailbreak",
        0.45,
        r"\b(?:DAN|STAN|DUDE|BetterDAN|EvilBOT|JailBreak|DevMode|AntiGPT|ChadGPT|BasedGPT|UCAR|AIM|BISH|VIOLET|KEVIN|SDA|APOPHIS|M78|Dr\. AI|NRAF|Maximum)\b (?:mode|can|will|is|has|does|must|never|responds?|stands|would|should|answers|prompt)|\b(?:as|named|called|be|is|like) (?:an? )?(?:DAN|STAN|DUDE|[A-Z]\w{2,12}GPT)\b",
    ),
    (
        "structure.api-script",
        "jailbreak",
        0.25,
        r"(?i)(?:gpt|chatgpt|language_?model|llm)\s*\(|def (?:simple_function|mask|autoregressive|token)|\$a\s*=|print\(.{0,30}(?:prompt|payload)",
    ),
)
SHOTS_LEAST = 12
SPEAKER = re.compile(r"(?im)^\s{0,4}(?:user|human|q|question|assistant|ai|a|answer)\s?[:.]")
MANY_SHOT = Rule(id="structure.many-shot", family="jailbreak", weight=0.5, any=())
REPEATED = Rule(id="structure.repetition", family="direct_hijack", weight=0.5, any=())
REPEATED_LEAST = 60
"""Words: fewer repeat by chance."""


@cache
def _compiled() -> tuple[re2.Set, list[Rule]]:
    options = re2.Options()
    options.max_mem = 64 << 20
    options.log_errors = False
    found = re2.Set.SearchSet(options)
    for _, _, _, pattern in RULES:
        found.Add(pattern)
    found.Compile()
    return found, [
        Rule(id=i, family=family, weight=weight, any=()) for i, family, weight, _ in RULES
    ]


def structure_of(text: str, words: list[str]) -> list[Rule]:
    """The structural rules that hold for the text; `words` are its skeleton's."""
    found, rules = _compiled()
    held = [rules[index] for index in found.Match(text) or ()]
    if len(words) >= REPEATED_LEAST:
        if len(set(words)) < 0.12 * len(words) + 6:
            held.append(REPEATED)
        if (
            text.count("\n") >= SHOTS_LEAST
            and sum(1 for _ in SPEAKER.finditer(text)) >= SHOTS_LEAST
        ):
            held.append(MANY_SHOT)
    return held
