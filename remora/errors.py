"""What can go wrong, as a tree.

RemoraError
├── UserError            a person can mend it: printed as one line, exit code 2
│   ├── ConfigError      remora.yaml; carries every problem with its line
│   └── SchemaError      the database is not at the revision this version needs
└── UnavailableError     something that usually answers does not: worth another try
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ConfigError", "Problem", "RemoraError", "SchemaError", "UnavailableError", "UserError"]


class RemoraError(Exception):
    """The root of Remora's own errors."""


class UserError(RemoraError):
    """A mistake that the person at the keyboard can mend; the text says how."""


class SchemaError(UserError):
    """The database's schema is not the one that this version needs."""


class UnavailableError(RemoraError):
    """A database, collector or receiver did not answer; the same call may work later."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a file: where it is and what would be right."""

    where: str
    line: int | None
    what: str

    def __str__(self) -> str:
        line = f"line {self.line}: " if self.line else ""
        return f"{line}{self.where}: {self.what}" if self.where else f"{line}{self.what}"


class ConfigError(UserError):
    """A configuration file with every mistake in it."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        count = f"{len(problems)} mistake{'s' if len(problems) != 1 else ''}"
        super().__init__(f"{source}: {count}: " + "; ".join(str(problem) for problem in problems))
