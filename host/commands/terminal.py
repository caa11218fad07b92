"""What commands write: plain text, JSON where a machine reads it, and colour only where a person does."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TextIO

from host.colour import wants_colour

Style = Literal["bold", "dim", "red", "green", "yellow"]
_CODES: Final[dict[Style, str]] = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


@dataclass(frozen=True, slots=True)
class Terminal:
    """Standard output for results and standard error for everything else."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)

    def line(self, text: str = "") -> None:
        """Write one line of the result."""
        self.out.write(f"{text}\n")

    def note(self, text: str) -> None:
        """Write one line beside the result: an error, a remark, progress."""
        self.err.write(f"{text}\n")

    def json(self, document: Any) -> None:
        """Write a document as indented JSON."""
        self.line(json.dumps(document, indent=2, ensure_ascii=False, default=str))

    def style(self, text: str, style: Style, *, error: bool = False) -> str:
        """`text` in a colour or weight, where the stream that it goes to (`error`: standard error) wants colour."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if wants_colour(self.err if error else self.out) else text

    def table(
        self, headings: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[Style | None] = ()
    ) -> None:
        """Write rows in aligned columns under their headings; the last column runs on. `styles` colour the first."""
        widths = [max(len(row[i]) for row in (headings, *rows)) for i in range(len(headings))]
        self.line(self.style(_aligned(headings, widths), "bold"))
        for number, row in enumerate(rows):
            style = styles[number] if styles else None
            first = row[0].ljust(widths[0])
            shown = self.style(first, style) if style else first
            self.line(f"{shown}{_aligned(['', *row[1:]], [0, *widths[1:]])}".rstrip())

    def problems(self, lines: Sequence[str]) -> None:
        """Write one line for each thing wrong, and their number when there are several."""
        for text in lines:
            self.note(f"{self.style('error:', 'red', error=True)} {text}")
        if len(lines) > 1:
            self.note(f"{len(lines)} errors")


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
