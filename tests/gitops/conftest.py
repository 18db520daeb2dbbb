from tests.support.servers import nats_client, servers  # noqa: F401  # fixtures
