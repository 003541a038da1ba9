"""`actions.targets:` — what can be started, where it is, and what it needs to know. The calls are in `alerts.presets`."""

from __future__ import annotations

import string
from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from remora.config.base import Duration, Section

__all__ = ["NEEDS", "OWN_TARGETS", "Call", "Target"]

NEEDS: dict[str, tuple[str, ...]] = {
    "http": (),
    "github_dispatch": ("repository",),
    "github_workflow": ("repository", "workflow"),
    "gitlab": ("project",),
    "jenkins": ("job",),
    "airflow": ("dag",),
    "argo_submit": ("namespace", "template"),
    "argo_workflow_event": ("namespace", "discriminator"),
    "argo_event": ("endpoint",),
    "kubeflow": ("pipeline",),
    "sagemaker": ("pipeline",),
    "vertex": ("template",),
    "command": (),
}
"""What `with` must say, by kind."""

_MAY = {
    "github_dispatch": ("event_type",),
    "github_workflow": ("ref",),
    "gitlab": ("ref",),
    "kubeflow": ("version", "experiment"),
    "vertex": ("root",),
}
OWN_TARGETS = {"github_dispatch": "https://api.github.com", "github_workflow": "https://api.github.com"}
"""Kinds that know where they are."""

_SIGNED = ("http", "sagemaker", "vertex", "argo_event", "argo_workflow_event")
_Kind = Literal[
    "http", "github_dispatch", "github_workflow", "gitlab", "jenkins", "airflow", "argo_submit", "argo_workflow_event",
    "argo_event", "kubeflow", "sagemaker", "vertex", "command",
]  # fmt: skip


class Call(Section):
    """The call of a target of the kind `http`, in the words in which the built-in ones are written."""

    method: Literal["POST", "PUT", "PATCH"] = "POST"
    path: str = Field(default="", description="behind the url; {name} is filled in")
    headers: dict[str, str] = {}
    body: dict[str, object] | None = Field(
        default=None, description="JSON; {name} is filled in; without it, the whole message"
    )
    success: list[int] = Field(default=[200, 201, 202, 204], min_length=1)
    duplicate: list[int] = Field(default=[], description="answers that mean: it was started already")
    run_id: str | None = Field(default=None, description="where the run's id is in the answer, dotted")
    run_url: str | None = Field(default=None, description="where its address is")
    idempotent: bool = Field(
        default=False, description="the same call twice starts it once: try again when no answer came"
    )


class Target(Section):
    """Something that Remora may start. Secrets come inline, from a file or from the environment."""

    kind: _Kind
    url: SecretStr | None = None
    url_file: str | None = None
    url_env: str | None = None
    token: SecretStr | None = Field(default=None, description="sent as the target wants it")
    token_file: str | None = None
    token_env: str | None = None
    secret: SecretStr | None = Field(default=None, description="whsec_… : signs the call (Standard Webhooks)")
    secret_file: str | None = None
    secret_env: str | None = None
    user: str | None = Field(default=None, description="whose token it is (Jenkins)")
    with_: dict[str, str] = Field(
        default={}, alias="with", description="what the kind needs, such as dag or job"
    )
    parameters: dict[str, str] | None = Field(
        default=None, description="what the run is given, name by name; {name} is filled in"
    )
    call: Call | None = None
    command: list[str] = Field(default=[], description="the program, an absolute path, and its arguments")
    timeout: Duration = Field(default=timedelta(seconds=15), gt=timedelta(0), le=timedelta(minutes=1))

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for what in ("url", "token", "secret"):
            found = [
                name for name in (what, f"{what}_file", f"{what}_env") if getattr(self, name) is not None
            ]
            if len(found) > 1:
                msg = f"give one of {what}, {what}_file and {what}_env (found {', '.join(found)})"
                raise ValueError(msg)
            if what == "url" and not found and self.kind != "command" and self.kind not in OWN_TARGETS:
                msg = f"{self.kind} needs its address: give one of url, url_file and url_env"
                raise ValueError(msg)
            if what == "secret" and found and self.kind not in _SIGNED:
                msg = f"secret signs calls of {', '.join(_SIGNED)}: {self.kind} knows no signature, give it a token"
                raise ValueError(msg)
        self._check_with()
        self._check_command()
        if (self.call is not None) != (self.kind == "http"):
            msg = "call belongs to the kind http, and http needs it"
            raise ValueError(msg)
        return self

    def _check_with(self) -> None:
        needed, may = NEEDS[self.kind], _MAY.get(self.kind, ())
        missing = [name for name in needed if not self.with_.get(name)]
        if missing:
            msg = f"{self.kind} needs {', '.join(missing)}: with: {{{missing[0]}: …}}"
            raise ValueError(msg)
        unknown = [name for name in self.with_ if name not in (*needed, *may)] if self.kind != "http" else []
        if unknown:
            known = ", ".join((*needed, *may)) or "nothing"
            msg = f"{self.kind} knows no `{unknown[0]}`: with may hold {known}"
            raise ValueError(msg)
        for name, text in self.with_.items():
            if self.kind != "http" and set(text) - set(string.ascii_letters + string.digits + "-._~/:@%+ "):
                msg = f"with.{name} {text!r} does not belong into an address"
                raise ValueError(msg)

    def _check_command(self) -> None:
        if bool(self.command) != (self.kind == "command"):
            msg = "command belongs to the kind command, and command needs it"
            raise ValueError(msg)
        if self.command and not self.command[0].startswith("/"):
            msg = f"{self.command[0]!r} is not an absolute path: a program is named by where it is"
            raise ValueError(msg)
