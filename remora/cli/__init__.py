"""The command line: the one place that puts the parts together.

A mistake of the user's ends in one line and exit code 2, a service that does not answer in one line and exit
code 1; a traceback is a bug of ours.
"""

from __future__ import annotations

import sys

import typer

from remora.cli import (
    action,
    aside,
    backtest,
    changes,
    check,
    delivery,
    demo,
    gate,
    imports,
    incident,
    migrate,
    reference,
    report,
    rules,
    schema,
    server,
    sidecar,
    silence,
    token,
    version,
)
from remora.errors import RemoraError, UserError

__all__ = ["app", "main"]

app = typer.Typer(
    name="remora",
    help="Remora rides along with a served model: it records predictions, finds drift and decay, and starts the repair.",
    epilog="Every option can also be given as REMORA_…: --database is REMORA_DATABASE.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("sidecar")(sidecar.sidecar)
app.command("server")(server.server)
app.command("demo")(demo.demo)
app.command("import")(imports.import_files)
app.command("check")(check.check)
app.command("schema")(schema.schema)
app.command("backtest")(backtest.backtest)
app.command("changes")(changes.changes)
app.command("gate")(gate.gate)
app.command("migrate")(migrate.migrate)
app.add_typer(reference.app, name="reference")
app.add_typer(report.app, name="report")
app.add_typer(incident.app, name="incident")
app.add_typer(action.app, name="action")
app.add_typer(rules.app, name="rules")
app.add_typer(silence.app, name="silence")
app.add_typer(delivery.app, name="delivery")
app.add_typer(aside.app, name="aside")
app.add_typer(token.app, name="token")
app.command("version")(version.version)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit as the module says."""
    try:
        code = app(args=arguments, prog_name="remora", standalone_mode=False)
    except typer.TyperException as error:
        code = _usage(error.format_message())
    except UserError as error:
        code = _fail(str(error), 2)
    except RemoraError as error:
        code = _fail(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _usage(message: str) -> int:
    if message.startswith("Usage:"):  # a command that only groups others, called without one
        print(message)
        return 0
    return _fail(f"{message.rstrip('.')} (see --help)".replace("\n", " "), 2)


def _fail(message: str, code: int) -> int:
    print(f"remora: {message}", file=sys.stderr)
    return code
