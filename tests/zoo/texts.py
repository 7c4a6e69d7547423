"""Texts that tokenizers read differently: scripts, digits, spaces, code, emoji, special tokens."""

DECOMPOSED = "e\u0301 n\u0303 \ufb01 \uff21"
LEADING = " leading"
ONLY_SPACES = "   "
WITH_SPECIAL = "word<s>inside</s> <pad>text"
TEXTS = (
    "Hello world, it's 2026! I'm sure they'll've DON'T.",
    "naïve café Übermut Zażółć gęślą jaźń",
    "Съешь ещё этих мягких булок. שלום עולם مرحبا नमस्ते สวัสดี",
    "你好，世界！今天。こんにちは世界 안녕하세요",
    "1 12 123 1234567 3.14e-5 0x1F ½ ٣٤٥ １２３",
    "a  b   c    d\t\te \n\n f\r\n\r\ng  ",
    "def f(x):\n    return x ** 2  # π ≈ 3.14159\n\n\n",
    "a--b __init__ ...!!! (([[{{}}]])) \\\\ ~`@#$^&*_+=|<>/",
    "😀🎉 👩‍👩‍👧 🇩🇪 ❤️ ☃ →",
    WITH_SPECIAL,
    "x<|end|> y <|user|>z <tool> <a b> <im▁end> w",
    "no\u00a0break\u3000ideographic zero\u200bwidth ▁block ĠĊ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa the the theory",
    LEADING,
    ONLY_SPACES,
    "\n",
    DECOMPOSED,
)
