"""The splitting patterns of well-known tokenizers, as their files have them.

llama.cpp implements each under a name (src/llama-vocab.cpp); `splits` says which.
"""

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORD_START = r"[^\r\n\p{L}\p{N}]?"
WORD = rf"{WORD_START}\p{{L}}+"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
SIGNS = r" ?[^\s\p{L}\p{N}]+"
ENDINGS = rf"{SIGNS}[\r\n]*|{SPACES}"
CASED_ENDINGS = rf"{SIGNS}[\r\n/]*|{SPACES}"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CAPITALIZED = rf"{WORD_START}{UPPER}*{LOWER}+"
CAPITALS = rf"{WORD_START}{UPPER}+{LOWER}*"

DBRX = rf"{CONTRACTIONS}|{WORD}|\p{{N}}{{1,3}}|{ENDINGS}"
"""Of cl100k's descendants: Llama 3, DBRX, OLMo 2, GLM 4."""
QWEN2 = rf"{CONTRACTIONS}|{WORD}|\p{{N}}|{ENDINGS}"
QWEN35 = (
    rf"{CONTRACTIONS}|{WORD_START}[\p{{L}}\p{{M}}]+|\p{{N}}|"
    rf" ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{SPACES}"
)
TEKKEN = rf"{CAPITALIZED}|{CAPITALS}|\p{{N}}|{CASED_ENDINGS}"
O200K = rf"{CAPITALIZED}{CONTRACTIONS}?|{CAPITALS}{CONTRACTIONS}?|\p{{N}}{{1,3}}|{CASED_ENDINGS}"
"""Of GPT-4o, gpt-oss, Llama 4."""
SEED_CODER = rf"{CONTRACTIONS}|{WORD}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{SPACES}"
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"

LINE_ENDS = r"[\r\n]"
DEEPSEEK_LETTERS = (
    "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ"
    "Ⴀ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗ"
    "ὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ"
    "-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳ"
    "Ꙁ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘"
    "-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]"
)
DEEPSEEK_WORD = rf"\s?{DEEPSEEK_LETTERS}+"
DEEPSEEK_SIGNS = r"\s?[!-/:-~！-／：-～‘-‟　-。]+"
DEEPSEEK_LAST_SPACES = r"\s+$"
DEEPSEEK_CJK = r"[一-龥ࠀ-一가-퟿]+"
DEEPSEEK_CODER_WORD = r"\s?\p{L}+"
DEEPSEEK_CODER_SIGNS = r"\s?\p{P}+"
UP_TO_THREE_DIGITS = r"\p{N}{1,3}"
THREE_DIGITS = r"[0-9][0-9][0-9]"
DEEPSEEK_3_CJK = r"[一-龥぀-ゟ゠-ヿ]+"
DEEPSEEK_3_WORD = (
    r'[!"#$%&'
    r"'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"
    r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
    rf" ?[\p{{P}}\p{{S}}]+[\r\n]*|{SPACES}"
)
