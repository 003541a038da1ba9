"""The example is a folder of scripts that import each other by plain name, as they do when run by hand."""

import sys
from pathlib import Path

import pytest

FLIGHTS = Path(__file__).parents[3] / "examples" / "flights"


@pytest.fixture(scope="session", autouse=True)
def _flights_importable():
    sys.path.insert(0, str(FLIGHTS))
    yield
    sys.path.remove(str(FLIGHTS))


@pytest.fixture(scope="session")
def frame():
    from data import flights

    return flights()
