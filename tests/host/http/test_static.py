"""Files of a folder: what is served, what is not, compressed copies, and conditional requests."""

import gzip
import os
from pathlib import Path

import pytest

from host.http import static
from host.http.static import StaticFolder
from tests.host.http.memory import ask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    (site / "app.js").write_text("alert(1)")
    (site / "sub" / "deep.css").write_text("a{}")
    (site / "page.html").write_text("{{ secret }}")
    (site / "module.py").write_text("secret")
    (site / ".hidden.js").write_text("secret")
    (site / "noend").write_text("secret")
    (site / "folder.js").mkdir()
    (tmp_path / "outside.js").write_text("secret")
    (tmp_path / "site-evil").mkdir()
    (tmp_path / "site-evil" / "x.js").write_text("secret")
    (site / "escape.js").symlink_to(tmp_path / "outside.js")
    (site / "sibling").symlink_to(tmp_path / "site-evil")
    (site / "alias.js").symlink_to(site / "app.js")
    return site


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("app.js", b"alert(1)", b"text/javascript; charset=utf-8"),
        ("sub/deep.css", b"a{}", b"text/css; charset=utf-8"),
        ("alias.js", b"alert(1)", b"text/javascript; charset=utf-8"),
    ],
)
async def test_static_serves_a_file(folder: Path, path: str, body: bytes, kind: bytes) -> None:
    app = StaticFolder(folder, "/assets")
    for _ in range(2):
        got = await ask(app, "GET", f"/assets/{path}")
        assert (got.status, got.body) == (200, body)
        assert got.headers[b"content-type"] == kind
        assert got.headers[b"cache-control"] == b"no-cache"
        assert got.headers[b"content-length"] == b"%d" % len(body)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nothing.js",
        "page.html",
        "module.py",
        ".hidden.js",
        "noend",
        "sub",
        "folder.js",
        "../outside.js",
        "sub/../../outside.js",
        "sub/../app.js",
        "./app.js",
        "/app.js",
        "sub//deep.css",
        "..\\outside.js",
        "app.js\0",
        "app.js\0.css",
        "escape.js",
        "sibling/x.js",
        "app.js/",
        "C:app.js",
        "x" * 5000 + ".js",
    ],
)
async def test_static_serves_nothing_else(folder: Path, path: str) -> None:
    got = await ask(StaticFolder(folder, "/assets"), "GET", f"/assets/{path}")
    assert got.status == 404
    assert b"secret" not in got.body


async def test_static_answers_head_and_refuses_writes(folder: Path) -> None:
    app = StaticFolder(folder, "/assets")
    head = await ask(app, "HEAD", "/assets/app.js")
    assert (head.status, head.body, head.headers[b"content-length"]) == (200, b"", b"8")
    post = await ask(app, "POST", "/assets/app.js")
    assert (post.status, post.headers[b"allow"]) == (405, b"GET, HEAD")


async def test_static_conditional_requests(folder: Path) -> None:
    app = StaticFolder(folder, "/assets")
    first = await ask(app, "GET", "/assets/app.js")
    etag, modified = first.headers[b"etag"], first.headers[b"last-modified"]
    for header, status in [
        ((b"if-none-match", etag), 304),
        ((b"if-none-match", b'"other", W/' + etag), 304),
        ((b"if-none-match", b"*"), 304),
        ((b"if-none-match", b'"other"'), 200),
        ((b"if-modified-since", modified), 304),
        ((b"if-modified-since", b"Sat, 01 Jan 2000 00:00:00 GMT"), 200),
        ((b"if-modified-since", b"nonsense"), 200),
    ]:
        got = await ask(app, "GET", "/assets/app.js", header)
        assert (got.status, got.body) == (status, b"alert(1)" if status == 200 else b""), header
        assert got.headers[b"etag"] == etag
    # RFC 9110 §13.1.3: "A recipient MUST ignore If-Modified-Since if the request contains an If-None-Match header".
    both = await ask(app, "GET", "/assets/app.js", (b"if-none-match", b'"other"'), (b"if-modified-since", modified))
    assert both.status == 200


async def test_static_sees_a_changed_file_and_a_removed_one(folder: Path) -> None:
    app = StaticFolder(folder, "/assets")
    before = await ask(app, "GET", "/assets/app.js")
    (folder / "app.js").write_text("alert(2)")
    os.utime(folder / "app.js", ns=(1, 10**18))
    after = await ask(app, "GET", "/assets/app.js", (b"if-none-match", before.headers[b"etag"]))
    assert (after.status, after.body) == (200, b"alert(2)")
    (folder / "app.js").unlink()
    assert (await ask(app, "GET", "/assets/app.js")).status == 404


