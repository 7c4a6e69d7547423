"""Personal data and secrets: a linear scan for candidates, then each one's own check (Luhn, mod 97,
key formats, context).

A recogniser's pattern finds what might be; its `check` says which part of that is, or that none is.
Checks look back at most LOOKBACK characters, so that a stream can be redacted piece by piece with
the same result.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
import re
from bisect import bisect
from collections import Counter
from collections.abc import Callable
from functools import cache

import msgspec
import re2

LOOKBACK = 48
Span = tuple[int, int]
Check = Callable[[re.Match[str]], Span | None]


class Entity(msgspec.Struct, frozen=True):
    """What was found, by which recogniser, and where."""

    kind: str
    rule: str
    span: Span


class Recogniser(msgspec.Struct, frozen=True):
    """`sign` (RE2) tells in one scan whether it is worth looking; the first recogniser of a place
    wins.
    """

    kind: str
    rule: str
    pattern: re.Pattern[str]
    check: Check
    sign: str


def _whole(found: re.Match[str]) -> Span | None:
    return found.span(found.lastindex or 0)


def _before(found: re.Match[str]) -> str:
    return found.string[max(0, found.start() - LOOKBACK) : found.start()].lower()


def _context(words: str) -> Callable[[re.Match[str]], bool]:
    pattern = re.compile(rf"(?:{words})[^\n]{{0,24}}$")
    return lambda found: bool(pattern.search(_before(found)))


def _digits(found: re.Match[str]) -> str:
    return re.sub(r"\D", "", found[0])


# -- mail, telephone
# ---------------------------------------------------------------------------------------

URL_USER = re.compile(r"://[^\s/@]*$")


def _email(found: re.Match[str]) -> Span | None:
    if found["local"].lower() == "git" or URL_USER.search(_before(found)):
        return None
    return found.span()


CALL = _context(
    r"phone|tel\b|tel[.:]|t[eé]l[eé]phone|mobile|cell|call|fax|whatsapp|ring|reach|contact|number|handy|telefon|movil|móvil"
)
NOT_CALL = re.compile(
    r"(?:order|sku|isbn|part|model|version|build|id|invoice|case|account|serial|ref)[^\n\w]{0,3}(?:no\.? ?)?$"
)


def _phone(found: re.Match[str]) -> Span | None:
    import phonenumbers

    text = found[0].strip()
    plus = text.startswith("+")
    shaped = re.fullmatch(r"(?:1[-. ])?\(?\d{3}\)?[-. ]{1,2}\d{3}[-. ]\d{4}", text)
    if not plus and (not shaped or NOT_CALL.search(_before(found))):
        return None
    try:
        number = phonenumbers.parse(text, None if plus else "US")
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_valid_number(number) or (
        CALL(found) and phonenumbers.is_possible_number(number)
    )
    return (found.start(), found.start() + len(found[0].rstrip(" .-"))) if possible else None


# -- cards, accounts
# ---------------------------------------------------------------------------------------


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    return (
        sum(map(int, digits[::-2])) + sum(value - 9 * (value > 9) for value in doubled)
    ) % 10 == 0


ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|"
    r"6(?:011|4[4-9]\d|5\d\d)\d{12,15}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|09|6\d|[89]\d)\d{11}|62\d{14,17}"
)


def _card(found: re.Match[str]) -> Span | None:
    digits = _digits(found)
    return found.span() if ISSUERS.fullmatch(digits) and luhn(digits) else None


IBAN_LENGTHS = {
    "AD": 24,
    "AE": 23,
    "AL": 28,
    "AT": 20,
    "AZ": 28,
    "BA": 20,
    "BE": 16,
    "BG": 22,
    "BH": 22,
    "BR": 29,
    "BY": 28,
    "CH": 21,
    "CR": 22,
    "CY": 28,
    "CZ": 24,
    "DE": 22,
    "DK": 18,
    "DO": 28,
    "EE": 20,
    "EG": 29,
    "ES": 24,
    "FI": 18,
    "FO": 18,
    "FR": 27,
    "GB": 22,
    "GE": 22,
    "GI": 23,
    "GL": 18,
    "GR": 27,
    "GT": 28,
    "HR": 21,
    "HU": 28,
    "IE": 22,
    "IL": 23,
    "IQ": 23,
    "IS": 26,
    "IT": 27,
    "JO": 30,
    "KW": 30,
    "KZ": 20,
    "LB": 28,
    "LC": 32,
    "LI": 21,
    "LT": 20,
    "LU": 20,
    "LV": 21,
    "MC": 27,
    "MD": 24,
    "ME": 22,
    "MK": 19,
    "MR": 27,
    "MT": 31,
    "MU": 30,
    "NL": 18,
    "NO": 15,
    "PK": 24,
    "PL": 28,
    "PS": 29,
    "PT": 25,
    "QA": 29,
    "RO": 24,
    "RS": 22,
    "SA": 24,
    "SC": 31,
    "SE": 24,
    "SI": 19,
    "SK": 24,
    "SM": 27,
    "ST": 25,
    "SV": 28,
    "TL": 23,
    "TN": 24,
    "TR": 26,
    "UA": 29,
    "VA": 22,
    "VG": 24,
    "XK": 20,
}
"""Characters by country: the IBAN registry of ISO 13616."""


def _iban(found: re.Match[str]) -> Span | None:
    length = IBAN_LENGTHS.get(found[0][:2].upper(), 0)
    taken = ""
    end = found.start()
    for position, char in enumerate(found[0]):
        if len(taken) == length:
            break
        if char != " ":
            taken = taken + char.upper()
            end = found.start() + position + 1
    if not length or len(taken) != length or found.string[end : end + 1].isalnum():
        return None
    turned = "".join(str(int(char, 36)) for char in taken[4:] + taken[:4])
    return (found.start(), end) if int(turned) % 97 == 1 else None


# -- national numbers
# --------------------------------------------------------------------------------------

SSN = _context(r"ssn|social security|tax ?id|itin")


def _ssn(found: re.Match[str]) -> Span | None:
    area, group, serial = found.groups()
    if area in ("000", "666") or area >= "900" or group == "00" or serial == "0000":
        return None
    return found.span() if "-" in found[0] or SSN(found) else None


def _stdnum(module: str, words: str = "") -> Check:
    """A number that python-stdnum's module of that name accepts, after one of the words if there
    are any.
    """
    needed = _context(words) if words else None

    def check(found: re.Match[str]) -> Span | None:
        from importlib import import_module

        if needed is not None and not needed(found):
            return None
        return found.span() if import_module(f"stdnum.{module}").is_valid(found[0]) else None

    return check


def _after(words: str, pattern: str = "") -> Check:
    needed = _context(words)
    form = re.compile(pattern or r"(?s).*")
    return lambda found: found.span() if needed(found) and form.fullmatch(found[0]) else None


NAMED_NUMBERS = (
    ("aadhaar|aadhar|uidai", "in_.aadhaar"),
    ("s[eé]curit[eé] sociale|nir\\b|insee", "fr.nir"),
    ("steuer-?id|identifikationsnummer|idnr|tin\\b", "de.idnr"),
    ("bsn|burgerservicenummer|sofi", "nl.bsn"),
    ("\\bsin\\b|social insurance", "ca.sin"),
    ("tfn|tax file", "au.tfn"),
    ("nhs", "gb.nhs"),
    ("pesel", "pl.pesel"),
    ("personnummer", "se.personnummer"),
    ("rijksregister", "be.nn"),
    ("svnr|sozialversicherung", "at.vnr"),
    ("ahv|avs", "ch.ssn"),
)
ANY_NAMED = _context("|".join(words for words, _ in NAMED_NUMBERS))
NAMED_CHECKS = [_stdnum(module, words) for words, module in NAMED_NUMBERS]


def _named_number(found: re.Match[str]) -> Span | None:
    """Numbers of nine to fifteen digits that mean something only after their name."""
    if not ANY_NAMED(found):
        return None
    return next((span for check in NAMED_CHECKS if (span := check(found))), None)


# -- addresses
# ---------------------------------------------------------------------------------------------

VERSION = re.compile(
    r"(?:version|release|section|chapter|figure|clause|article|paragraph|kernel|v|ver|build|rev|§)[ .:=v]{0,3}$"
)


def _ip(found: re.Match[str]) -> Span | None:
    try:
        address = ipaddress.ip_address(found[0])
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified or VERSION.search(_before(found)):
        return None
    if address.version == 6 and len(found[0]) < 7:
        return None
    return found.span()


# -- secrets
# -----------------------------------------------------------------------------------------------


def entropy(text: str) -> float:
    """Bits per character, of the characters' own frequencies."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


