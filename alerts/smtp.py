"""Hand a mail to its server: the address is checked where it leads, a password travels inside TLS alone."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from collections.abc import Callable

from alerts.receivers.base import Answer, Mail
from alerts.transport import checked_addresses

__all__ = ["deliver"]


def deliver(mail: Mail, *, timeout: float, tls: ssl.SSLContext) -> Answer:
    """The server's last word as an answer; raises OSError where there is no server. `timeout` is in seconds.

    A recipient that is refused does not keep the mail from the others: then the mail counts as taken.
    """
    deadline = time.monotonic() + timeout
    session = _opened(mail, deadline, tls)
    try:
        if mail.tls == "starttls":
            session.starttls(context=tls)
        if mail.password is not None:
            session.login(mail.username, mail.password.get_secret_value())
        refused = session.sendmail(_bare(mail.sender), [_bare(one) for one in mail.recipients], mail.message)
    except smtplib.SMTPResponseException as error:
        return Answer(error.smtp_code, None, _bytes(error.smtp_error))
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        return Answer(min(codes), None, b"every recipient was refused")
    except smtplib.SMTPNotSupportedError as error:
        return Answer(
            550, None, str(error).encode()
        )  # no STARTTLS or no login there: it will not come by itself
    except smtplib.SMTPException as error:
        raise OSError(str(error)) from error
    finally:
        session.close()
    del refused
    return Answer(250, None, mail.thread.encode())


def _opened(mail: Mail, deadline: float, tls: ssl.SSLContext) -> smtplib.SMTP:
    def left() -> float:
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the mail server took too long")
        return seconds

    session = (
        _GuardedTls(left, tls) if mail.tls == "tls" else _Guarded(left)
    )  # connects only when it is told where
    try:
        code, text = session.connect(mail.host, mail.port)
    except smtplib.SMTPException as error:
        raise OSError(str(error)) from error
    if code != 220:
        session.close()
        raise OSError(f"the mail server greets with {code} {_bytes(text).decode('utf-8', 'replace')}")
    return session


def _open_socket(host: str, port: int, left: Callable[[], float]) -> socket.socket:
    addresses = checked_addresses(host, port)
    for index, address in enumerate(addresses):
        try:
            return socket.create_connection((address, port), min(5.0, left()))
        except OSError:
            if index == len(addresses) - 1:
                raise
    raise OSError("the name has no address")


class _Guarded(smtplib.SMTP):
    """Connects to checked addresses only; every wait ends at one instant."""

    def __init__(self, left: Callable[[], float]) -> None:
        self._left = left
        super().__init__()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002  # smtplib's seam
        self._host = host
        made = _open_socket(host, port, self._left)
        made.settimeout(self._left())
        return made

    def getreply(self) -> tuple[int, bytes]:
        """Before each wait for an answer, what is left of the time becomes the socket's patience."""
        if self.sock is not None:
            self.sock.settimeout(self._left())
        return super().getreply()


class _GuardedTls(_Guarded):
    """The same, with TLS from the first byte."""

    def __init__(self, left: Callable[[], float], tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__(left)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = super()._get_socket(host, port, timeout)
        return self._tls.wrap_socket(made, server_hostname=host)


def _bare(address: str) -> str:
    """`Remora <remora@example.com>` is `remora@example.com` on the envelope."""
    return address.rpartition("<")[2].rstrip("> ") if "<" in address else address


def _bytes(text: object) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()
