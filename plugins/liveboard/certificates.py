"""Certificates checked without the server: the operations are all that is trusted, and everything is recomputed."""

from collections.abc import Mapping
from typing import Any, Final

from plugins.liveboard.core.errors import CodecError
from plugins.liveboard.core.opset import Added, OperationSet, entry_of
from plugins.liveboard.core.picture import Picture

FORMAT: Final = "liveboard-certificate-1"


class CertificateError(ValueError):
    """The certificate does not hold. The message says where."""


def verify(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """Recompute what a certificate says; returns it with the digest of the picture.

    A receipt can be checked by the server alone: it is a keyed hash, and the key never leaves the server.

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
        if name in certificate and certificate[name] != value:
            raise CertificateError(f"its {name} is {certificate[name]!r}, and that of its operations {value!r}")
    if board.gaps:
        raise CertificateError(f"{board.gaps} operations stand behind a gap")
    return {"verdict": "holds", **found, "sites": len(board.versions), "picture": picture.digest().hex()}
