"""`quartet doctor`: the usual mistakes of an installation, found before they are met."""

import os
import resource
import ssl
import stat
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal

import psycopg
import redis
from cryptography import x509

from host.commands import Exit
from host.commands.options import add_config_options, add_json_option, settings_from
from host.commands.terminal import Style, Terminal
from host.errors import ConfigError, HostError
from host.http.engine import bind
from host.inventory import Inventory, take_inventory
from host.secret import ServiceUrl
from host.services.embedded.binaries import find_postgres, find_redis
from host.services.embedded.owner import server_user
from host.settings import Settings

EXAMPLE = "quartet doctor\nquartet doctor --json"

PYTHON_MIN: Final = (3, 11)
CONNECT_TIMEOUT_S: Final = 3.0
# Beside the connections: files, sockets of servers and pools, pipes to children.
DESCRIPTORS_SPARE: Final = 200
# Hosts whose clocks differ by more show each other's deadlines and "last heard" wrongly.
CLOCK_SKEW_MAX_S: Final = 1.0
# Those who renew certificates do so a month before the end: what is left with less was forgotten.
CERTIFICATE_DAYS_MIN: Final = 14

# What the superuser's reserve and the connections that are open leave, this look's own not counted.
_POSTGRES_ROOM: Final = """
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') + 1"""

