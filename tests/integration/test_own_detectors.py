"""A detector that somebody else's package registers: found by its name, judged with its parameters, tested by our kit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from detectors import own
from detectors.base import ALARM, OK, Result
from detectors.testing import contract
from remora.config import parse
from remora.errors import ConfigError, UserError

ROOT = Path(__file__).parents[2]
TAILS = '''
from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, Result, unknown


def tail_share(reference, current, parameters):
    """The share of rows beyond so many standard deviations of the reference."""
    summary = current.of_kind("numeric")
    if summary is None or summary.count < parameters["min_samples"] or not reference.summary.count:
        return unknown(NOT_ENOUGH_DATA, "Too few rows to see a tail.")
    edge = parameters.get("beyond", 3.0)
    low, high = (sum(summary.masses([side])[:1]) / summary.count for side in (-edge, edge))
    share = float(low + 1 - high)
    most = parameters.get("most", 0.02)
    return Result(share, ALARM if share > most else OK, f"{share:.1%} lie in the tails.", summary.count, threshold=most)


tail_share.kinds = ("numeric",)
not_a_function = 3


def breaks(reference, current, parameters):
    return "drifted"
'''
CONFIG = """
version: 1
schedule: {clock: replay}
models:
  m:
    drift: {own: {tail_share: {beyond: 2.5}, breaks: {}}}
groups:
  - name: own
    rules: [{alert: Tails, metric: tail_share, by: [feature]}]
"""
JUDGE = """
import json, sys
from datetime import timedelta
import numpy as np
import sqlalchemy as sa
from pathlib import Path
from remora import schema
from remora.config import parse
from remora.database import connect
from remora.tables import findings
from tests.integration.test_detectors_jobs import DAY, START, make_reference, rows_of, tick, write

folder, config = Path(sys.argv[1]), parse(sys.argv[2])
database = connect(f"sqlite:///{folder / 'remora.db'}")
schema.prepare(database)
random = np.random.default_rng(3)
make_reference(database, config, folder, random)
write(database, config, "b", rows_of(random, START, shift=2.0))
tick(database, config, START + DAY * 1.5)
query = sa.select(findings).where(findings.c.metric.in_(("tail_share", "breaks")), findings.c.version == "")
with database.read() as connection:
    rows = connection.execute(query).all()
print(json.dumps([[row.metric, row.feature, row.verdict, row.value, row.threshold] for row in rows]))
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A distribution as pip leaves it; it stands on the path of this process and of those that it starts."""
    site = tmp_path / "site"
    (site / "tails-1.0.dist-info").mkdir(parents=True)
    (site / "tails.py").write_text(TAILS)
    (site / "tails-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tails\nVersion: 1.0\n"
    )
    points = {"tail_share": "tails:tail_share", "breaks": "tails:breaks", "three": "tails:not_a_function",
              "gone": "tails:no_such"}  # fmt: skip
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (site / "tails-1.0.dist-info" / "entry_points.txt").write_text(f"[remora.detectors]\n{lines}")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", f"{site}:{ROOT}")
    own.load_own.cache_clear()
    yield site
    own.load_own.cache_clear()


def run(*words, folder):
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False)  # fmt: skip


def test_it_judges_every_column_of_its_kind_and_one_that_breaks_costs_itself_alone(package, tmp_path):
    done = run("-c", JUDGE, str(tmp_path), CONFIG, folder=ROOT)
    assert done.returncode == 0, done.stderr
    found = {(metric, feature): rest for metric, feature, *rest in json.loads(done.stdout.splitlines()[-1])}
    verdict, value, threshold = found["tail_share", "x"]
    assert (verdict, threshold, 0.2 < value < 0.45) == ("alarm", 0.02, True)  # normal, mean 2: .31 beyond 2.5
    assert ("tail_share", "c") not in found
    assert {rest[0] for (metric, _), rest in found.items() if metric == "breaks"} == {"could_not_compute"}


def test_its_metric_is_one_like_any_other_where_it_is_installed(package, tmp_path):
    (tmp_path / "remora.yaml").write_text(CONFIG)
    done = run("-m", "remora", "check", "remora.yaml", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    said = run(
        "-c", "from remora.catalogue import METRICS; print(METRICS['tail_share'])", folder=tmp_path
    ).stdout
    assert "title='Tail share'" in said


def test_a_server_without_the_package_says_what_is_missing_and_a_sidecar_reads_the_same_file(tmp_path):
    (tmp_path / "remora.yaml").write_text(CONFIG)
    assert run("-m", "remora", "check", "remora.yaml", folder=tmp_path).returncode == 0
    database = f"sqlite:///{tmp_path}/remora.db"
    done = run("-m", "remora", "server", "--config", "remora.yaml", "--database", database, folder=tmp_path)
    assert done.returncode == 2
    assert (
        "drift.own.tail_share: no installed package registers it as an entry point of remora.detectors"
        in done.stderr
    )
    assert done.stderr.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("name", "said"), [("three", "tails:not_a_function is no function"), ("gone", "tails:no_such cannot be loaded")]
)  # fmt: skip
def test_what_cannot_be_used_is_said(package, name, said):
    with pytest.raises(UserError, match=said):
        own.load_own(name)


@pytest.mark.parametrize("name", ["psi", "Tail", "a-b", "9a"])
def test_a_name_of_ours_or_no_name_is_refused(name):
    with pytest.raises(ConfigError, match="cannot be the name of a detector of your own"):
        parse(f"version: 1\nmodels: {{m: {{drift: {{own: {{{name}: {{}}}}}}}}}}")


# --- the kit finds what it is there to find ------------------------------------------------------------------------------


def failing(detector, **options):
    found = set()
    for check in contract(detector, **options):
        try:
            check()
        except AssertionError:
            found.add(str(check).partition(": ")[2])
    return found


def good(reference, current, parameters):
    return own.load_own("tail_share")(reference, current, parameters)


good.kinds = ("numeric",)


def test_a_good_detector_keeps_the_contract(package):
    shift = lambda _kind, values, _random: values * 3  # noqa: E731
    assert failing(good, shifted=shift) == set()


def result_of(verdict, reason="As ever.", value=0.5):
    def detector(reference, current, parameters):
        return Result(value, verdict, reason)

    return detector


@pytest.mark.parametrize(
    ("detector", "missed"),
    [
        (result_of(ALARM), {"identical data raises no alarm", "few rows have a named outcome", "quiet windows are quiet",
                            "constants have a named outcome"}),
        (result_of(OK), {"a change is found"}),
    ],
    ids=["always", "never"],
)  # fmt: skip
def test_one_that_always_or_never_alarms_does_not(detector, missed):
    assert failing(detector, shifted=lambda _kind, values, _random: values) == missed


def test_one_that_tells_a_value_or_knows_an_order_or_gives_no_sentence_does_not():
    def tells(reference, current, parameters):
        names = current.categorical.counts() if current.categorical else {}
        return Result(0.5, OK, f"Most are {max(names, key=names.get, default='none')}.")

    tells.kinds = ("categorical",)
    calls = iter(range(10**6))

    def changes(reference, current, parameters):
        return Result(float(next(calls)), OK, "As ever.")

    assert failing(tells) == {"no reason holds a value"}
    assert failing(changes) == {"the order of rows changes nothing"}
    assert len(failing(result_of(OK, "no sentence"))) == 8
    assert len(failing(lambda *_: None)) == 8
