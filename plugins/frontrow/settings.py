"""FrontRow's section of the configuration, `[plugins.frontrow]`. Every default is one to run with."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from host.api import Duration, Secret


class Settings(BaseModel):
    """How long holds last, how much a stampede may take, and how patient the two layers are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples: bool = Field(True, description="Put a theatre and an arena on sale in a new database, to look at.")

    hold_ttl: Duration = Field(300.0, gt=0, le=86_400, description="How long a customer's hold lasts.")
    checkout_margin: Duration = Field(
        15.0,
        gt=0,
        le=600,
        description="A hold that is being booked lasts at least this long: no one else gets in between.",
    )
    sold_mark_ttl: Duration = Field(3600.0, gt=0, description="How long layer 1 remembers that a seat is sold.")
    payment_ttl: Duration = Field(
        300.0, gt=0, le=86_400, description="How long a buyer has to pay: a hold is lengthened by it once."
    )
    hold_total_max: Duration = Field(
        900.0,
        gt=0,
        description="The longest that seats may be held unpaid: hold_ttl and payment_ttl together.",
    )
    payment_url: str = Field(
        "", description="Where the payment provider is asked; empty runs a simulated one on loopback."
    )
    payment_secret: Secret | None = Field(
        None, description="What the payment provider signs its reports with; without it, one is made with the database."
    )
    payment_timeout: Duration = Field(5.0, gt=0, description="How long the payment provider may take to answer.")

    kafka_brokers: str = Field(
        "",
        pattern=r"^([\w.\-\[\]:]+:\d{1,5}(,[\w.\-\[\]:]+:\d{1,5})*)?$",
        description="Where events go instead of to a Redis stream: host:port,… of Kafka. Needs quartet-host[kafka].",
    )
    kafka_topic: str = Field(
        "frontrow.events", pattern=r"^[a-zA-Z0-9._\-]{1,249}$", description="The topic; an event's key is its booking."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How the brokers are spoken to: SSL is TLS, SASL is with a user name and a password."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How the password is proved to the brokers, with SASL."
    )
    kafka_username: str = Field("", description="The user name, with SASL.")
    kafka_password: Secret | None = Field(None, description="The password, with SASL.")
    kafka_ca_file: str = Field(
        "",
        description="PEM file of the authority that signed the brokers' certificates; empty: those the system trusts.",
    )

    audit_interval: Duration = Field(60.0, gt=0, description="How often the invariants of the whole house are counted.")

    idempotency_ttl: Duration = Field(86_400.0, gt=0, description="How long an Idempotency-Key is remembered.")

    breaker_failures: int = Field(3, ge=1, description="Failed calls in a row after which layer 1 is left alone.")
    breaker_pause: Duration = Field(0.25, gt=0, description="How long at first; doubles while it stays away.")
    breaker_pause_max: Duration = Field(2.0, gt=0, description="The longest pause between two looks at layer 1.")

    claims_max: int = Field(8, ge=1, le=100, description="Claims at one time in layer 2; the others wait in line.")
    claims_waiting_max: int = Field(100_000, ge=1, description="Claims waiting in that line; more are answered 503.")
    claim_timeout: Duration = Field(3.0, gt=0, description="One attempt at a claim, a lock's wait included.")
    claim_patience: Duration = Field(10.0, gt=0, description="How long an unanswered claim is asked about again.")

    buyers_max: int = Field(100_000, ge=1, le=100_000, description="Buyers in one stampede, and in all at one time.")
    seats_max: int = Field(1000, ge=1, le=1000, description="Seats in one stampede.")
    runs_at_once_max: int = Field(2, ge=1, le=16, description="Stampedes at one time; more are answered 429.")
    run_timeout: Duration = Field(120.0, gt=0, description="The longest that a stampede may take, gun to last verdict.")
    runs_kept: int = Field(200, ge=1, le=100_000, description="Runs kept with their history; older ones are deleted.")
    progress_interval: Duration = Field(0.05, gt=0, description="How often a watched stampede reports.")
    wave_size: int = Field(
        128, ge=1, description="Buyers let through the gate between two looks at the network: both sides work at once."
    )
    comparison_timeout: Duration = Field(
        20.0, gt=0, le=120, description="The longest that one strategy of a comparison may take."
    )
    verify_interval: Duration = Field(0.5, gt=0, description="How often an undecided run is looked at again.")

    @model_validator(mode="after")
    def _kafka_is_secured_as_it_says(self) -> Self:
        protocol = self.kafka_security_protocol
        with_sasl, with_tls = protocol.startswith("SASL"), protocol.endswith("SSL")
        if with_sasl != bool(self.kafka_username and self.kafka_password):
            what = "needs both" if with_sasl else "uses neither"
            raise ValueError(f"kafka_username and kafka_password: kafka_security_protocol {protocol} {what}")
        if self.kafka_ca_file and not with_tls:
            raise ValueError(f"kafka_ca_file: kafka_security_protocol {protocol} has no certificates")
        if self.kafka_ca_file and not Path(self.kafka_ca_file).is_file():
            raise ValueError(f"kafka_ca_file: there is no file {self.kafka_ca_file!r}")
        return self

    @model_validator(mode="after")
    def _holds_are_capped(self) -> Self:
        if self.hold_ttl + self.payment_ttl > self.hold_total_max:
            raise ValueError("hold_ttl and payment_ttl together are longer than hold_total_max")
        return self
