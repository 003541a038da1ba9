"""`receivers:` — who can be told or started, one section per kind.

Every secret can come inline, from a file or from the environment: `url`, `url_file`, `url_env`. What a kind needs is
checked here; files and variables are read when the server starts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from remora.config.base import Duration, Interval, Name, Section

__all__ = [
    "Alertmanager", "Apprise", "Email", "Http", "PagerDuty", "Receiver", "ReceiverBase", "Slack", "Teams", "Webhook",
]  # fmt: skip


def _one_line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        msg = "must be one line of text"
        raise ValueError(msg)
    return text


Line = Annotated[str, AfterValidator(_one_line)]


class ReceiverBase(Section):
    """What every receiver has."""

    send_resolved: bool = True
    timeout: Duration = Field(default=timedelta(seconds=15), gt=timedelta(0), le=timedelta(minutes=1))
    fallback: Name | None = Field(
        default=None, description="another receiver, told while this one does not answer"
    )

    needed: ClassVar[tuple[str, ...]] = ()  # secrets without which there is nothing to call
    optional: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        for key in (*self.needed, *self.optional):
            names = (key, f"{key}_file", f"{key}_env")
            found = [name for name in names if getattr(self, name) is not None]
            if len(found) > 1 or (key in self.needed and not found):
                amount = "exactly one" if key in self.needed else "one"
                msg = f"give {amount} of {names[0]}, {names[1]} and {names[2]} (found {', '.join(found) or 'none'})"
                raise ValueError(msg)
        return self


class Http(ReceiverBase):
    """A receiver that is called over HTTP."""

    ca_file: str | None = Field(
        default=None, description="certificates to believe instead of the machine's, in PEM"
    )


class Webhook(Http):
    """Any program: one signed POST."""

    kind: Literal["webhook"]
    url: SecretStr | None = None
    url_file: str | None = None
    url_env: str | None = None
    secret: SecretStr | None = Field(default=None, description="whsec_… : signs the call (Standard Webhooks)")
    secret_file: str | None = None
    secret_env: str | None = None
    body: Literal["remora.v1", "alertmanager.v4"] = "remora.v1"

    needed: ClassVar = ("url",)
    optional: ClassVar = ("secret",)


class Slack(Http):
    """A channel: by an incoming webhook, or by a bot's token, which can also change what it said."""

    kind: Literal["slack"]
    url: SecretStr | None = None
    url_file: str | None = None
    url_env: str | None = None
    token: SecretStr | None = Field(default=None, description="xoxb-… : a bot that may chat:write")
    token_file: str | None = None
    token_env: str | None = None
    channel: Line | None = Field(default=None, description="where the bot speaks: the channel's id")

    optional: ClassVar = ("url", "token")

    @model_validator(mode="after")
    def _webhook_or_bot(self) -> Self:
        has_url = any((self.url, self.url_file, self.url_env))
        has_token = any((self.token, self.token_file, self.token_env))
        if has_url == has_token:
            found = "both" if has_url else "none"
            msg = f"give either a url (incoming webhook) or a token (bot) (found {found}), each also as _file or _env"
            raise ValueError(msg)
        if has_token != (self.channel is not None):
            msg = (
                "a token needs the channel to speak in"
                if has_token
                else "channel goes with a token: an incoming webhook has one channel"
            )
            raise ValueError(msg)
        return self


class Teams(Http):
    """A channel of Microsoft Teams, by the URL of a workflow that takes Adaptive Cards."""

    kind: Literal["teams"]
    url: SecretStr | None = None
    url_file: str | None = None
    url_env: str | None = None

    needed: ClassVar = ("url",)


class PagerDuty(Http):
    """A service of PagerDuty, by its Events API v2."""

    kind: Literal["pagerduty"]
    routing_key: SecretStr | None = None
    routing_key_file: str | None = None
    routing_key_env: str | None = None
    api: str = Field(
        default="https://events.pagerduty.com", description="https://events.eu.pagerduty.com in Europe"
    )

    needed: ClassVar = ("routing_key",)


class Alertmanager(Http):
    """An Alertmanager, which then groups, silences and tells by its own rules."""

    kind: Literal["alertmanager"]
    url: SecretStr | None = Field(default=None, description="its root, such as http://alertmanager:9093")
    url_file: str | None = None
    url_env: str | None = None
    token: SecretStr | None = Field(default=None, description="sent as `authorization: Bearer`")
    token_file: str | None = None
    token_env: str | None = None
    interval: Interval = Field(
        default=timedelta(minutes=1), description="how often it is told again of what still fires"
    )

    needed: ClassVar = ("url",)
    optional: ClassVar = ("token",)


class Email(ReceiverBase):
    """People, by a mail server."""

    kind: Literal["email"]
    host: Line
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str | None = None
    username: Line | None = None
    password: SecretStr | None = None
    password_file: str | None = None
    password_env: str | None = None
    from_: Line = Field(alias="from")
    to: list[Line] = Field(min_length=1, max_length=50)

    optional: ClassVar = ("password",)

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        has_password = any((self.password, self.password_file, self.password_env))
        if has_password != (self.username is not None):
            msg = "username and password go together"
            raise ValueError(msg)
        if has_password and self.tls == "none":
            msg = "a password is never sent without TLS: set tls to starttls or tls"
            raise ValueError(msg)
        for address in (self.from_, *self.to):
            if "@" not in address or address.strip() != address:
                msg = f"{address!r} is not a mail address"
                raise ValueError(msg)
        return self


class Apprise(ReceiverBase):
    """Any of apprise's services, as plain text and as well as it can: needs the extra remora[apprise]."""

    kind: Literal["apprise"]
    url: SecretStr | None = Field(default=None, description="one of apprise's URLs")
    url_file: str | None = None
    url_env: str | None = None

    needed: ClassVar = ("url",)


Receiver = Annotated[
    Webhook | Slack | Teams | PagerDuty | Alertmanager | Email | Apprise, Field(discriminator="kind")
]
