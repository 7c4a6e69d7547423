"""Texts that tokenizers cut differently: scripts, digits, spaces, code, emoji, odd characters."""

SCRIPTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Ich weiß nicht, ob Übermut größer ist als Äußerungen.",
    "L'élève naïf a reçu un cœur à Noël, où ça ?",
    "Zażółć gęślą jaźń, příliš žluťoučký kůň.",
    "Đây là tiếng Việt: Nguyễn Thị Hồng ở phường 5.",
    "Ελληνικά: η γρήγορη αλεπού πηδάει.",
    "Съешь же ещё этих мягких французских булок.",
    "שלום עולם, מה שלומך היום?",
    "مرحبا بالعالم، كيف حالك اليوم؟",
    "नमस्ते दुनिया, आप कैसे हैं?",
    "বাংলা ভাষায় কথা বলি।",
    "வணக்கம் உலகம்",
    "สวัสดีชาวโลก วันนี้เป็นอย่างไรบ้าง",
    "你好\uff0c世界\uff01今天天气怎么样\uff1f",
    "繁體中文與简体中文混排。",
    "こんにちは世界。カタカナとひらがな、漢字。",
    "안녕하세요 세계! 오늘 날씨는 어때요?",
    "ქართული ენა, հայերեն լեզու, አማርኛ",
    "MiXeD CaSe and camelCase and SCREAMING_SNAKE",
)
DIGITS = (
    "1 12 123 1234 12345 123456 1234567 12345678",
    "3.14159 -2.5e10 1,000,000 0x1F 1/2 50% $9.99",
    "2026-11-28T04:13:18Z and 10:30 pm",
    "x1y22z333 ٣٤٥ ४५६ \uff11\uff12\uff13 ² ½ Ⅷ",
)
SPACES = (
    " leading",
    "trailing ",
    "two  spaces   three    four",
    "\ttab\t\ttabs",
    "line\nbreak\n\nparagraph\n\n\nthree",
    "windows\r\nlines\r\n",
    "  \n  mixed \n\t indentation",
    "no\u00a0break, thin\u2009space, ideographic\u3000space",
    " ",
    "\n",
    "",
)
CODE = (
    "def f(x: int) -> str:\n    return f'{x!r}'  # comment\n",
    "for (int i = 0; i < n; ++i) { a[i] += b->c; }",
    "SELECT * FROM t WHERE a <> 'b''c' AND d >= 10;",
    '{"key": [1, 2.0, null, true], "nested": {"a\\n": "b"}}',
    "https://example.com/path?q=1&r=a%20b#frag user@example.org",
    "I'm, you're, we've, they'll, it's, DON'T, O'Neil's ''quoted''",
    "a--b __init__ ...!!! ??? (([[{{}}]])) \\\\ ~`@#$^&*_+=|<>/",
    '<div class="x">&amp;</div>',
)
EMOJI = (
    "😀😃🎉 🚀!",
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇩🇪🇯🇵 ❤️ 1️⃣",
    "a😀b ☃ ♥ → ∑ ∞ ≠ √",
)
ODD = (
    "e\u0301 versus \u00e9, n\u0303 versus \u00f1",
    "\ufb01ligature \u212b \uff21\uff22 \u1100\u1161",
    "zero\u200bwidth \u200djoiner soft\u00adhyphen",
    "line\u2028separator next\u0085line",
    "\ufefftext after a mark",
    "\U0001d518\U0001d52b\U0001d526\U0001d520\U0001d52c\U0001d521\U0001d522 𠮷 \U0001f9ff",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "antidisestablishmentarianism Donaudampfschifffahrtsgesellschaft",
    "\u2581lower block \u0120 \u010a Ġ Ċ",
)
TOKEN_TEXTS = (*SCRIPTS, *DIGITS, *SPACES, *CODE, *EMOJI, *ODD)
MOST_ADDED = 12
"""Special and added tokens that are tried inside a text."""


def texts_with(added: list[str]) -> list[str]:
    """All texts, and some of a tokenizer's own added tokens between words."""
    found = list(TOKEN_TEXTS)
    for token in added[:MOST_ADDED]:
        found += [f"before{token}after", f"one {token} two"]
    return found
