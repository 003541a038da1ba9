"""Whose packages are these? Asked in processes of their own, because the answer depends on sys.path."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

import remora
from remora.ownership import PARTS, check_owner

HOME = Path(remora.__file__).parents[1]


def start(*path, command=("check_owner()",)):
    code = "from remora.ownership import check_owner; " + "; ".join(command)
    return subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False,
        env={"PYTHONPATH": ":".join(str(folder) for folder in path)},
    )  # fmt: skip


def package(folder, name, text="# somebody's\n"):
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(text)


def installed_copy(folder):
    """The kernel's few files that the check needs, and parts, as a wheel would leave them in site-packages."""
    (folder / "remora").mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "ownership.py"):
        shutil.copy(HOME / "remora" / name, folder / "remora" / name)
    lines = []
    for part in PARTS:
        text = f"# Remora's {part}\n"
        package(folder, part, text)
        digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{part}/__init__.py,sha256={digest},{len(text)}\n")
    distribution(folder, "remora", lines)
    return folder


def distribution(folder, name, record):
    info = folder / f"{name}-0.1.11.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.11\n")
    (info / "RECORD").write_text("".join(record))


def test_our_own_parts_are_accepted():
    check_owner()
    assert start(HOME).returncode == 0


def test_no_part_is_imported_to_find_out():
    done = start(
        HOME, command=("import sys", "check_owner()", f"print([p for p in {PARTS} if p in sys.modules])")
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("part", PARTS)
def test_a_strangers_package_in_front_of_ours_is_named(tmp_path, part):
    package(tmp_path, part)
    distribution(tmp_path, "strangers-tools", [f"{part}/__init__.py,,\n"])
    done = start(tmp_path, HOME)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"`{part}` at {tmp_path / part}" in last
    assert "that of strangers-tools 0.1.11" in last
    assert "environment of its own" in last


def test_a_folder_that_nobody_installed_is_refused_too(tmp_path):
    package(tmp_path, "alerts")
    done = start(tmp_path, HOME)
    assert done.returncode == 1
    assert "is not Remora's own but a stranger's" in done.stderr


def test_what_was_installed_as_a_wheel_is_accepted(tmp_path):
    assert start(installed_copy(tmp_path / "site")).returncode == 0


def test_a_stranger_that_pip_merged_into_ours_is_named(tmp_path):
    site = installed_copy(tmp_path / "site")
    (site / "detectors" / "__init__.py").write_text("# somebody's\n")
    distribution(site, "detectors", ["detectors/__init__.py,,\n"])
    done = start(site)
    assert done.returncode == 1
    assert "that of detectors 0.1.11" in done.stderr.splitlines()[-1]


def test_a_part_that_is_gone_is_missing(tmp_path):
    site = installed_copy(tmp_path / "site")
    shutil.rmtree(site / "dashboards")
    done = subprocess.run(
        [sys.executable, "-P", "-S", "-c", "from remora.ownership import check_owner; check_owner()"],
        capture_output=True, text=True, timeout=60, check=False, env={"PYTHONPATH": str(site)},
    )  # fmt: skip
    assert "`dashboards` is missing: install Remora again" in done.stderr
