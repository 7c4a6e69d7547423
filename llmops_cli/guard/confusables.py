# ruff: noqa: RUF001
"""Letters of other scripts that look like Latin ones.

After Unicode's confusables (UTS 39), single letters only.
"""

BY_LETTER = {
    "a": "ɐɑαаᎪᴀꓮ",
    "b": "ʙβвᏴ",
    "c": "ɔϲсᏟᴄ",
    "d": "δԁᎠᴅꓓ",
    "e": "ǝεеёᎬᴇ℮ꓰ",
    "f": "ɟքꓝꜰ",
    "g": "ƃɡɢցꓖ",
    "h": "ɥʜнһհᎻꓧ",
    "i": "ɩɪιіїւᎥᴉꓲ",
    "j": "ɾϳјᎫᴊ",
    "k": "ʞκкᏦᴋꓗ",
    "l": "ʟӏᏞℓⅼꓡ",
    "m": "ɯмᎷᴍꓟ",
    "n": "ɴηпոռꓠ",
    "o": "οσоօᴏⲟꓳ",
    "p": "ρрᏢᴘⲣꓑ",
    "q": "ǫԛզ",
    "r": "ɹʀгꓣ",
    "s": "ѕᏚꓢꜱ",
    "t": "ʇτтեᎢᴛꓔ",
    "u": "μυиսᴜꓴ",
    "v": "ʌνᏙᴠꓦ",
    "w": "ʍωԝաᎳᴡꓪ",
    "x": "χхꓫ",
    "y": "ʎʏγуүꓬ",
    "z": "Ꮓᴢꓜ",
}
LATIN = {
    ord(form): letter
    for letter, shown in BY_LETTER.items()
    for char in shown
    for form in {char, char.upper(), char.lower()}
    if len(form) == 1 and not form.isascii()
}
"""Code point -> Latin letter."""

LATIN |= {
    ord(char): letter
    for letter, shown in {
        "b": "ΒВ",
        "h": "ΗН",
        "n": "Ν",
        "p": "ΡР",
        "v": "Ѵ",
        "x": "ΧХ",
        "y": "ΥУ",
        "z": "Ζ",
    }.items()
    for char in shown
}
"""Capitals that look like another letter than their small ones do."""
