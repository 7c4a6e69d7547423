"""Why a request's body is not JSON, for whoever sent it. Standard library only."""

import json

SEARCHED_BYTES = 64 << 10
"""Where a longer body stops being JSON is not looked for."""
CUT_CHARACTER = "half of a surrogate pair stands alone: a text was cut inside a character"


def wrong_body(raw: bytes) -> str:
    if not raw.strip():
        return "the body is empty"
    is_whole = len(raw) <= SEARCHED_BYTES
    try:
        value = json.loads(raw[: SEARCHED_BYTES + 1])
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return f"the body is not JSON: {CUT_CHARACTER}"
    except json.JSONDecodeError as error:
        if is_whole:
            return f"the body is not JSON: line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:  # in a longer body the cut may go through a character
        if is_whole:
            return "the body is no text in UTF-8"
    except RecursionError:
        return "the body is nested too deep"
    except ValueError:  # Python refuses whole numbers of thousands of digits
        return "the body holds a number that is too long"
    return "the body is not JSON"
