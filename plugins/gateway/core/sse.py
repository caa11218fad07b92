"""Server-sent events off the bytes of an upstream (WHATWG HTML §9.2.6), whatever the cuts between reads.

CR, LF and CRLF, a byte order mark, `data:` without a space, several data lines, comments, and a last event without its
blank line are all met in the wild.
"""

from typing import Final

Event = tuple[str, bytes]
"""The name ("" when there is none) and the data of one event."""

_BOM: Final = b"\xef\xbb\xbf"


class EventTooLarge(Exception):
    """One event is larger than the decoder may hold."""


class EventDecoder:
    """Feed it bytes, get events. Events without data (comments, ids, retry hints) are left out."""

    __slots__ = ("_buffer", "_event_bytes_max", "_has_cr", "_is_fresh", "_searched")

    def __init__(self, event_bytes_max: int) -> None:
        self._event_bytes_max = event_bytes_max
        self._buffer = b""
        self._searched = 0
        self._has_cr = False
        self._is_fresh = True

    @property
    def is_between_events(self) -> bool:
        """Whether nothing of an event has come that is not complete."""
        return not (self._buffer or self._has_cr)

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes.

        Raises:
            EventTooLarge: an event exceeds the limit; the decoder is of no more use.
        """
        if self._has_cr:
            data = b"\r" + data
            self._has_cr = False
        if b"\r" in data:
            if data.endswith(b"\r"):
                # Half of a CRLF, or a line end of its own: the next byte tells.
                data = data[:-1]
                self._has_cr = True
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        buffer = self._buffer + data if self._buffer else data
        if self._is_fresh:
            if _BOM.startswith(buffer[:3]) and len(buffer) < 3 and buffer:
                self._buffer = buffer
                return []
            if buffer:
                self._is_fresh = False
                buffer = buffer.removeprefix(_BOM)
        end = buffer.find(b"\n\n", max(0, self._searched - 1))
        if end < 0:
            self._keep(buffer)
            return []
        cut = buffer.rfind(b"\n\n") + 2
        events = [event for block in buffer[:cut].split(b"\n\n") if block and (event := _parse(block)) is not None]
        self._keep(buffer[cut:])
        return events

    def end(self) -> list[Event]:
        """The events in what is left at the end of the stream: one that lacks only its blank line counts."""
        rest, self._buffer = self._buffer, b""
        event = _parse(rest.removeprefix(_BOM)) if rest else None
        return [event] if event is not None else []

    def _keep(self, rest: bytes) -> None:
        if len(rest) > self._event_bytes_max:
            raise EventTooLarge(f"an event of more than {self._event_bytes_max} bytes")
        self._buffer = rest
        self._searched = len(rest)


def _parse(block: bytes) -> Event | None:
    """One event of one or more lines, None when it carries no data."""
    if b"\n" not in block and block.startswith(b"data: "):
        return "", block[6:]
    name = ""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, colon, value = line.partition(b":")
        if not field:
            continue
        value = value.removeprefix(b" ") if colon else b""
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return (name, b"\n".join(data)) if data else None


def frame(data: bytes, event: bytes = b"") -> bytes:
    """One event on its way to a client. `data` is JSON, which has no line breaks of its own."""
    return b"event: %s\ndata: %s\n\n" % (event, data) if event else b"data: %s\n\n" % data


DONE: Final = b"data: [DONE]\n\n"
