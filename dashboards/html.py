"""Templates, and the headers under which a page may do nothing but show itself."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from dashboards import words
from remora import __version__

__all__ = ["FOLDER", "PAGE_POLICY", "REPORT_POLICY", "render"]

FOLDER = Path(__file__).parent

# Plotly writes style elements; everything else comes from this server, and scripts only from files.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Evidently's file carries its scripts inside: it runs in a sandbox of no origin that can reach nothing.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= words.FILTERS | {"chart_json": chart_json}
    environment.globals |= {
        "go": go,
        "link": words.link,
        "since": words.since,
        "window": words.window,
        "release": __version__,
    }
    return environment


@pass_context
def go(context: Context, *parts: str, **query: str) -> str:
    """The address of a page, with the time that is looked at and this query; an empty value leaves its name out."""
    wanted = {**(context.get("carried") or {}), **query}
    if query.keys() & {"from", "to"}:
        wanted.pop("range", None)
    return words.link(*parts, query=urlencode({name: value for name, value in wanted.items() if value}))


def chart_json(value: Any) -> Markup:
    """JSON for a script element of a data type: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for sign, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(sign, code)
    return Markup(text)  # noqa: S704 - escaped above


def render(template: str, *, status: int = 200, policy: str = PAGE_POLICY, **context: Any) -> HTMLResponse:
    """A page of this template."""
    text = _environment().get_template(template).render(**context)
    return HTMLResponse(text, status, headers=_HEADERS | {"Content-Security-Policy": policy})
