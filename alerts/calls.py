"""From a target and a message to the HTTP call that starts it, and from the answer to what became of it. No I/O."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from alerts.presets import PRESETS, Preset
from alerts.receivers.base import Request
from alerts.signing import sign
from remora.config.targets import Target

__all__ = ["Credentials", "Meaning", "Run", "Startable", "build", "meaning", "preset_of", "run_of", "words"]

_PLACE = re.compile(r"\{(\w+)\}")
_SLASHES = {"github_dispatch", "github_workflow", "argo_event", "http"}
_DEFAULTS = {"ref": "main", "event_type": "remora", "version": "", "experiment": "", "root": ""}


@dataclass(frozen=True)
class Credentials:
    """Where a target is and who calls, read from files and environment; nothing of it prints."""

    url: SecretStr
    token: SecretStr | None = None
    secret: SecretStr | None = None

    def secrets(self) -> list[str]:
        """Every text that must not appear anywhere."""
        return [one.get_secret_value() for one in (self.url, self.token, self.secret) if one is not None]


class Meaning(StrEnum):
    """What an answer says of the update."""

    STARTED = "started"
    REFUSED = "refused"  # it was not started and the same call would be refused again
    LATER = "later"  # it was not started, and may be asked for again
    UNKNOWN = "unknown"  # it may have been started or not


@dataclass(frozen=True)
class Run:
    """What the target calls the run, and where people look at it."""

    id: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Startable:
    """Everything that is known of something that can be started."""

    kind: str
    preset: Preset
    credentials: Credentials
    timeout: timedelta
    given: Mapping[str, str] = field(default_factory=dict)  # `with`
    parameters: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    command: Sequence[str] = ()


def preset_of(target: Target) -> Preset:
    """The call of the target's kind; of `http` what the configuration says."""
    if target.call is None:
        return PRESETS[target.kind]
    call = target.call
    return Preset(
        path=call.path,
        method=call.method,
        headers=call.headers,
        body="message" if call.body is None else call.body,
        success=tuple(call.success),
        duplicate=tuple(call.duplicate),
        idempotent=call.idempotent,
        run_id=call.run_id,
        run_url=call.run_url,
    )


def words(message: Mapping[str, Any]) -> dict[str, str]:
    """The texts that a call may name, out of the message's data."""
    data, training = message["data"], message["data"].get("training", {})
    identity = str(data["action_id"])
    return {
        "action_id": identity,
        "action_id_lower": identity.lower().replace("_", "-"),
        "action_id_short": identity[-20:],
        "model": str(data["model"]),
        "reason": str(data["reason"]),
        "alert": str(data.get("alert", "")),
        "train_from": str(training.get("from", "")),
        "train_to": str(training.get("to", "")),
        "train_data": " ".join(training.get("archive", ())),
        "callback_url": str(data.get("callback", {}).get("url", "")),
        "callback_token": str(data.get("callback", {}).get("token", "")),
        "message_json": json.dumps(data, ensure_ascii=False, separators=(",", ":")),
    }


def build(target: Startable, message: bytes, *, message_id: str, timestamp: int) -> Request:
    """The call, ready to be made. `message` is the frozen `action.requested`; `timestamp` in unix seconds of the attempt."""
    preset, credentials = target.preset, target.credentials
    known = {**_DEFAULTS, **words(json.loads(message)), **target.given}
    url = credentials.url.get_secret_value()
    body, kind = _body(target, known, message)
    headers = {"content-type": kind, "user-agent": "remora", **_filled(preset.headers, known)}
    headers |= {"webhook-id": message_id, "webhook-timestamp": str(timestamp)} | _auth(target)
    if credentials.secret is not None:
        secret = credentials.secret.get_secret_value()
        headers["webhook-signature"] = sign(secret, message_id, timestamp, body)
    plain = {name: _header(text) for name, text in headers.items()}
    whole = url.rstrip("/") + _path(target, known) if preset.path else url
    return Request(preset.method, SecretStr(whole), plain, body)


def meaning(preset: Preset, status: int) -> Meaning:
    """What a status says; where the target may have begun before it failed, only an idempotent one is asked again."""
    if status in preset.success or status in preset.duplicate or (not preset.success and 200 <= status < 300):
        return Meaning.STARTED
    if status in {408, 425, 429, 503}:
        return Meaning.LATER
    if status >= 500:
        return Meaning.LATER if preset.idempotent else Meaning.UNKNOWN
    return Meaning.UNKNOWN if 200 <= status < 300 and not preset.idempotent else Meaning.REFUSED


