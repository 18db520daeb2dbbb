from tests.support.servers import (  # noqa: F401  # fixtures
    database,
    env,
    migrated,
    migrated_template,
    nats_client,
    nats_names,
    servers,
)