_MARKS: Final[dict[str, tuple[str, Style]]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failure": ("✗", "red"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found, and, when it is not well, how to mend it."""

    subject: str
    state: Literal["ok", "warning", "failure"]
    found: str
    mend: str = ""


def add_arguments(parser: ArgumentParser) -> None:
    add_json_option(parser)
    add_config_options(parser)


def run(arguments: Namespace, terminal: Terminal) -> int:
    findings = list(examine(arguments))
    if arguments.json:
        terminal.json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark, style = _MARKS[finding.state]
            mend = f" — {finding.mend}" if finding.mend else ""
            terminal.line(f"{terminal.style(mark, style)} {finding.subject:<14} {finding.found}{mend}")
    return Exit.FAILURE if any(finding.state == "failure" for finding in findings) else Exit.OK


def examine(arguments: Namespace) -> Iterator[Finding]:
    """Look at everything, one after the other; nothing is started, and what is written is removed again."""
    yield check_python(sys.version_info[:3])
    yield check_quart_pair()
    try:
        settings, problems = settings_from(arguments)
    except ConfigError as error:
        yield from (Finding("configuration", "failure", line) for line in error.problems)
        return
    inventory = take_inventory(settings, safe_mode=arguments.safe_mode)
    problems += inventory.problems
    yield from (Finding("configuration", "failure", line) for line in problems)
    if not problems:
        yield Finding("configuration", "ok", str(settings.path))
    yield from check_plugins(inventory)
    yield check_port(settings)
    if settings.server.certfile is not None:
        yield check_certificate(settings)
    yield check_admin(settings)
    yield check_names(settings)
    yield check_data_dir(settings.data.dir)
    postgres = check_postgres(settings.postgres.url)
    yield postgres
    if postgres.state == "ok" and not settings.postgres.url.is_embedded:
        yield from check_postgres_server(settings.postgres.url, pool_connections(inventory, settings))
    answers = check_redis(settings.redis.url)
    yield answers
    if answers.state == "ok" and not settings.redis.url.is_embedded:
        yield check_redis_memory(settings.redis.url)
    yield check_descriptors(settings.server.limits.connections_max, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def check_python(running: tuple[int, ...]) -> Finding:
    """Whether this Python is new enough."""
    text = ".".join(str(part) for part in running)
    if running[:2] >= PYTHON_MIN:
        return Finding("Python", "ok", text)
    wanted = ".".join(str(part) for part in PYTHON_MIN)
    return Finding("Python", "failure", text, f"use Python {wanted} or later")


def check_quart_pair() -> Finding:
    """Whether Quart and quart-trio fit together: each minor of Quart breaks quart-trio (quart-trio#22)."""
    try:
        found = f"quart {version('quart')} with quart-trio {version('quart-trio')}"
    except PackageNotFoundError as error:
        return Finding("Quart", "failure", f"{error.name} is not installed", "install quartet-host again")
    try:
        import quart_trio  # noqa: F401
    except Exception as error:
        return Finding("Quart", "failure", f"{found}: {error}", "install quartet-host again: it pins the two together")
    return Finding("Quart", "ok", found)


def check_plugins(inventory: Inventory) -> Iterator[Finding]:
    """Whether every enabled plugin can be imported and ordered."""
    for error in inventory.errors.values():
        hint = error.hint or f"see quartet plugins check {error.plugin}"
        yield Finding("plugin", "failure", f"{error.plugin} ({error.origin}): {error.phase}: {error.reason}", hint)
    names = [plugin.name for plugin in inventory.ordered]
    if names:
        yield Finding("plugins", "ok", ", ".join(names))
    elif not inventory.errors:
        yield Finding("plugins", "warning", "none is enabled", "set enabled = true under [plugins.NAME]")


def check_port(settings: Settings) -> Finding:
    """Whether the listener's address can be taken."""
    host, port = settings.server.host, settings.server.port
    if host.startswith("unix:"):
        folder = Path(host.removeprefix("unix:")).absolute().parent
        ok = os.access(folder, os.W_OK)
        if ok:
            return Finding("listener", "ok", f"{folder} can hold the socket")
        return Finding("listener", "failure", f"{folder} cannot hold the socket", "make it, for the user of the host")
    try:
        for sock in bind(host, port):
            sock.close()
    except HostError as error:
        return Finding("listener", "failure", str(error))
    return Finding("listener", "ok", f"{host} port {port} is free")


def check_certificate(settings: Settings) -> Finding:
    """Whether the certificate and its key can be read, belong together, and last for a while."""
    server = settings.server
    assert server.certfile is not None
    password = server.keyfile_password.reveal() if server.keyfile_password else ""
    try:
        # A function, for without a password OpenSSL would ask the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(server.certfile, server.keyfile, lambda: password)
        ends = x509.load_pem_x509_certificate(server.certfile.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        return Finding("certificate", "failure", str(error), "check certfile and keyfile under [server]")
    found = f"{server.certfile} ends on {ends:%Y-%m-%d}"
    days = (ends - datetime.now(UTC)).days
    if days >= CERTIFICATE_DAYS_MIN:
        return Finding("certificate", "ok", found)
    return Finding("certificate", "failure" if days < 0 else "warning", found, "renew it, and start the host again")


def check_admin(settings: Settings) -> Finding:
    """Whether a site that others can reach can be administered."""
    if settings.admin.token is not None:
        return Finding("admin", "ok", "a token is set")
    if settings.server.is_loopback and settings.server.trusted_proxies:
        found = "no token, and what a proxy forwards is never taken for an administrator's"
        return Finding("admin", "warning", found, 'set token = { env = "QUARTET_ADMIN_TOKEN" } under [admin]')
    if settings.server.is_loopback:
        return Finding("admin", "ok", "not needed: only this machine can reach the listener")
    return Finding(
        "admin",
        "warning",
        f"no token, and {settings.server.host} can be reached from elsewhere: nobody can administer the site",
        'set token = { env = "QUARTET_ADMIN_TOKEN" } under [admin]',
    )


def check_names(settings: Settings) -> Finding:
    """Whether a site that others can reach answers to its own names alone."""
    if settings.server.allowed_hosts:
        return Finding("names", "ok", ", ".join(settings.server.allowed_hosts))
    mend = 'set allowed_hosts = ["the.name.of.the.site"] under [server]'
    if settings.server.is_loopback and settings.server.trusted_proxies:
        found = "none, and what a proxy forwards under the name of the site is answered 421"
        return Finding("names", "warning", found, mend)
    if settings.server.is_loopback:
        return Finding("names", "ok", "localhost and IP addresses, for only this machine can reach the listener")
    return Finding(
        "names",
        "warning",
        f"{settings.server.host} can be reached from elsewhere, and the site answers to any name",
        mend,
    )


def check_data_dir(folder: Path) -> Finding:
    """Whether the data folder, or the one in which it would be made, can be written to."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding("data folder", "failure", f"{folder.absolute()}: {reason.lower()}", "set [data] dir")
    # Everybody may write to /tmp and its like, but no one may remove another's files there: the sticky bit.
    mode = existing.stat().st_mode
    if existing == folder.absolute() and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        found = f"{existing}: every user of this machine may change it"
        return Finding("data folder", "warning", found, f"chmod o-w {existing}")
    return Finding("data folder", "ok", str(folder.absolute()))


def check_descriptors(connections_max: int, descriptors_max: int) -> Finding:
    """Whether the process may open as many files as it would have connections."""
    needed = connections_max + DESCRIPTORS_SPARE
    if descriptors_max == resource.RLIM_INFINITY or descriptors_max >= needed:
        return Finding("open files", "ok", "no limit" if descriptors_max < 0 else f"up to {descriptors_max}")
    return Finding(
        "open files",
        "warning",
        f"up to {descriptors_max}, fewer than connections_max = {connections_max} needs",
        f"ulimit -n {needed}, or a smaller connections_max under [server.limits]",
    )


def check_postgres(url: ServiceUrl) -> Finding:
    """Whether the embedded Postgres has its programs, or the one at `url` answers and lets us in."""
    if url.is_embedded:
        return _check_embedded("Postgres", lambda: f"version {find_postgres(server_user(), None).version}")
    try:
        with psycopg.connect(url.reveal(), connect_timeout=int(CONNECT_TIMEOUT_S)) as connection:
            found = f"version {connection.info.server_version // 10_000} answers"
    except psycopg.Error as error:
        # libpq names host, port, user and database in its errors, and no password; but a malformed URL is quoted.
        malformed = isinstance(error, psycopg.ProgrammingError)
        reason = "the URL is malformed" if malformed else str(error).strip().splitlines()[0]
        return Finding("Postgres", "failure", reason, 'check [postgres] url, or set it to "embedded"')
    return Finding("Postgres", "ok", found)


def pool_connections(inventory: Inventory, settings: Settings) -> int:
    """How many connections to Postgres the plugins of one host may hold together."""
    total = 0
    for plugin in inventory.ordered:
        own, config = inventory.configured[plugin.name]
        if "postgres" in plugin.services(config):
            total += own.postgres_connections_max or settings.postgres.connections_max
    return total


def check_postgres_server(url: ServiceUrl, needed: int) -> Iterator[Finding]:
    """Whether a Postgres that answers has room for one host's connections, and the same time as this machine."""
    try:
        with psycopg.connect(url.reveal(), connect_timeout=int(CONNECT_TIMEOUT_S)) as connection:
            row = connection.execute(_POSTGRES_ROOM).fetchone()
            before_s = time.time()
            clock = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
            after_s = time.time()
    except psycopg.Error:
        yield Finding("Postgres", "failure", "it was lost while it was looked at", "try again")
        return
    assert row is not None
    assert clock is not None
    yield judge_room(needed, row[0])
    # The server read its clock somewhere between the two moments.
    yield judge_clock(max(before_s - clock[0], clock[0] - after_s, 0.0))


def judge_room(needed: int, room: int) -> Finding:
    """Whether one host's connections fit beside those that others hold now."""
    found = f"room for {room} more connections, and this host may open {needed}"
    if needed <= room:
        return Finding("connections", "ok", found)
    mend = "raise max_connections in postgresql.conf, or lower connections_max under [postgres]"
    return Finding("connections", "warning", found, mend)


def judge_clock(skew_s: float) -> Finding:
    """Whether this machine and the database agree about the time."""
    if skew_s <= CLOCK_SKEW_MAX_S:
        return Finding("clock", "ok", f"that of Postgres, within {CLOCK_SKEW_MAX_S:g} s")
    found = f"at least {skew_s:.1f} s away from that of Postgres"
    return Finding("clock", "warning", found, "let both machines keep time by NTP")


def check_redis_memory(url: ServiceUrl) -> Finding:
    """Whether a Redis that answers keeps what it was given: it holds locks and seats, which must not be evicted."""
    timeouts = {"socket_timeout": CONNECT_TIMEOUT_S, "socket_connect_timeout": CONNECT_TIMEOUT_S}
    try:
        with redis.Redis.from_url(url.reveal(), **timeouts) as client:
            memory = client.info("memory")
    except redis.RedisError:
        return Finding("Redis memory", "failure", "it was lost while it was looked at", "try again")
    return judge_redis_memory(memory.get("maxmemory_policy", "noeviction"), memory.get("maxmemory", 0))


def judge_redis_memory(policy: str, bytes_max: int) -> Finding:
    """Whether a Redis under this `maxmemory-policy` may drop what it holds."""
    if policy == "noeviction":
        return Finding("Redis memory", "ok", "nothing is evicted")
    found = f"maxmemory-policy is {policy}: what it holds may be dropped" + (
        " once its memory is full" if bytes_max else ", should maxmemory be set"
    )
    return Finding("Redis memory", "warning", found, "CONFIG SET maxmemory-policy noeviction")


def check_redis(url: ServiceUrl) -> Finding:
    """Whether the embedded Redis has its program, or the one at `url` answers and lets us in."""
    if url.is_embedded:
        return _check_embedded("Redis", lambda: f"version {find_redis(server_user()).version}")
    timeouts = {"socket_timeout": CONNECT_TIMEOUT_S, "socket_connect_timeout": CONNECT_TIMEOUT_S}
    try:
        with redis.Redis.from_url(url.reveal(), **timeouts) as client:
            found = f"version {client.info('server')['redis_version']} answers"
    except ValueError:
        return Finding("Redis", "failure", "the URL is malformed", 'check [redis] url, or set it to "embedded"')
    except redis.RedisError as error:
        return Finding("Redis", "failure", str(error), 'check [redis] url, or set it to "embedded"')
    return Finding("Redis", "ok", found)


def _check_embedded(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, "ok", f"embedded, {look()}")
    except HostError as error:
        return Finding(subject, "failure", str(error))