def run_of(target: Startable, message: bytes, headers: Mapping[str, str], excerpt: bytes) -> Run:
    """The run's id and address out of an answer; what is not there, or is no text, is left out."""
    preset, url = target.preset, target.credentials.url.get_secret_value()
    try:
        answer = json.loads(excerpt) if excerpt.strip() else {}
    except ValueError:
        answer = {}
    identity = _found(preset.run_id, answer, headers)
    known = {**words(json.loads(message)), **target.given, "url": url.rstrip("/"), "run_id": identity or ""}
    if preset.run_url and "{" in preset.run_url:
        address = None if "{run_id}" in preset.run_url and not identity else _fill(preset.run_url, known)
    else:
        address = _found(preset.run_url, answer, headers)
    return Run(identity, address if address and address.startswith(("https://", "http://")) else None)


def _found(path: str | None, answer: Any, headers: Mapping[str, str]) -> str | None:
    if path is None:
        return None
    if path.startswith("header:"):
        return headers.get(path.removeprefix("header:"))
    for name in path.split("."):
        answer = answer.get(name) if isinstance(answer, dict) else None
    return str(answer)[:2000] if isinstance(answer, (str, int)) and not isinstance(answer, bool) else None


def _path(target: Startable, known: dict[str, str]) -> str:
    """Each word is quoted; slashes stay where the configuration names something of several parts (`owner/name`)."""
    safe = "/" if target.kind in _SLASHES else ""
    quoted = {name: quote(text, safe=safe if name in target.given else "") for name, text in known.items()}
    experiment = known.get("experiment")
    quoted["experiment_query"] = f"?{urlencode({'experiment_id': experiment})}" if experiment else ""
    if target.kind == "jenkins":
        quoted["job"] = "/job/".join(quote(part, safe="") for part in known["job"].split("/"))
    return _fill(target.preset.path, quoted)


def _body(target: Startable, known: dict[str, str], message: bytes) -> tuple[bytes, str]:
    preset, parameters = target.preset, _filled(target.parameters, known)
    if preset.body == "message":
        return message, "application/json"
    if preset.body == "form":
        return urlencode(parameters).encode(), "application/x-www-form-urlencoded"
    token = target.credentials.token
    whole = {"message": json.loads(message)["data"], "parameters": _shaped(preset, parameters)}
    made = _made(preset.body, {**known, "token": token.get_secret_value() if token else ""}, whole)
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode(), "application/json"


def _shaped(preset: Preset, parameters: dict[str, str]) -> Any:
    if preset.shape == "pairs":
        return [f"{name}={text}" for name, text in parameters.items()]
    if preset.shape == "named":
        return [{"Name": name, "Value": text} for name, text in parameters.items() if text]
    return parameters


def _made(node: Any, known: Mapping[str, str], whole: Mapping[str, Any]) -> Any:
    """The body with everything filled in. What was not given leaves no key behind: targets refuse an empty id."""
    if isinstance(node, Mapping):
        made = {name: _made(inner, known, whole) for name, inner in node.items()}
        return {name: inner for name, inner in made.items() if inner != ""}
    if isinstance(node, list):
        return [_made(inner, known, whole) for inner in node]
    if isinstance(node, str):
        return whole[node[1:-1]] if node in {f"{{{name}}}" for name in whole} else _fill(node, known)
    return node


def _fill(text: str, known: Mapping[str, str]) -> str:
    """Only names that are known are replaced; what a value holds is never read again."""
    return _PLACE.sub(lambda match: known.get(match[1], match[0]), text)


def _filled(texts: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    return {name: _fill(text, known) for name, text in texts.items()}


def _auth(target: Startable) -> dict[str, str]:
    if target.credentials.token is None or target.preset.auth == "none":
        return {}
    token = target.credentials.token.get_secret_value()
    if target.preset.auth == "basic":
        return {"authorization": "Basic " + base64.b64encode(f"{target.user}:{token}".encode()).decode()}
    return {"authorization": f"Bearer {token}"}


def _header(text: str) -> str:
    """A header is one line of Latin-1: every other character becomes a question mark."""
    return "".join(character if 31 < ord(character) < 256 else "?" for character in text)
