"""Hold tokens: opaque to the client, signed, and carrying which seats of which event they hold.

Only the nonce inside goes to Redis, as the owner's mark at each seat's key. The signature keeps a made-up token out
even while Redis cannot be asked. A token says whose a hold is, not that it still stands: Redis says that.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Final

SEATS_MAX: Final = 10
"""Seats in one hold: more than a family needs, and a bound on what one script call locks."""
NONCE_BYTES: Final = 16

_SIGNATURE_BYTES: Final = 16
_HEAD: Final = struct.Struct(f">Q{NONCE_BYTES}s")
_AREA: Final = struct.Struct(">QB")
_AREA_MARK: Final = "a."
_DOMAIN: Final = b"frontrow hold\x00"
_AREA_DOMAIN: Final = b"frontrow area hold\x00"
_TOKEN_CHARS_MAX: Final = 200


class BadToken(ValueError):
    """The token was not issued here, or was changed on its way."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold asked for or granted. `seats` are ids in ascending order, the one order in which seats are locked.

    A hold is on seats, or on `quantity` places of an `area` without seats.
    """

    event_id: int
    seats: tuple[int, ...]
    nonce: str
    area: int = 0
    quantity: int = 0

    def __post_init__(self) -> None:
        assert 0 < len(self.seats) + self.quantity <= SEATS_MAX, f"a hold has 1 to {SEATS_MAX} seats"
        assert not (self.seats and self.area), "a hold is on seats or on an area"
        assert all(low < high for low, high in zip(self.seats, self.seats[1:], strict=False)), "ascending, each once"


def encode(hold: Hold, secret: bytes) -> str:
    """The token of a hold."""
    head = _HEAD.pack(hold.event_id, bytes.fromhex(hold.nonce))
    if hold.area:
        payload = head + _AREA.pack(hold.area, hold.quantity)
        return _AREA_MARK + base64.urlsafe_b64encode(payload + _sign(payload, secret, _AREA_DOMAIN)).decode().rstrip(
            "="
        )
    payload = head + struct.pack(f">{len(hold.seats)}Q", *hold.seats)
    return base64.urlsafe_b64encode(payload + _sign(payload, secret)).decode().rstrip("=")


def decode(token: str, secret: bytes) -> Hold:
    """The hold behind a token.

    Raises:
        BadToken: it is malformed, or its signature is not ours.
    """
    if len(token) > _TOKEN_CHARS_MAX:
        raise BadToken("the token is too long to be one")
    is_area = token.startswith(_AREA_MARK)
    token = token.removeprefix(_AREA_MARK)
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise BadToken("the token is not base64url") from None
    payload, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(payload, secret, _AREA_DOMAIN if is_area else _DOMAIN)):
        raise BadToken("the token was not issued by this box office")
    event_id, nonce = _HEAD.unpack_from(payload)
    if is_area:
        area, quantity = _AREA.unpack_from(payload, _HEAD.size)
        return Hold(event_id, (), nonce.hex(), area, quantity)
    count = (len(payload) - _HEAD.size) // 8
    return Hold(event_id, struct.unpack_from(f">{count}Q", payload, _HEAD.size), nonce.hex())


def nonce_for(buyer: str, key: str, event_id: int, seats: tuple[int, ...], secret: bytes) -> str:
    """The nonce of a hold asked for under an idempotency key: a retry gets the same one, and so the same token."""
    text = "\x00".join(("hold", buyer, key, str(event_id), *map(str, seats)))
    return hmac.digest(secret, text.encode(), hashlib.sha256)[:NONCE_BYTES].hex()


def _sign(payload: bytes, secret: bytes, domain: bytes = _DOMAIN) -> bytes:
    return hmac.digest(secret, domain + payload, hashlib.sha256)[:_SIGNATURE_BYTES]
