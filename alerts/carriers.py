"""How a request travels: by HTTP, by SMTP or through apprise. What went wrong on the way is one kind of error."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import httpcore

from alerts import smtp, thirdparty, transport
from alerts.errors import BlockedAddressError
from alerts.receivers import RECEIVERS
from alerts.receivers.base import Answer, Mail, Notice, Outgoing, Target, Verdict, redact
from remora.config import Config
from remora.config.receivers import Apprise
from remora.errors import UserError

__all__ = ["Ended", "attempt", "check_extras", "contexts"]


def contexts(config: Config) -> dict[str, ssl.SSLContext]:
    """What each receiver's certificate is checked against; raises `UserError` for a file that cannot be read."""
    usual = ssl.create_default_context()
    return {
        name: _context(name, getattr(receiver, "ca_file", None), usual)
        for name, receiver in config.receivers.items()
    }


def _context(name: str, file: str | None, usual: ssl.SSLContext) -> ssl.SSLContext:
    if file is None:
        return usual
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or "no certificates in PEM"
        raise UserError(f"receiver {name}: ca_file {file} cannot be read: {reason}") from None


@dataclass(frozen=True)
class Ended:
    """An attempt: what it means, the answer where there was one, and what is to be said of a failure."""

    verdict: Verdict
    answer: Answer | None = None
    error: str | None = None
    reference: str = ""  # what the receiver calls the message

    @property
    def status(self) -> int | None:
        return self.answer.status if self.answer else None


def attempt(outgoing: Outgoing, target: Target, *, kind: str, tls: ssl.SSLContext) -> Ended:
    """One attempt; whatever goes wrong outside of Remora is in what it returns."""
    try:
        answer = _carry(outgoing, target, kind, target.settings.timeout.total_seconds(), tls)
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
        text = redact(f"{type(error).__name__}: {error}".strip(": "), target.secrets())
        return Ended(Verdict.RETRY, error=text[:500])
    except BlockedAddressError as error:
        return Ended(Verdict.RETRY, error=str(error))
    verdict = RECEIVERS[kind].verdict(answer)
    if verdict is Verdict.DELIVERED:
        return Ended(verdict, answer, reference=RECEIVERS[kind].reference(answer))
    if 300 <= answer.status < 400 and kind != "email":
        return Ended(
            verdict, answer, "it redirects, which is not followed: configure the address it leads to"
        )
    return Ended(verdict, answer, f"status {answer.status}")


def _carry(outgoing: Outgoing, target: Target, kind: str, timeout: float, tls: ssl.SSLContext) -> Answer:
    request = RECEIVERS[kind].request(outgoing, target)
    match request:
        case Mail():
            return smtp.deliver(request, timeout=timeout, tls=tls)
        case Notice():
            return thirdparty.notify(request, timeout=timeout)
        case _:
            return transport.call(request, timeout=timeout, tls=tls)


def check_extras(config: Config) -> None:
    """Raises `UserError` where a receiver needs an extra that is not installed."""
    if any(isinstance(receiver, Apprise) for receiver in config.receivers.values()):
        thirdparty.require()
