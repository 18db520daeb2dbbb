from tests.support.logged import written  # noqa: F401  # a fixture
from tests.support.servers import (  # noqa: F401  # fixtures
    database,
    env,
    migrated,
    migrated_template,
    nats_client,
    nats_names,
    servers,
)
