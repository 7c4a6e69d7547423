"""A certificate that changes while it is served."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from llmops_cli.serve.door.certificate import ServedCertificate


def make(folder: Path, name: str) -> tuple[Path, Path]:
    cert = folder / f"{name}.pem"
    key = folder / f"{name}.key"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2"]
    subprocess.run([*argv, "-subj", f"/CN={name}"], check=True, capture_output=True)
    return cert, key


def shown(context: ssl.SSLContext) -> bytes:
    """The certificate that a new client is shown, in memory."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    to_server = ssl.MemoryBIO()
    to_client = ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = client.getpeercert(binary_form=True)
    assert found is not None
    return found


def der(cert: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(cert.read_text())


@pytest.fixture
def served(tmp_path: Path) -> tuple[ServedCertificate, ssl.SSLContext, Path, Path]:
    cert, key = make(tmp_path, "served")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return ServedCertificate(context, str(cert), str(key)), context, cert, key


def test_a_new_pair_is_served_once_both_are_there(
    served: tuple[ServedCertificate, ssl.SSLContext, Path, Path], tmp_path: Path
) -> None:
    certificate, context, cert, key = served
    first = der(cert)
    new_cert, new_key = make(tmp_path, "new")
    new_cert.replace(cert)
    certificate.look()
    assert shown(context) == first, "its key is not there yet"
    new_key.replace(key)
    certificate.look()
    assert shown(context) == der(cert) != first


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_what_cannot_be_used_changes_nothing(
    served: tuple[ServedCertificate, ssl.SSLContext, Path, Path], content: str | None
) -> None:
    certificate, context, cert, _ = served
    first = der(cert)
    cert.unlink()
    if content is not None:
        cert.write_text(content)
    certificate.look()
    assert shown(context) == first
