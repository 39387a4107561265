"""The certificate and the key of the server: found fit before anything listens."""

from __future__ import annotations

import ssl
from pathlib import Path

from dispatch_http.settings import HttpSettings, SettingsError

_PKCS8 = b"-----BEGIN PRIVATE KEY-----"


def check_server(settings: HttpSettings) -> None:
    """Raises SettingsError if the chosen server cannot do what the settings ask of it, or is not installed."""
    asked_tls = settings.tls_cert is not None or settings.tls_key is not None
    if settings.server == "waitress" and asked_tls:
        raise SettingsError(
            "waitress speaks no TLS: add --server granian (pip install 'dispatch-http[granian]'), "
            "or let a proxy in front of it end TLS"
        )
    if settings.tls_cert is None or settings.tls_key is None:
        if asked_tls:
            raise SettingsError("TLS needs both: --tls-cert and --tls-key")
        return
    _check_pair(Path(settings.tls_cert), Path(settings.tls_key))


def _check_pair(certificate: Path, key: Path) -> None:
    """Python's own ssl reads both files as granian will, and says more about what is wrong with them."""
    try:
        certificate.read_bytes()
        text = key.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {error.filename}: {error.strerror}") from None
    if _PKCS8 not in text:
        raise SettingsError(
            f"{key} is not a private key in PKCS#8 without a password; "
            f"convert it: openssl pkcs8 -topk8 -nocrypt -in {key} -out {key}.pkcs8"
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise SettingsError(
            f"{certificate} and {key} are not a certificate and its key: {error.reason or error}"
        ) from None
