"""Chunks that differ from the one before in their text alone, known by their bytes.

Nearly every chunk of a stream is of that kind. To parse it, to look at each of its members, and to find all in order
costs ten times as much as to see that its bytes around the text are those of a chunk that was in order.
"""

import re
from typing import Final

LESSONS_MAX: Final = 8
"""So often in a row a shape is learned for nothing (some providers end each chunk with a random member) until it is
left alone."""
_LEADS: Final = (b'"content":"', b'"content": "')
_PLAIN: Final = re.compile(rb'[^"\\\x00-\x1f]+')
"""Text that stands in JSON as it is."""
_PADDING: Final = re.compile(rb'"obfuscation": ?"([^"\\\x00-\x1f]*)"')
"""OpenAI's own random member, which hides the length of the text from who watches the wire, and that nobody reads."""
_PADDED: Final = re.compile(rb'[^"\\\x00-\x1f]*')


class ChunkShape:
    """The bytes around the text of the newest chunk that was regular. Chunks are whole frames: `data: {...}` and an
    empty line.
    """

    __slots__ = ("_lessons", "_middle", "_prefix", "_suffix")

    def __init__(self) -> None:
        self._prefix = self._suffix = b""
        # From the text to the padding, where there is one.
        self._middle: bytes | None = None
        self._lessons = LESSONS_MAX

    def text_of(self, chunk: bytes) -> str | None:
        """The text of a chunk of the known shape, None for any other."""
        prefix, middle = self._prefix, self._middle
        if not prefix or not chunk.startswith(prefix):
            return None
        plain = _PLAIN.match(chunk, len(prefix))
        if plain is None:
            return None
        end = plain.end()
        if middle is not None:
            if not chunk.startswith(middle, end):
                return None
            end = _PADDED.match(chunk, end + len(middle)).end()  # type: ignore[union-attr]  # it matches nothing, too
        if chunk[end:] != self._suffix:
            return None
        try:
            text = plain[0].decode()
        except UnicodeDecodeError:
            # The parser has to say what is wrong with it.
            return None
        self._lessons = LESSONS_MAX
        return text

    def forget(self) -> None:
        """Something else has come: what was regular before may no longer be."""
        self._prefix = b""

    def learn(self, chunk: bytes, text: str) -> None:
        """`chunk` is regular, its content is `text`, and it changed nothing but how much has been said."""
        if not self._lessons:
            return
        self._lessons -= 1
        plain = text.encode("utf-8", "replace")
        for lead in _LEADS:
            if chunk.count(whole := lead + plain + b'"') == 1:
                at = chunk.index(whole) + len(lead)
                rest = chunk[at + len(plain) :]
                padding = _PADDING.search(rest)
                if padding is not None:
                    self._middle, rest = rest[: padding.start(1)], rest[padding.end(1) :]
                else:
                    self._middle = None
                self._prefix, self._suffix = chunk[:at], rest
                return
