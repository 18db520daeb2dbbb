"""One service for each module, with `changes` to its environment, and an observer for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.observer import Observer, Service, running, tenant, watching
from tests.support.servers import (  # noqa: F401  # fixtures
    Addresses,
    Database,
    database,
    env,
    migrated,
    migrated_template,
    nats_client,
    nats_names,
    servers,
)


@pytest.fixture(scope="module")
def changes() -> dict[str, str]:
    """What a module's service is told besides; modules have their own."""
    return {}


@pytest.fixture(scope="module")
def service(
    servers: Addresses,  # noqa: F811
    migrated_template: Database,  # noqa: F811
    changes: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """A ready service that the module's tests share."""
    with (
        tenant(servers, migrated_template) as own,
        running(own, tmp_path_factory.mktemp("service"), **changes) as (one,),
    ):
        yield one


@pytest.fixture
async def observer(service: Service) -> AsyncIterator[Observer]:
    """Someone outside of it."""
    async with watching(service.env) as made:
        yield made
