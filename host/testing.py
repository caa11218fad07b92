"""The test kit for plugin authors; pytest finds it by its entry point `quartet`, so its fixtures need no import."""

from host.testing_servers import (
    module_postgres_url,
    postgres_server_url,
    postgres_url,
    redis_server_url,
    redis_url,
    servers_dir,
)

__all__ = ["module_postgres_url", "postgres_server_url", "postgres_url", "redis_server_url", "redis_url", "servers_dir"]
