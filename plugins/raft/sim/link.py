"""A run as a link: short text that holds all of a plan, and is refused with a reason when it does not.

A plan that was drawn is written as its seed, `s42` or `s42.commit-own-term-only`. Any other is `p1.` and base64url of:
the fields as variable-length integers in the order of `Plan`, the rule's name with its length, the faults (each the
time since the one before, kind, a, b), and the CRC-32 of all that.
"""

import base64
import binascii
import re
import zlib
from typing import Any, Final

from plugins.raft.sim.days import plan_of
from plugins.raft.sim.plan import FAULTS_MAX, Fault, FaultKind, Plan
from plugins.raft.sim.rules import rule_named

LINK_CHARACTERS_MAX: Final = 8192
"""More than the longest plan needs."""
SEED_MAX: Final = (1 << 62) - 1

_DRAWN: Final = re.compile(r"s([0-9]{1,19})(?:\.([a-z0-9-]{1,40}))?", re.ASCII)
_NUMBERS: Final = tuple(name for name in Plan._fields if name not in ("rule", "faults"))
_BOOLEANS: Final = frozenset({"pre_vote", "check_quorum", "lease_reads"})


class LinkError(ValueError):
    """A link that is none, in words."""


def encode_link(plan: Plan) -> str:
    """The link of a plan."""
    if plan == plan_of(plan.seed, plan.rule):
        return f"s{plan.seed}.{plan.rule}" if plan.rule else f"s{plan.seed}"
    data = bytearray()
    for name in _NUMBERS:
        _put(data, int(getattr(plan, name)))
    _put(data, len(plan.rule))
    data += plan.rule.encode("ascii")
    _put(data, len(plan.faults))
    before = 0
    for fault in plan.faults:
        _put(data, fault.at_us - before)
        before = fault.at_us
        for number in fault[1:]:
            _put(data, number)
    data += zlib.crc32(data).to_bytes(4, "little")
    return "p1." + base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_link(link: str) -> Plan:
    """The plan of a link. Raises LinkError, with the reason, for text that is no link or whose plan cannot be run."""
    if len(link) > LINK_CHARACTERS_MAX:
        raise LinkError(f"the link has {len(link):,} characters, at most {LINK_CHARACTERS_MAX:,} are read")
    drawn = _DRAWN.fullmatch(link)
    try:
        if drawn is not None:
            seed, rule = int(drawn[1]), drawn[2] or ""
            if rule:
                rule_named(rule)
            if seed > SEED_MAX:
                raise LinkError(f"seeds go up to {SEED_MAX}")
            return plan_of(seed, rule)
        if not link.startswith("p1."):
            raise LinkError("a link begins with s and a seed, or with p1.")
        plan = _decode(_bytes_of(link[3:]))
        if plan.rule:
            rule_named(plan.rule)
    except LinkError:
        raise
    except ValueError as error:
        raise LinkError(str(error)) from None
    if problems := plan.problems():
        raise LinkError("; ".join(problems))
    return plan


def _bytes_of(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise LinkError("the link holds characters that no link has, or is cut short") from None
    if len(data) < 4 or zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
        raise LinkError("the link is damaged: its checksum does not match")
    return data[:-4]


def _decode(data: bytes) -> Plan:
    at = 0
    values: dict[str, Any] = {}
    for name in _NUMBERS:
        number, at = _take(data, at)
        if name in _BOOLEANS and number > 1:
            raise LinkError(f"{name} is neither 0 nor 1")
        values[name] = bool(number) if name in _BOOLEANS else number
    size, at = _take(data, at)
    rule, at = data[at : at + size].decode("ascii"), at + size
    count, at = _take(data, at)
    if count > FAULTS_MAX:
        raise LinkError(f"at most {FAULTS_MAX} faults, not {count}")
    faults = []
    time = 0
    for _ in range(count):
        delta, at = _take(data, at)
        kind, at = _take(data, at)
        a, at = _take(data, at)
        b, at = _take(data, at)
        time += delta
        faults.append(Fault(time, FaultKind(kind), a, b))
    if at != len(data):
        raise LinkError("the link is longer than its plan")
    return Plan(**values, rule=rule, faults=tuple(faults))


def _put(data: bytearray, number: int) -> None:
    """Append a number of 0 or more, seven bits a byte, the lowest first."""
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)


def _take(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise LinkError("the link is cut short")
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise LinkError("a number in the link is too large")
