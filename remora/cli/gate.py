"""`remora gate`: says in CI whether the candidate is as good as it must be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remora.cli.calling import print_table
from remora.cli.options import Archive, Config, DatabaseUrl, require_extra
from remora.cli.reference import instant, opened
from remora.errors import RemoraError, UserError

if TYPE_CHECKING:
    from detectors.gate import Check, Contest, Outcome

__all__ = ["gate"]

_CODES = {"good": 0, "worse": 1, "not_enough_evidence": 2}
_WORDS = {
    "good": "good", "worse": "worse", "not_enough_evidence": "not enough evidence", "not_measured": "not measured",
}  # fmt: skip


def gate(
    model: Annotated[str, typer.Option("--model", envvar="REMORA_MODEL", help="The model's name.")],
    candidate: Annotated[str, typer.Option("--candidate", metavar="VERSION", help="The version to judge.")],
    database: DatabaseUrl,
    champion: Annotated[
        str | None,
        typer.Option(
            "--champion",
            metavar="VERSION",
            help="What it must be as good as; without, the version seen last beside it.",
        ),
    ] = None,
    candidate_model: Annotated[
        str | None,
        typer.Option(
            "--candidate-model",
            metavar="MODEL",
            help="The name a shadow or a backtest was recorded under: rows with the same id are pairs.",
        ),
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(
            "--pair", metavar="TAG", help="Rows whose tag TAG is equal are pairs, instead of by id."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Rows from then on; without, the candidate's first."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="And before then.")] = None,
    margin: Annotated[
        float,
        typer.Option(
            "--margin",
            min=0,
            max=1,
            help="How many more wrong answers per answer are allowed; of a regression, how much more error, as a share.",
        ),
    ] = 0.01,
    error_margin: Annotated[
        float, typer.Option("--error-margin", min=0, max=1, help="How many more failures per request.")
    ] = 0.005,
    latency_margin: Annotated[
        float,
        typer.Option(
            "--latency-margin", min=0, help="How much more latency at p95, as a share of the champion's."
        ),
    ] = 0.1,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.9999, help="Of each bound.")
    ] = 0.95,
    min_rows: Annotated[int, typer.Option("--min-rows", min=2, help="Fewer are not enough evidence.")] = 100,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the result there as JSON, too.")
    ] = None,
    archive: Archive = Path("remora-archive"),
    config: Config = None,
) -> None:
    """Say whether a candidate is at most a margin worse than the champion in quality, failures and latency.

    Exit code 0: it is as good as it must be. 1: it is worse. 2: there is not enough evidence, or a mistake.
    """
    try:
        from detectors.gate import Contest
    except ImportError as error:
        raise require_extra("gate", "server", error) from None
    contest = Contest(
        model, candidate, champion, candidate_model, pair,
        instant(start, "--from") if start else None, instant(end, "--to") if end else None,
        margin, error_margin, latency_margin, confidence, min_rows,
    )  # fmt: skip
    outcome = _judged(database, config, contest, archive)
    _show(outcome, contest)
    if out is not None:
        _write(out, outcome, contest)
    raise typer.Exit(_CODES[outcome.verdict])


def _judged(database: str, config: Path | None, contest: Contest, archive: Path) -> Outcome:
    """Whatever goes wrong is no verdict: exit code 1 says that the candidate is worse, and nothing else."""
    from detectors.gate import judge
    from remora.config import load

    if contest.start and contest.end and contest.start >= contest.end:
        raise UserError("--to must lie after --from")
    try:
        with opened(database) as connected:
            return judge(connected, load(config).model(contest.model), contest, archive)
    except RemoraError as error:
        raise UserError(str(error)) from None


def _show(outcome: Outcome, contest: Contest) -> None:
    print(
        f"{outcome.candidate} against {outcome.champion}, {outcome.start:%Y-%m-%d %H:%M} to {outcome.end:%Y-%m-%d %H:%M} UTC\n"
    )
    rows: list[tuple[str, ...]] = [
        (
            "CHECK",
            "CHAMPION",
            "CANDIDATE",
            "DIFFERENCE",
            f"{contest.confidence:.4g} BOUNDS",
            "MARGIN",
            "P",
            "ROWS",
            "METHOD",
            "VERDICT",
        )
    ]
    rows += [_line(check) for check in outcome.checks]
    print_table(rows, "")
    print()
    for check in outcome.checks:
        if check.verdict != "good":
            print(f"{check.name}: {check.reason}")
    print(f"verdict: {_WORDS[outcome.verdict]}")


def _line(check: Check) -> tuple[str, ...]:
    def shown(value: float | None, sign: str = "") -> str:
        if value is None or not math.isfinite(value):
            return "-" if value is None else "unknown"
        if check.unit == "ratio":
            return f"{value:{sign}.2%}".replace("%", " %")
        return f"{value:{sign},.1f} ms" if check.unit == "ms" else f"{value:{sign},.4g}"

    between = check.difference
    bounds = f"{shown(between.low, '+')} to {shown(between.high, '+')}" if between else "-"
    p_value = "-" if check.p_value is None else f"{check.p_value:.3g}"
    return (
        check.name, shown(check.champion), shown(check.candidate), shown(between.value, "+") if between else "-", bounds,
        shown(check.margin), p_value, f"{check.rows:,}", check.method, _WORDS[check.verdict],
    )  # fmt: skip


def _write(out: Path, outcome: Outcome, contest: Contest) -> None:
    document = {
        "verdict": outcome.verdict, "candidate": outcome.candidate, "champion": outcome.champion,
        "from": outcome.start.isoformat(), "to": outcome.end.isoformat(), "confidence": contest.confidence,
        "checks": [_as_json(check) for check in outcome.checks],
    }  # fmt: skip
    try:
        out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from None


def _as_json(check: Check) -> dict[str, Any]:
    between = check.difference
    return {
        "check": check.name, "unit": check.unit, "verdict": check.verdict, "reason": check.reason,
        "champion": check.champion, "candidate": check.candidate, "difference": between and between.value,
        "low": between and _finite(between.low), "high": between and _finite(between.high), "margin": check.margin,
        "p_value": check.p_value, "rows": check.rows, "method": check.method,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
