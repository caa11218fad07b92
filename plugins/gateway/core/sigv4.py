"""AWS Signature Version 4 of one POST, as all services but S3 want it.

Source: AWS General Reference, "Create a signed AWS API request". Requests here have no query, which keeps one of the
six parts of the canonical request empty.
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from urllib.parse import quote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"

Field = tuple[bytes, bytes]


def authorization(
    path: bytes,
    headers: Sequence[Field],
    content: bytes,
    *,
    access_key_id: str,
    secret_access_key: str,
    region: str,
    service: str,
) -> bytes:
    """The value of `Authorization`.

    `path` is as it goes over the wire, escaped already: here it is escaped once more. `headers` are those to be signed,
    with host and x-amz-date (`20150830T123600Z`) among them and, where credentials are temporary, x-amz-security-token.
    """
    assert b"?" not in path
    fields = sorted((name.lower(), b" ".join(value.split())) for name, value in headers)
    moment = dict(fields)[b"x-amz-date"].decode()
    names = b";".join(name for name, _ in fields).decode()
    canonical = "\n".join(
        (
            "POST",
            quote(path, safe="/~"),
            "",
            b"".join(b"%s:%s\n" % field for field in fields).decode(),
            names,
            sha256(content).hexdigest(),
        )
    )
    day = moment[:8]
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = "\n".join((_ALGORITHM, moment, scope, sha256(canonical.encode()).hexdigest()))
    key = b"AWS4" + secret_access_key.encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return f"{_ALGORITHM} Credential={access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}".encode()
