"""Another process's view of a running gateway: its /admin/state."""

from __future__ import annotations

import os
import urllib.error
import urllib.request

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.runtime.http import SameHostRedirects
from llmops_cli.runtime.keys import bearer, require_header_value
from llmops_cli.serve.show import State

TIMEOUT_S = 10


def look(url: str, key_env: str) -> State:
    """The gateway's state now. `key_env`: the variable that holds a key of the role admin.

    Raises: EnvironmentMissing for no gateway, or a key that may not look; UsageError for a URL
    with a password.
    """
    base = url.rstrip("/").removesuffix("/v1")
    if "://" not in base:
        base = f"http://{base}"
    if "@" in base:
        raise UsageError(
            "a gateway's URL holds no password", hint=f"put its key into the variable {key_env}"
        )
    key = os.environ.get(key_env, "").strip()
    require_header_value(key, variable=key_env)
    headers = bearer(key)
    request = urllib.request.Request(f"{base}/admin/state", headers=headers)
    opener = urllib.request.build_opener(SameHostRedirects())
    try:
        with opener.open(request, timeout=TIMEOUT_S) as reply:
            found: State = msgspec.json.decode(reply.read())
            return found
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(base, key_env, error.code) from None
    except msgspec.DecodeError:
        raise EnvironmentMissing(f"{base} is no gateway of llmops") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        message = f"nothing answers at {base}: {reason}"
        raise EnvironmentMissing(message, hint="llmops serve") from None


def _refused(
    base: str,
    key_env: str,
    status: int,
) -> EnvironmentMissing:
    known = {
        404: f"{base} is no gateway of llmops",
        401: f"{key_env} holds no valid key",
        403: f"the key in {key_env} is not of the role admin",
    }
    message = known.get(status, f"{base} answers {status}")
    return EnvironmentMissing(message, hint="llmops keys create --name ops --role admin")
