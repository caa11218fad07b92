"""The outbox to a topic of Kafka, in place of the Redis stream: for a house that has Kafka already.

An event's key is its booking, so all events of a booking are in one partition, in order. The producer is idempotent and
waits for all in-sync replicas; an event counts as sent when the brokers have said so. When they have not, none of its
batch does: the outbox keeps them, the producer and what it still had in its queue are dropped, and they are sent again
under the same ids, at least once. librdkafka blocks, so it is called from a thread.

Needs the extra `kafka` (confluent-kafka).
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import trio
from pydantic_core import to_json

from host.api import HostError, ServiceUnavailable
from plugins.frontrow.settings import Settings

if TYPE_CHECKING:
    from plugins.frontrow.relay import Told

DELIVERY_TIMEOUT_S: Final = 5.0
"""How long the brokers may take to say that they have an event."""
_GRACE_S: Final = 1.0


def kafka_module() -> Any:
    """The package `confluent_kafka`. Raises `HostError` when it is not installed."""
    try:
        return import_module("confluent_kafka")
    except ImportError as error:
        text = "kafka_brokers is set, but confluent-kafka is not installed: pip install 'quartet-host[kafka]'"
        raise HostError(text) from error


def security_options(settings: Settings) -> dict[str, str]:
    """How the brokers are spoken to, in librdkafka's words."""
    protocol = settings.kafka_security_protocol
    options: dict[str, str] = {"security.protocol": protocol}
    if settings.kafka_ca_file:
        options["ssl.ca.location"] = settings.kafka_ca_file
    if protocol.startswith("SASL") and settings.kafka_password is not None:
        options |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.username": settings.kafka_username,
            "sasl.password": settings.kafka_password.reveal(),
        }
    return options


class KafkaTopic:
    """A topic, as a sink of the relay. One `append` at a time; a cancelled one is awaited for `DELIVERY_TIMEOUT_S`."""

    def __init__(
        self,
        brokers: str,
        topic: str,
        *,
        security: Mapping[str, str] | None = None,
        timeout_s: float = DELIVERY_TIMEOUT_S,
    ) -> None:
        """Opens nothing yet. `security` is as of `security_options`; without it nothing is encrypted.

        Raises `HostError` when the package is missing.
        """
        self._module = kafka_module()
        self._options: dict[str, Any] = {
            "bootstrap.servers": brokers,
            "client.id": "quartet-frontrow",
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": round(timeout_s * 1000),
            "log_level": 0,
            **(security or {}),
        }
        self._topic = topic
        self._timeout_s = timeout_s
        self._producer: Any = None
        self._thread = trio.CapacityLimiter(1)

    async def append(self, events: Sequence["Told"]) -> None:
        """Append them, in order.

        Raises:
            ServiceUnavailable: the brokers do not have all of them; some may be there, and will be again.
        """
        await trio.to_thread.run_sync(self._append, events, limiter=self._thread)

    def _append(self, events: Sequence["Told"]) -> None:
        errors: list[str] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                errors.append(str(error))

        try:
            if self._producer is None:
                self._producer = self._module.Producer(self._options)
            for told in events:
                headers = {"id": told.id, "kind": told.kind}
                value, key = to_json(told.document()), told.booking_id
                self._producer.produce(self._topic, value, key, headers=headers, on_delivery=delivered)
            waiting = self._producer.flush(self._timeout_s + _GRACE_S)
        except (self._module.KafkaException, BufferError) as error:
            errors.append(str(error))
            waiting = 0
        if errors or waiting:
            # What it still holds would come after what is sent anew, and out of order.
            producer, self._producer = self._producer, None
            if producer is not None:
                producer.purge()
            reason = errors[0] if errors else f"{waiting} events were not taken in time"
            raise ServiceUnavailable(f"Kafka does not take events: {reason}")
