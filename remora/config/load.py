"""Read remora.yaml, and report every mistake in it at once, with its line and what would be right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from remora.config.alerting import Group, Route, Rule
from remora.config.base import Interval, Name, Section
from remora.config.crosscheck import cross_check
from remora.config.maintenance import Maintenance
from remora.config.models import Model
from remora.config.plans import Actions, Incidents, Plan
from remora.config.reading import text_of, validated
from remora.config.receivers import Receiver
from remora.config.retention import Retention
from remora.config.slo import Slo
from remora.errors import ConfigError

Check = Callable[["Config"], Iterable[tuple[tuple[Any, ...], str]]]

__all__ = ["Check", "Config", "Schedule", "load", "parse"]


class Schedule(Section):
    """How often the server looks whether something is due."""

    tick: Interval = timedelta(seconds=1)
    clock: Literal["system", "replay"] = Field(
        default="system", description="replay: the clock stands where PUT /v1/clock sets it"
    )


class Delivery(Section):
    """How the collector writes to the database."""

    batch_rows: int = Field(default=5000, ge=1, le=100_000)
    interval: Interval = timedelta(seconds=1)
    pair_within: Interval = Field(
        default=timedelta(minutes=5),
        description="how long one side of a CloudEvents pair waits for the other",
    )
    max_age: Interval = Field(
        default=timedelta(days=7), description="what waited longer in the spool is dropped and counted"
    )


class Config(Section):
    """The whole file."""

    version: Literal[1] = 1
    models: dict[Name, Model] = {}
    schedule: Schedule = Schedule()
    delivery: Delivery = Delivery()
    retention: Retention = Retention()
    groups: list[Group] = []
    slos: list[Slo] = []
    receivers: dict[Name, Receiver] = {}
    routes: list[Route] = []
    maintenance: list[Maintenance] = []
    plans: list[Plan] = []
    actions: Actions = Actions()
    incidents: Incidents = Incidents()
    external_url: str = Field(
        default="http://127.0.0.1:8080", description="where people reach the pages; used in links"
    )

    @cached_property
    def rules(self) -> list[tuple[Group, Rule]]:
        """Every rule with its group: those of the file, and those that watch its objectives."""
        written = [(group, rule) for group in self.groups for rule in group.rules]
        for slo in self.slos:
            group = Group(name=f"slo {slo.name}", rules=[])
            written += [(group, rule) for rule in slo.rules(self.model(slo.model).windows.size)]
        return written

    def model(self, name: str) -> Model:
        """The settings of a model; one that the file does not name has the defaults."""
        found = self.models.get(name)
        return Model() if found is None else found  # making one costs more than everything else here


def load(path: Path | None, also: Check | None = None) -> Config:
    """Read a file; no file means every default. Raises `ConfigError` with every mistake.

    `also` looks at what the kernel cannot judge, such as templates: it gives paths and what is wrong there.
    """
    return Config() if path is None else parse(text_of(path), str(path), also)


def parse(text: str, source: str = "remora.yaml", also: Check | None = None) -> Config:
    """Validate the text of a file; raises `ConfigError` with every mistake."""
    config, lines = validated(Config, text, source)
    problems = cross_check(config, lines, also(config) if also else ())
    if problems:
        raise ConfigError(source, problems)
    return config