async def test_static_streams_a_big_file_in_parts(folder: Path) -> None:
    content = os.urandom(static.KEPT_FILE_BYTES_MAX + static.PART_BYTES + 7)
    (folder / "big.png").write_bytes(content)
    app = StaticFolder(folder, "/assets")
    got = await ask(app, "GET", "/assets/big.png")
    assert got.body == content
    assert len(got.messages) > 3
    assert got.messages[-1]["more_body"] is False
    head = await ask(app, "HEAD", "/assets/big.png")
    assert (head.body, head.headers[b"content-length"]) == (b"", b"%d" % len(content))


async def test_static_keeps_a_bounded_amount(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static, "KEPT_BYTES_MAX", 10)
    app = StaticFolder(folder, "/assets")
    for path in ("app.js", "sub/deep.css", "alias.js"):
        assert (await ask(app, "GET", f"/assets/{path}")).status == 200
        assert app._kept_bytes <= 10
        assert app._kept_bytes == sum(file.size for file in app._kept.values())


GZIP = (b"accept-encoding", b"br, gzip")
TEXT = "let a = 1;\n" * 200


async def test_text_is_sent_compressed_to_who_takes_that(folder: Path) -> None:
    (folder / "big.js").write_text(TEXT)
    app = StaticFolder(folder, "/assets")

    for _ in range(2):
        plain = await ask(app, "GET", "/assets/big.js")
        small = await ask(app, "GET", "/assets/big.js", GZIP)
        assert (plain.body, gzip.decompress(small.body)) == (TEXT.encode(), TEXT.encode())
        assert len(small.body) < len(plain.body) / 10
        assert b"content-encoding" not in plain.headers
        assert small.headers[b"content-encoding"] == b"gzip"
        assert small.headers[b"content-length"] == b"%d" % len(small.body)
        assert plain.headers[b"vary"] == small.headers[b"vary"] == b"accept-encoding"
        assert plain.headers[b"etag"] != small.headers[b"etag"]


@pytest.mark.parametrize("codings", [b"", b"br", b"gzip;q=0", b"gzip; q=0.0", b"x-gzip2"])
async def test_who_does_not_take_it_gets_the_text_as_it_is(folder: Path, codings: bytes) -> None:
    (folder / "big.js").write_text(TEXT)
    got = await ask(StaticFolder(folder, "/assets"), "GET", "/assets/big.js", (b"accept-encoding", codings))
    assert (got.status, got.body) == (200, TEXT.encode())


async def test_a_copy_is_compared_by_its_own_tag(folder: Path) -> None:
    (folder / "big.js").write_text(TEXT)
    app = StaticFolder(folder, "/assets")
    small = await ask(app, "GET", "/assets/big.js", GZIP)
    mine = (b"if-none-match", small.headers[b"etag"])

    assert (await ask(app, "GET", "/assets/big.js", GZIP, mine)).status == 304
    assert (await ask(app, "GET", "/assets/big.js", mine)).status == 200
    (folder / "big.js").write_text(TEXT + "b")
    changed = await ask(app, "GET", "/assets/big.js", GZIP, mine)
    assert (changed.status, gzip.decompress(changed.body)) == (200, TEXT.encode() + b"b")


@pytest.mark.parametrize(
    ("name", "size"), [("small.js", 1023), ("big.js", 128 * 1024 + 1), ("picture.png", 4096), ("huge.js", 600 * 1024)]
)
async def test_what_is_small_large_or_compressed_already_is_sent_as_it_is(folder: Path, name: str, size: int) -> None:
    (folder / name).write_bytes(b"a" * size)
    got = await ask(StaticFolder(folder, "/assets"), "GET", f"/assets/{name}", GZIP)
    assert (got.status, got.body) == (200, b"a" * size)
    assert b"content-encoding" not in got.headers


async def test_copies_count_for_what_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(3000).hex().encode()
    for name in ("a.js", "b.js"):
        (folder / name).write_bytes(content)
    app = StaticFolder(folder, "/assets")
    monkeypatch.setattr(static, "KEPT_BYTES_MAX", 2 * len(content) + 10)
    for name in ("a.js", "b.js"):
        await ask(app, "GET", f"/assets/{name}", GZIP)
    assert list(app._kept) == ["b.js"]
