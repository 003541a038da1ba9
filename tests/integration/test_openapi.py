"""What OpenAPI says is what the server and the sidecar do: Schemathesis asks every operation, well and badly."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from collector.app import sidecar_app
from remora.security import Guard
from tests.documents import composed
from tests.integration.test_collector_api import Api

CALLS = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture
def server(sqlite_database, tmp_path):
    with composed(sqlite_database, tmp_path) as application:
        yield schemathesis.openapi.from_asgi("/openapi.json", application)


@pytest.fixture
def sidecar(tmp_path):
    api = Api(tmp_path)
    yield schemathesis.openapi.from_asgi("/openapi.json", sidecar_app(api.ingest, Guard(None, None)))
    api.spool.close()


def check(schema):
    """Every operation a few times; fails with all that was found, each with a call that shows it."""
    faults, operations = [], [found.ok() for found in schema.get_all_operations()]
    for operation in operations:

        @CALLS
        @given(
            case=operation.as_strategy(GenerationMode.POSITIVE)
            | operation.as_strategy(GenerationMode.NEGATIVE)
        )
        def answers(case):
            case.call_and_validate(
                excluded_checks=[positive_data_acceptance]
            )  # a schema cannot say all that is asked

        try:
            answers()
        except (AssertionError, BaseExceptionGroup) as error:
            faults.append(f"{operation.label}: {error}")
    assert operations
    assert not faults, "\n\n".join(faults)


def test_the_server_answers_as_it_says(server):
    check(server)


def test_the_sidecar_answers_as_it_says(sidecar):
    check(sidecar)
