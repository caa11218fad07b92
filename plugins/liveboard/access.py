"""Who may enter a room, and as what: links that carry a key, and an optional password."""

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final

from plugins.liveboard.core.frames import EDIT, VIEW
from plugins.liveboard.store import RoomRow

ROOM_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SALT_BYTES: Final = 16
# RFC 7914 §2; some 30 ms and 16 MiB a try, which a thread takes.
_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1}


def new_room_name() -> str:
    """A name that nobody guesses: 80 bits in lower-case base 32."""
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()


def link_key(row: RoomRow, role: int) -> str:
    """The key that a link for that role carries. It is derived, so that there is nothing to look up or to lose."""
    what = b"edit" if role == EDIT else b"view"
    digest = hmac.digest(row.secret, b"link\x00" + row.id.encode() + b"\x00" + what, "sha256")[:16]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def role_of(row: RoomRow, key: str) -> int | None:
    """What a key lets one be in the room, None for nothing. An open room takes everybody; its view link still only
    views."""
    shown = key.encode()
    if hmac.compare_digest(shown, link_key(row, VIEW).encode()):
        return VIEW
    if row.access == "open" or hmac.compare_digest(shown, link_key(row, EDIT).encode()):
        return EDIT
    return None


def hash_password(password: str) -> bytes:
    """What is kept of a password. For a thread."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return salt + hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)


def is_password(password: str, kept: bytes) -> bool:
    """Whether it is the one that was hashed. For a thread."""
    salt, digest = kept[:_SALT_BYTES], kept[_SALT_BYTES:]
    return hmac.compare_digest(hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT), digest)
