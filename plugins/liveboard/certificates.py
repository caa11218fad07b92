"""Certificates: a board's operations, signed, to be checked without the server.

The server signs the revision, the digest and the root with a key of the room's (Ed25519, RFC 8032): a receipt for all
operations at once that anybody can check. Whoever verifies trusts that key and nothing else; everything is recomputed.
The receipts of single operations are keyed hashes, by which the server alone knows again what it lost.
"""

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from plugins.liveboard.core.errors import CodecError
from plugins.liveboard.core.opset import Added, OperationSet, entry_of
from plugins.liveboard.core.picture import Picture

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FORMAT: Final = "liveboard-certificate-1"


class CertificateError(ValueError):
    """The certificate does not hold. The message says where."""


def public_key(secret: bytes, room: str) -> str:
    """The key by which a room's certificates are known, in hex."""
    return _key(secret, room).public_key().public_bytes_raw().hex()


def signed(secret: bytes, room: str, rev: int, digest: bytes, root: bytes) -> dict[str, Any]:
    """A certificate but for its operations: what it says of them, signed with the key of the room of that secret."""
    key = _key(secret, room)
    return {
        "format": FORMAT,
        "room": room,
        "rev": rev,
        "digest": digest.hex(),
        "root": root.hex(),
        "key": key.public_key().public_bytes_raw().hex(),
        "signature": key.sign(_statement(room, rev, digest.hex(), root.hex())).hex(),
    }


def verify(certificate: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
    """Recompute what a certificate says and check its signature; returns what was found, the picture's digest included.

    `key` is the room's as known from elsewhere, in hex; None takes the certificate's own, which then only shows that
    whoever has that key signed it.

    Raises:
        CertificateError: something in it is not as it says.
    """
    if not isinstance(certificate, Mapping) or certificate.get("format") != FORMAT:
        raise CertificateError(f"it is no {FORMAT}")
    board, picture = OperationSet(), Picture()
    for rev, each in enumerate(certificate.get("operations", ()), 1):
        try:
            entry = entry_of(bytes.fromhex(each["bytes"]))
        except (CodecError, KeyError, TypeError, ValueError) as error:
            raise CertificateError(f"revision {rev} is no operation: {error}") from error
        if board.add(entry) is not Added.NEW:
            raise CertificateError(f"revision {rev} repeats an operation")
        picture.add(entry.operation)
    found = {"rev": len(board), "digest": board.digest.hex(), "root": board.root.hex()}
    for name, value in found.items():
        if certificate.get(name) != value:
            raise CertificateError(f"its {name} is {certificate.get(name)!r}, and that of its operations {value!r}")
    if board.gaps:
        raise CertificateError(f"{board.gaps} operations stand behind a gap")
    _check_signature(certificate, key)
    return {
        "verdict": "holds",
        "room": certificate["room"],
        **found,
        "sites": len(board.versions),
        "picture": picture.digest().hex(),
        "key": certificate["key"],
    }


def _key(secret: bytes, room: str) -> "Ed25519PrivateKey":
    # Loaded with the first certificate: it takes as long as the rest of the plugin.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(hmac.digest(secret, b"certificate\x00" + room.encode(), "sha256"))


def _check_signature(certificate: Mapping[str, Any], key: str | None) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if key is not None and certificate.get("key") != key:
        raise CertificateError(f"it is signed with the key {certificate.get('key')!r}, and not with {key!r}")
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(certificate["key"]))
        statement = _statement(*(certificate[name] for name in ("room", "rev", "digest", "root")))
        public.verify(bytes.fromhex(certificate["signature"]), statement)
    except (InvalidSignature, KeyError, TypeError, ValueError) as error:
        raise CertificateError("the signature is not that of its key") from error


def _statement(room: str, rev: int, digest: str, root: str) -> bytes:
    """What is signed: four lines."""
    return f"{FORMAT} {room}\n{rev}\n{digest}\n{root}\n".encode()
