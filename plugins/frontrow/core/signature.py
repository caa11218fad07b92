"""Signed messages between this house and its partners: HMAC-SHA256 over the time and the body.

The header is `t=SECONDS,v1=HEX`. The time is part of what is signed, so that an old message cannot be sent again later.
"""

import hashlib
import hmac
from typing import Final

HEADER: Final = "frontrow-signature"
AGE_MAX_S: Final = 300
"""How old a message may be, or how far ahead its clock: clocks differ, and retries are signed anew."""


def sign(body: bytes, secret: bytes, now_s: int) -> str:
    """The value of the header."""
    return f"t={now_s},v1={_mac(body, secret, now_s)}"


def problem_of(value: str | None, body: bytes, secret: bytes, now_s: int) -> str:
    """Why a message is not to be believed, or "" when it is."""
    if not value:
        return f"there is no {HEADER}"
    parts = dict(part.partition("=")[::2] for part in value.split(","))
    time = parts.get("t", "")
    if not (time.isascii() and time.isdecimal() and len(time) < 13):
        return f"{HEADER} has no time"
    if not hmac.compare_digest(parts.get("v1", "").encode(), _mac(body, secret, int(time)).encode()):
        return f"{HEADER} is not by our partner"
    if abs(now_s - int(time)) > AGE_MAX_S:
        return f"{HEADER} is from another time"
    return ""


def _mac(body: bytes, secret: bytes, now_s: int) -> str:
    return hmac.digest(secret, b"%d." % now_s + body, hashlib.sha256).hex()
