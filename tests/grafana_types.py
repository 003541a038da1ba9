"""Whether the dashboards fit the types of Grafana's own `@grafana/schema`, of the first Grafana meant and of later ones.

    python tests/grafana_types.py

Needs node and npm, which nothing else here does: run it by hand where `dashboards/grafana/` or its SDK has changed. Takes half
a minute, most of it for the download. What the schema leaves open (the queries of a data source) it cannot tell.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BOARDS = sorted((Path(__file__).parents[1] / "dashboards" / "grafana" / "dashboards").glob("*.json"))
RELEASES = ("11.0.0", "11.6.0", "12.1.0", "13.2.3")
# An enumeration of TypeScript takes none of its own values out of JSON; `Plain` is the same type for those.
HEAD = """import type {Dashboard} from '@grafana/schema';
type Plain<T> = unknown extends T ? T : T extends string ? `${T}` : T extends number ? number
  : T extends (infer U)[] ? Plain<U>[] : T extends object ? {[K in keyof T]?: Plain<T[K]>} : T;
"""
FLAGS = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
    "--target",
    "es2022",
]


def main() -> int:
    wrong = 0
    for release in RELEASES:
        with tempfile.TemporaryDirectory(prefix="remora-grafana-") as name:
            found = mistakes(Path(name), release)
        print(f"Grafana {release}: {found or 'every dashboard fits'}")  # noqa: T201  # run by hand
        wrong += bool(found)
    return wrong


def mistakes(folder: Path, release: str) -> str:
    """What TypeScript says of all dashboards, as values of this release's types."""
    packages = [f"@grafana/schema@{release}", "typescript@5.9.3"]
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *packages],
        cwd=folder,
        check=True,
    )
    lines = [HEAD]
    for number, path in enumerate(BOARDS):
        board = json.loads(path.read_text())
        for mark in board["annotations"].get("list", []):
            del mark[
                "target"
            ]  # the schema knows those of Grafana's own tags alone, and says that it should not
        lines.append(f"export const board{number}: Plain<Dashboard> = {json.dumps(board, indent=1)};")
        panels = [panel for panel in board["panels"] if panel["type"] != "row"]
        lines += [
            line for panel in panels for line in _of_its_kind(folder, f"panel{number}_{panel['id']}", panel)
        ]
    (folder / "boards.ts").write_text("\n".join(lines))
    done = subprocess.run([folder / "node_modules" / ".bin" / "tsc", *FLAGS, "boards.ts"], cwd=folder, capture_output=True,
                          text=True, check=False)  # fmt: skip
    return done.stdout + done.stderr


def _of_its_kind(folder: Path, name: str, panel: dict[str, Any]) -> list[str]:
    """What a panel's kind adds: its options, and what it keeps for each field."""
    schema = folder / "node_modules" / "@grafana" / "schema" / "dist"
    kind = panel["type"].replace("-", "")
    declared = next(
        path for path in schema.rglob("*.d.ts") if f"/composable/{kind}/panelcfg/x/" in path.as_posix()
    )
    module = declared.relative_to(folder).as_posix().removesuffix(".d.ts")
    options, custom = panel.get("options", {}), panel["fieldConfig"]["defaults"].get("custom", {})
    made = [f"export const {name}: Plain<import('./{module}').Options> = {json.dumps(options)};"]
    if custom:
        made.append(
            f"export const {name}_field: Plain<import('./{module}').FieldConfig> = {json.dumps(custom)};"
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
