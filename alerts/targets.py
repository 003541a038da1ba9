"""What can be started, with its secrets: the targets of the configuration, and its webhooks, which are the generic one."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import SecretStr

from alerts import secrets, sources
from alerts.calls import Credentials, Startable, preset_of
from alerts.presets import PRESETS, Preset
from alerts.signing import check_secret
from remora.config import Config
from remora.config.targets import OWN_TARGETS, Target
from remora.errors import UserError

__all__ = ["startables"]


def startables(config: Config, environment: Mapping[str, str] | None = None) -> dict[str, Startable]:
    """Everything that a plan may start; raises `UserError` that names the target and the file or variable."""
    known = os.environ if environment is None else environment
    webhooks = {name for name, one in config.receivers.items() if one.kind == "webhook"}
    found = {}
    for name, where in secrets.resolve(config, known).items():
        if name in webhooks:
            credentials = Credentials(where.url, secret=where.secret)
            timeout = config.receivers[name].timeout
            found[name] = Startable("webhook", PRESETS["webhook"], credentials, timeout)
    return found | {name: _startable(name, target, known) for name, target in config.actions.targets.items()}


def _startable(name: str, target: Target, environment: Mapping[str, str]) -> Startable:
    what = f"target {name}"
    known = {key: sources.read(what, target, key, environment) for key in ("url", "token", "secret")}
    if target.kind == "command":
        nowhere = Credentials(SecretStr(""))
        return Startable("command", Preset(""), nowhere, target.timeout, command=tuple(target.command))
    url = known["url"] or OWN_TARGETS.get(target.kind, "")
    if not sources.is_http(url):
        raise UserError(f"{what}: its url is not an http or https URL without a password in it")
    wrong = check_secret(known["secret"]) if known["secret"] is not None else None
    if wrong:
        raise UserError(f"{what}: its secret {wrong}")
    preset = preset_of(target)
    hidden = {key: SecretStr(text) for key, text in known.items() if text is not None and key != "url"}
    return Startable(
        kind=target.kind,
        preset=preset,
        credentials=Credentials(SecretStr(url), **hidden),
        timeout=target.timeout,
        given=target.with_,
        parameters=preset.parameters if target.parameters is None else target.parameters,
        user=target.user or "",
    )
