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


class ChunkShape:
    """The bytes before and after the text of the newest chunk that was regular."""

    __slots__ = ("_lessons", "_prefix", "_suffix")

    def __init__(self) -> None:
        self._prefix = self._suffix = b""
        self._lessons = LESSONS_MAX

    def text_of(self, data: bytes) -> str | None:
        """The text of a chunk of the known shape, None for any other, for which there is no shape from now on."""
        prefix, suffix = self._prefix, self._suffix
        if prefix and data.startswith(prefix) and data.endswith(suffix):
            plain = _PLAIN.fullmatch(data, len(prefix), len(data) - len(suffix))
            if plain is not None:
                try:
                    text = plain[0].decode()
                except UnicodeDecodeError:
                    pass  # The parser has to say what is wrong with it.
                else:
                    self._lessons = LESSONS_MAX
                    return text
        self._prefix = b""
        return None

    def learn(self, data: bytes, text: str) -> None:
        """`data` is a regular chunk whose content is `text`, and that changed nothing but how much has been said."""
        if not self._lessons:
            return
        self._lessons -= 1
        plain = text.encode("utf-8", "replace")
        for lead in _LEADS:
            if data.count(whole := lead + plain + b'"') == 1:
                at = data.index(whole) + len(lead)
                self._prefix, self._suffix = data[:at], data[at + len(plain) :]
                return