PLACEHOLDER = re.compile(
    r"(?i)^(?:[*x•.\-_#?]+|<.*|\$.*|\{.*|%.*|\[.*|your.*|my.*|example.*|change.?me.*|placeholder.*|none|null|nil|true|false|undefined|"
    r"required|redacted|hidden|secret|password|todo|os\..*|env\..*|process\..*|config.*|settings.*|self\..*|[\w.]+\(.*|"
    r"string|str|int|test|dummy|sample|default|hashed|encrypted|incorrect|correct|wrong|invalid|valid|missing|empty)$"
)


PASSWORD = re.compile("(?i)pass|pwd|kennwort|contrase|senha|wachtwoord|пароль|密码")


def _classes(value: str) -> int:
    return sum(
        any(test(char) for char in value) for test in (str.islower, str.isupper, str.isdigit)
    ) + any(not char.isalnum() for char in value)


def _assigned(found: re.Match[str]) -> Span | None:
    """`password = VALUE`, `api key: VALUE`, `my password is VALUE`: what is no placeholder and
    looks drawn by chance.
    """
    value = found["value"].rstrip(".,;:!?)\"'`")
    start = found.start("value")
    if value.endswith("}") or PLACEHOLDER.match(value) or PLACEHOLDER.match(found["value"]):
        return None
    password = bool(PASSWORD.search(found["key"]))
    spoken = found["sign"].strip() not in (":", "=", "=>", ":=")
    if password:
        strong = (
            len(value) >= 6 and _classes(value) >= 2 and any(not char.isalpha() for char in value)
        )
        strong = strong and not (spoken and _classes(value) < 3 and len(value) < 8)
    else:
        strong = (
            len(value) >= 16
            and _classes(value) >= 2
            and entropy(value) >= 3
            and any(map(str.isdigit, value))
        )
        strong = strong and (not spoken or len(value) >= 20)
    return (start, start + len(value)) if strong else None


