"""TLS as the options say: what the API shows to its callers, and whom the delivery believes."""

from __future__ import annotations

import ssl
from pathlib import Path

from collector.handover import Options
from remora.errors import UserError
from remora.settings import Tls, Trust

__all__ = ["context_of", "tls_of", "trusting"]


def tls_of(options: Options) -> Tls | None:
    """Certificate and key of the API."""
    return Tls(Path(options.tls[0]), Path(options.tls[1])) if options.tls else None


def trusting(options: Options) -> ssl.SSLContext | bool:
    """Who may have signed the certificate of the collector that records are sent to. Raises UserError."""
    return context_of(Trust(*(Path(text) if text else None for text in options.trust)))


def context_of(trust: Trust) -> ssl.SSLContext | bool:
    """True for the system's authorities. Raises UserError when a file cannot be used."""
    if trust == Trust():
        return True
    if (trust.cert is None) != (trust.key is None):
        raise UserError("--forward-cert and --forward-key belong together: give both, or none")
    for option, path in (
        ("--forward-ca", trust.ca),
        ("--forward-cert", trust.cert),
        ("--forward-key", trust.key),
    ):
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            raise UserError(f"{option} {path} cannot be read: {error.strerror}") from None
    try:
        context = ssl.create_default_context(cafile=trust.ca)
    except (ssl.SSLError, ValueError):
        raise UserError(f"--forward-ca {trust.ca} holds no PEM certificate") from None
    if trust.cert is not None:
        try:
            context.load_cert_chain(trust.cert, trust.key, password=lambda: "")
        except (ssl.SSLError, ValueError, TypeError):
            what = f"--forward-cert {trust.cert} and --forward-key {trust.key}"
            raise UserError(f"{what} are not a PEM certificate and its key without a password") from None
    return context
