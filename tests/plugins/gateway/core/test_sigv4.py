"""Signatures: by the vectors that Amazon published, and as botocore makes them."""

from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from plugins.gateway.core.sigv4 import Field, authorization

KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = (
    b"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuw"
    b"thAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNV"
    b"XAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
MOMENT = b"20150830T123600Z"
BASE: list[Field] = [(b"Host", b"example.amazonaws.com"), (b"X-Amz-Date", MOMENT)]
VECTORS: dict[str, tuple[list[Field], bytes, str, str]] = {
    "post-vanilla": (
        [],
        b"",
        "host;x-amz-date",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-header-key-sort": (
        [(b"My-Header1", b"value1")],
        b"",
        "host;my-header1;x-amz-date",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-sts-header-before": (
        [(b"X-Amz-Security-Token", TOKEN)],
        b"",
        "host;x-amz-date;x-amz-security-token",
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
    "post-x-www-form-urlencoded": (
        [(b"Content-Type", b"application/x-www-form-urlencoded")],
        b"Param1=value1",
        "content-type;host;x-amz-date",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}
"""Of the "Signature Version 4 Test Suite" those that are POSTs without a query."""


@pytest.mark.parametrize("name", VECTORS)
def test_the_published_vectors(name: str) -> None:
    headers, content, signed, signature = VECTORS[name]
    made = authorization(
        b"/",
        [*headers, *BASE],
        content,
        access_key_id=KEY_ID,
        secret_access_key=SECRET,
        region="us-east-1",
        service="service",
    )
    assert made.decode() == (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={signed}, Signature={signature}"
    )


def judged(url: str, content: bytes, moment: bytes, secret: str, region: str) -> str:
    """The signature that botocore makes of a POST at a moment."""
    request = AWSRequest(method="POST", url=url, data=content, headers={"X-Amz-Date": moment.decode()})
    request.context["timestamp"] = moment.decode()
    auth = SigV4Auth(Credentials(KEY_ID, secret), "bedrock", region)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return str(auth.signature(text, request))


PATHS = st.text(alphabet="abcXYZ019-._~%/: é()", max_size=40)


@given(PATHS, st.binary(max_size=200), st.text(alphabet="abc/+=019", min_size=1), st.sampled_from(["eu-west-1", "us"]))
def test_signatures_are_those_of_botocore(name: str, content: bytes, secret: str, region: str) -> None:
    # No id begins with a dot: dots alone, and nothing, would be a path to elsewhere.
    path = f"/model/m{quote(name, safe='')}/converse"
    host = "bedrock-runtime.eu-west-1.amazonaws.com"
    made = authorization(
        path.encode(),
        [(b"host", host.encode()), (b"x-amz-date", MOMENT)],
        content,
        access_key_id=KEY_ID,
        secret_access_key=secret,
        region=region,
        service="bedrock",
    )
    assert made.decode().endswith(f"Signature={judged(f'https://{host}{path}', content, MOMENT, secret, region)}")