def _jwt(found: re.Match[str]) -> Span | None:
    head = found[0].partition(".")[0]
    try:
        raw = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return None
    return found.span() if b'"alg"' in raw else None


def _mixed(found: re.Match[str]) -> Span | None:
    """A key's form, and not a word that looks like it."""
    start, end = _whole(found) or found.span()
    body = found.string[start:end]
    return (
        (start, end)
        if any(map(str.isdigit, body)) or _classes(body) >= 3 or entropy(body) > 3.5
        else None
    )


KEYS = (
    ("anthropic", r"sk-ant-[\w-]{24,}"),
    ("openrouter", r"sk-or-v1-[0-9a-f]{32,}"),
    ("openai", r"sk-(?:proj-|svcacct-|admin-|None-)?[A-Za-z0-9][\w-]{30,}"),
    ("aws-key-id", r"(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ABIA|ACCA)[A-Z0-9]{16}"),
    ("github", r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{30,}"),
    ("gitlab", r"gl(?:pat|ptt|dt|rt|cbt|ft|soat)-[\w-]{20,}"),
    ("slack", r"xox[abeoprs]-[\w-]{10,}|xapp-\d-[\w-]{20,}"),
    ("slack-hook", r"hooks\.slack\.com/services/(T\w{6,}/B\w{6,}/\w{16,})"),
    ("stripe", r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,}"),
    ("google", r"AIza[\w-]{35}|GOCSPX-[\w-]{20,}|ya29\.[\w-]{20,}"),
    ("huggingface", r"hf_[A-Za-z0-9]{30,}|api_org_[A-Za-z]{30,}"),
    ("sendgrid", r"SG\.[\w-]{16,}\.[\w-]{16,}"),
    ("twilio", r"(?:SK|AC)[0-9a-f]{32}"),
    ("npm", r"npm_[A-Za-z0-9]{30,}"),
    ("pypi", r"pypi-[\w-]{50,}"),
    ("digitalocean", r"do[opr]_v1_[0-9a-f]{64}"),
    ("telegram", r"\d{8,10}:[A-Za-z0-9_-]{35}"),
    ("discord", r"[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}"),
    ("shopify", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("azure", r"AccountKey=([A-Za-z0-9+/]{40,}={0,2})"),
    ("databricks", r"dapi[0-9a-f]{32}"),
    ("vault", r"hv[sb]\.[\w-]{24,}"),
    ("mailgun", r"key-[0-9a-f]{32}"),
    ("mailchimp", r"[0-9a-f]{32}-us\d{1,2}"),
    ("groq", r"gsk_[A-Za-z0-9]{40,}"),
    ("xai", r"xai-[A-Za-z0-9]{40,}"),
    ("replicate", r"r8_[A-Za-z0-9]{36,}"),
    ("perplexity", r"pplx-[A-Za-z0-9]{40,}"),
    ("grafana", r"glsa_\w{32,}|glc_[\w=+/]{32,}"),
    ("linear", r"lin_api_[A-Za-z0-9]{32,}"),
    ("postman", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    ("newrelic", r"NRAK-[A-Z0-9]{27}"),
    ("square", r"sq0(?:atp|csp)-[\w-]{22,}"),
    ("age", r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    ("planetscale", r"pscale_(?:tkn|pw|oauth)_[\w.-]{32,}"),
    ("llmops", r"llmops_[A-Za-z0-9_-]{24,}"),
)
"""Providers' own forms of keys."""
NAMED = r"api[ _-]?keys?|access[ _-]?(?:key|token)|auth[ _-]?token|secret[ _-]?(?:access[ _-]?)?key|client[ _-]?secret|secrets?|tokens?|credentials?|passwords?|passwd|passphrase|pwd|passcode|passwort|kennwort|mot de passe|contrase[nñ]a|senha|wachtwoord|пароль|密码"


def _build() -> tuple[Recogniser, ...]:
    def of(kind: str, rule: str, pattern: str, check: Check = _whole, sign: str = "") -> Recogniser:
        return Recogniser(
            kind,
            rule,
            re.compile(pattern),
            check,
            sign or re.sub(r"\(\?<?[!=][^)]*\)", "", pattern),
        )

    keys = [
        of("secret", name, rf"(?<![\w-])(?:{form})(?![\w-])", _mixed, form) for name, form in KEYS
    ]
    return (
        of(
            "private_key",
            "pem",
            r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END)[\s\S]){0,8000}(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?",
            sign="-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY",
        ),
        of("jwt", "jwt", r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]{8,}", _jwt),
        *keys,
        of(
            "password",
            "url",
            r"://[^\s:/@]{0,64}:(?P<value>[^\s/@]{3,128})@",
            lambda m: None if PLACEHOLDER.match(m["value"]) else m.span("value"),
            r"://[^\s:/@]{0,64}:[^\s/@]{3}",
        ),
        of(
            "secret",
            "aws-secret",
            r"(?i:secret[\w ]{0,16}|aws[\w ]{0,24})[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<value>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
            _whole,
            r"[A-Za-z0-9/+]{40}",
        ),
        of(
            "assigned",
            "assigned",
            rf"(?i)(?P<key>{NAMED})[\"'`]?(?P<sign>\s{{0,3}}(?::=|=>|[:=])\s{{0,3}}|\s(?:is|was|are)(?: now)?:?\s|\s(?=[\w-]{{20}}))[\"'`]?(?P<value>[^\s\"'`]{{6,256}})",
            _assigned,
            rf"(?i)(?:{NAMED})[\"'`]?(?:\s{{0,3}}[:=]|\s(?:is|was|are)|\s[\w-]{{20}})",
        ),
        of(
            "email",
            "email",
            r"(?<![\w.%+'-])(?P<local>\w[\w.%+'-]{0,63})@(?:[\w](?:[\w-]{0,61}\w)?\.){1,8}[^\W\d_]{2,24}(?![\w-])",
            _email,
            r"\w@[\w-]",
        ),
        of(
            "wallet",
            "bitcoin",
            r"(?<!\w)(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71})(?!\w)",
            _stdnum("bitcoin"),
        ),
        of("wallet", "ethereum", r"(?<!\w)0x[0-9a-fA-F]{40}(?!\w)"),
        of(
            "iban",
            "iban",
            r"(?i)(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,31}",
            _iban,
            r"(?i)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11}",
        ),
        of(
            "national_id",
            "it",
            r"(?i)(?<!\w)[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z](?!\w)",
            _stdnum("it.codicefiscale"),
        ),
        of(
            "national_id", "br", r"(?<![\w.])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w.-])", _stdnum("br.cpf")
        ),
        of(
            "national_id",
            "es",
            r"(?<!\w)(?:\d{8}|[XYZ]\d{7})-?[A-Z](?!\w)",
            lambda m: _stdnum("es.nie" if m[0][0] in "XYZ" else "es.dni")(m),
        ),
        of(
            "national_id",
            "gb",
            r"(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)",
            _after(r"nino|national insurance|\bni\b"),
        ),
        of(
            "national_id",
            "passport",
            r"(?<!\w)[A-Z0-9]{7,9}(?!\w)",
            _after(
                r"passport|reisepass|passeport|pasaporte|passaporto|paspoort",
                r"(?=.*\d.*\d)[A-Z0-9]+",
            ),
            r"[A-Z0-9]{7}",
        ),
        of(
            "card",
            "card",
            r"(?<![\w.-])\d(?:[ .-]?\d){12,18}(?![\w-])",
            _card,
            r"\d(?:[ .-]?\d){12}",
        ),
        of("ssn", "ssn", r"(?<![\w-])(\d{3})[- ](\d{2})[- ](\d{4})(?![\w-])", _ssn),
        of(
            "ssn",
            "ssn-digits",
            r"(?<![\w-])(\d{3})(\d{2})(\d{4})(?![\w-])",
            lambda m: _ssn(m) if SSN(m) else None,
            r"\d{9}",
        ),
        of(
            "national_id",
            "named",
            r"(?<![\w.-])\d(?:[ .-]?\d){7,14}(?![\w-])",
            _named_number,
            r"\d(?:[ .-]?\d){7}",
        ),
        of(
            "phone",
            "phone",
            r"(?<![\w.+/-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,5}\)[ .-]{0,2})?\d(?:[ .-]{0,2}\d){5,13}(?![\w-]|\.\d)",
            _phone,
            r"\d(?:[ .()-]{0,3}\d){6}",
        ),
        of(
            "ip",
            "ipv4",
            r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)",
            _ip,
            r"\d{1,3}(?:\.\d{1,3}){3}",
        ),
        of("mac", "mac", r"(?<![\w:-])(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}(?![\w:-])"),
        of(
            "ip",
            "ipv6",
            r"(?<![\w:.])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?![\w:])",
            _ip,
            r"[0-9a-fA-F]{1,4}:[0-9a-fA-F:]{3}",
        ),
    )


KINDS = (
    "email",
    "phone",
    "card",
    "iban",
    "ssn",
    "national_id",
    "ip",
    "mac",
    "wallet",
    "secret",
    "password",
    "jwt",
    "private_key",
)
SECRETS = ("secret", "password", "jwt", "private_key")


@cache
def _machine() -> tuple[re2.Set, tuple[Recogniser, ...]]:
    options = re2.Options()
    options.max_mem = 64 << 20
    options.log_errors = False
    signs = re2.Set.SearchSet(options)
    recognisers = _build()
    for recogniser in recognisers:
        signs.Add(recogniser.sign)
    signs.Compile()
    return signs, recognisers


FULL_WIDTH = {code + 0xFEE0: code for code in range(0x21, 0x7F)}
"""One character for one, so that places stay."""


def find(text: str) -> list[Entity]:
    """Everything personal or secret, in the order of the text, without overlaps."""
    signs, recognisers = _machine()
    if not text.isascii():
        text = text.translate(FULL_WIDTH)
    found: list[Entity] = []
    for index in sorted(signs.Match(text) or ()):
        recogniser = recognisers[index]
        for match in recogniser.pattern.finditer(text):
            span = recogniser.check(match)
            if span is None:
                continue
            place = bisect(found, span, key=lambda entity: entity.span)
            if (place and found[place - 1].span[1] > span[0]) or (
                place < len(found) and found[place].span[0] < span[1]
            ):
                continue
            kind = recogniser.kind
            if kind == "assigned":
                kind = "password" if PASSWORD.search(match["key"]) else "secret"
            found.insert(place, Entity(kind, recogniser.rule, span))
    return found


def redact(text: str, entities: list[Entity]) -> str:
    """The text with each entity replaced by [KIND]."""
    parts = []
    end = 0
    for entity in entities:
        parts += [text[end : entity.span[0]], f"[{entity.kind.upper()}]"]
        end = entity.span[1]
    return "".join([*parts, text[end:]])
