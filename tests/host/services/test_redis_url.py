import pytest

from host.errors import HostError
from host.services.redis_url import RedisAddress, parse_redis_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("unix:///run/redis.sock?db=3", RedisAddress(path="/run/redis.sock", db=3)),
        ("unix:///a%20b/r.sock", RedisAddress(path="/a b/r.sock")),
        ("unix:///r.sock?password=p%40ss&username=u", RedisAddress(path="/r.sock", username="u", password="p@ss")),
        ("redis://localhost", RedisAddress(host="localhost")),
        ("redis://:s%3Acret@10.0.0.1:7000/2", RedisAddress(host="10.0.0.1", port=7000, db=2, password="s:cret")),
        ("redis://user:pw@h?db=1", RedisAddress(host="h", db=1, username="user", password="pw")),
        ("redis://[::1]:6380/0", RedisAddress(host="::1", port=6380)),
        ("rediss://h/4?ssl_ca_certs=/ca.pem", RedisAddress(host="h", db=4, uses_tls=True, ca_certs="/ca.pem")),
        ("rediss://h?ssl_cert_reqs=none", RedisAddress(host="h", uses_tls=True, verifies_peer=False)),
    ],
)
def test_url_gives_address(url, address):
    assert parse_redis_url(url) == address


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://h", "not 'http'"),
        ("localhost:6379", "starts with"),
        ("redis://h/two", "'two'"),
        ("redis://h:70000", "port"),
        ("unix://?db=1", "path of the socket"),
        ("redis://h?timeout=3", "'timeout'"),
        ("rediss://h?ssl_cert_reqs=optional", "ssl_cert_reqs"),
    ],
)
def test_url_that_cannot_be_used_is_refused(url, message):
    with pytest.raises(HostError, match=message):
        parse_redis_url(url)


def test_address_shown_has_no_password():
    address = parse_redis_url("redis://user:hunter2@h:1/0")

    assert "hunter2" not in str(address) + repr(address)
    assert str(address) == "redis://h:1/0"
    assert str(parse_redis_url("redis://[::1]")) == "redis://[::1]:6379/0"
