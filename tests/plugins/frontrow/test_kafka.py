"""The relay to Kafka, by its real protocol: librdkafka brings a cluster of its own for tests."""

import json
import sys

import pytest
import structlog
import trio
from pydantic import ValidationError

from host.api import HostError, Secret, ServiceUnavailable
from plugins.frontrow.kafka import KafkaTopic, security_options
from plugins.frontrow.relay import Relay
from plugins.frontrow.settings import Settings
from tests.plugins.frontrow.test_outbox import WRITE, outbox  # noqa: F401

kafka = pytest.importorskip("confluent_kafka")
LOG = structlog.get_logger("test")
TOPIC = "frontrow.events"
WITHIN_S = 60


@pytest.fixture
def brokers():
    """The address of a cluster that lives as long as this client of it."""
    cluster = kafka.Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=WITHIN_S).brokers.values()
    yield f"{broker.host}:{broker.port}"
    del cluster


def read(brokers, count):
    """The first messages of the topic: key, headers, document."""
    consumer = kafka.Consumer({"bootstrap.servers": brokers, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    found = []
    try:
        while len(found) < count:
            messages = consumer.consume(count - len(found), timeout=WITHIN_S)
            assert messages, f"{len(found)} of {count} messages came"
            found += [
                (message.key().decode(), dict(message.headers()), json.loads(message.value()))
                for message in messages
                if message.error() is None
            ]
    finally:
        consumer.close()
    return found


async def test_outbox_is_in_the_topic_once_each_under_its_bookings_key(outbox, brokers):  # noqa: F811
    postgres, _ = outbox
    await postgres.execute(WRITE)
    relay = Relay(postgres, [KafkaTopic(brokers, TOPIC)], LOG)
    assert await relay.relay_some() == 20
    assert await relay.relay_some() == 0
    rows = await postgres.fetch_all("SELECT id::text, booking_id::text, kind FROM frontrow.outbox")
    told = {headers["id"].decode(): (key, document["kind"]) for key, headers, document in read(brokers, 20)}
    assert told == {event: (booking, kind) for event, booking, kind in rows}


async def test_events_of_a_booking_are_in_order(outbox, brokers):  # noqa: F811
    postgres, _ = outbox
    await postgres.execute(WRITE)
    await postgres.execute("UPDATE frontrow.outbox SET booking_id = (SELECT booking_id FROM frontrow.outbox LIMIT 1)")
    await Relay(postgres, [KafkaTopic(brokers, TOPIC)], LOG).relay_some()
    assert [document["kind"] for _, _, document in read(brokers, 20)] == [f"test.{n + 1}" for n in range(20)]


async def test_events_wait_in_the_outbox_while_the_brokers_are_away(outbox, brokers):  # noqa: F811
    postgres, _ = outbox
    await postgres.execute(WRITE)
    with pytest.raises(ServiceUnavailable, match="Kafka"):
        await Relay(postgres, [KafkaTopic("127.0.0.1:1", TOPIC, timeout_s=0.5)], LOG).relay_some()
    assert await postgres.fetch_value("SELECT count(*) FROM frontrow.outbox WHERE sent_at IS NULL") == 20
    assert await Relay(postgres, [KafkaTopic(brokers, TOPIC)], LOG).relay_some() == 20


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(HostError, match=r"quartet-host\[kafka\]"):
        KafkaTopic("127.0.0.1:9092", TOPIC)


SASL = {"kafka_security_protocol": "SASL_SSL", "kafka_username": "ann", "kafka_password": Secret("s3cret")}


def test_security_is_told_to_librdkafka_which_takes_it(tmp_path):
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("")
    settings = Settings(**SASL, kafka_sasl_mechanism="SCRAM-SHA-256", kafka_ca_file=str(ca_file))
    options = security_options(settings)
    assert options == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(ca_file),
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "ann",
        "sasl.password": "s3cret",
    }
    assert security_options(Settings()) == {"security.protocol": "PLAINTEXT"}
    assert "s3cret" not in repr(settings)
    del options["ssl.ca.location"]
    kafka.Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0, **options})


async def test_with_tls_the_first_bytes_to_a_broker_are_a_handshake():
    """No broker of a test speaks TLS; what reaches it says whether it was asked to."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    topic = KafkaTopic(f"127.0.0.1:{port}", TOPIC, security=security_options(Settings(**SASL)))
    producer = kafka.Producer(topic._options)
    producer.produce(TOPIC, b"x")
    with trio.fail_after(WITHIN_S):
        async with listener, await listener.accept() as stream:
            first = await stream.receive_some()
    producer.purge()
    assert first[:2] == b"\x16\x03", "a TLS handshake (RFC 8446 §5.1)"


async def test_certificates_that_cannot_be_read_leave_the_events_in_the_outbox(outbox, tmp_path):  # noqa: F811
    postgres, _ = outbox
    await postgres.execute(WRITE)
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("this is no certificate")
    security = security_options(Settings(kafka_security_protocol="SSL", kafka_ca_file=str(ca_file)))
    with pytest.raises(ServiceUnavailable, match="Kafka"):
        await Relay(postgres, [KafkaTopic("127.0.0.1:1", TOPIC, security=security)], LOG).relay_some()
    assert await postgres.fetch_value("SELECT count(*) FROM frontrow.outbox WHERE sent_at IS NULL") == 20


@pytest.mark.parametrize(("settings", "key"), [
    ({"kafka_security_protocol": "TLS"}, "kafka_security_protocol"),
    ({**SASL, "kafka_sasl_mechanism": "GSSAPI"}, "kafka_sasl_mechanism"),
    ({"kafka_security_protocol": "SASL_SSL"}, "kafka_password"),
    ({**SASL, "kafka_password": None}, "kafka_password"),
    ({**SASL, "kafka_username": ""}, "kafka_username"),
    ({**SASL, "kafka_security_protocol": "SSL"}, "kafka_username"),
    ({"kafka_ca_file": __file__}, "kafka_ca_file"),
    ({"kafka_security_protocol": "SSL", "kafka_ca_file": "/no/such.pem"}, "kafka_ca_file"),
])  # fmt: skip
def test_security_that_is_half_said_is_refused(settings, key):
    with pytest.raises(ValidationError, match=key):
        Settings(**settings)


@pytest.mark.parametrize("settings", [{"kafka_brokers": "kafka"}, {"kafka_brokers": "a:1;b:2"}, {"kafka_topic": "a b"}])
def test_what_is_no_broker_or_topic_is_refused(settings):
    with pytest.raises(ValidationError):
        Settings(**settings)
