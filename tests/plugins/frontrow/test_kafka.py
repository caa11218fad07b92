"""The relay to Kafka, by its real protocol: librdkafka brings a cluster of its own for tests."""

import json
import sys

import pytest
import structlog
from pydantic import ValidationError

from host.api import HostError, ServiceUnavailable
from plugins.frontrow.kafka import KafkaTopic
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


@pytest.mark.parametrize("settings", [{"kafka_brokers": "kafka"}, {"kafka_brokers": "a:1;b:2"}, {"kafka_topic": "a b"}])
def test_what_is_no_broker_or_topic_is_refused(settings):
    with pytest.raises(ValidationError):
        Settings(**settings)
