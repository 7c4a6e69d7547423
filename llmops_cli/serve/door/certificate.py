"""The gateway's own certificate, read anew when its files change: those who issue them do so."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from llmops_cli.serve.upstreams.file_stamps import FileStamps

LOG = logging.getLogger("llmops.gateway")


class ServedCertificate:
    """New connections get it; those that are open go on with the one that they began with."""

    def __init__(
        self,
        context: ssl.SSLContext,
        cert: str,
        key: str,
    ) -> None:
        self._context = context
        self._cert = cert
        self._key = key
        self._stamps = FileStamps([Path(cert), Path(key)])

    def look(self) -> None:
        """What cannot be used, or does not fit together yet, changes nothing."""
        if not self._stamps.have_changed():
            return
        try:
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except OSError as error:  # ssl.SSLError is one
            LOG.error("the TLS certificate stays as it was: %s", error.strerror or error)
            return
        self._load(self._context)
        LOG.warning("the TLS certificate was read anew")

    def _load(self, context: ssl.SSLContext) -> None:
        """Nobody is asked for a password. Raises: OSError."""
        context.load_cert_chain(self._cert, self._key, password=lambda: "")
