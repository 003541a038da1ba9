"""Whether `collector`, `detectors`, `alerts`, `dashboards` and `migrations` are Remora's own.

The names are plain: a stranger's package of the same name hides ours, or pip merges it into ours, without a word. So
every process looks once at its start, before it imports a part. Parts lie beside the kernel, in the source folder as
in site-packages; there, pip's RECORD also knows what their first file must contain. Nothing is imported to find out.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from importlib.machinery import PathFinder
from pathlib import Path

from remora.errors import UserError

__all__ = ["PARTS", "check_owner"]

PARTS = ("collector", "detectors", "alerts", "dashboards", "migrations")
_HOME = Path(__file__).resolve().parents[1]


def check_owner(home: Path = _HOME) -> None:
    """Raise UserError unless each part is the one that was installed in `home`, together with this kernel."""
    digests = _recorded(home)
    for part in PARTS:
        spec = PathFinder.find_spec(part)
        found = Path(spec.origin) if spec is not None and spec.origin is not None else None
        beside = found is not None and found.resolve() == home / part / "__init__.py"
        if found is None or not beside or (digests and digests.get(part) != _digest(found)):
            raise UserError(_complaint(part, found))


def _recorded(home: Path) -> dict[str, str]:
    """Digest of each part's first file as pip noted it; nothing in a source folder (PEP 376, PEP 427)."""
    record = next(home.glob("remora-*.dist-info/RECORD"), None)
    if record is None:
        return {}
    wanted = {f"{part}/__init__.py": part for part in PARTS}
    lines = (line.split(",") for line in record.read_text(encoding="utf-8").splitlines())
    return {wanted[line[0]]: line[1] for line in lines if line[0] in wanted}


def _digest(path: Path) -> str:
    """As RECORD writes it: urlsafe base64 without padding."""
    return "sha256=" + urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


def _complaint(part: str, found: Path | None) -> str:
    if found is None:
        return f"Remora's package `{part}` is missing: install Remora again, in an environment of its own"
    return (
        f"the package `{part}` at {found.parent} is not Remora's own but {_owner(part)}: "
        "install Remora in an environment of its own"
    )


def _owner(part: str) -> str:
    """Which other distribution brings files under this name; slow, and only asked when something is wrong."""
    from importlib.metadata import distributions  # noqa: PLC0415 - 20 ms that a good start does not pay

    for other in distributions():
        name = other.metadata["Name"]
        if name.lower() != "remora" and any(path.parts[0] == part for path in other.files or ()):
            return f"that of {name} {other.version}"
    return "a stranger's"
