"""Whether to write in colour. By itself, so that the command line starts without what logging stands on."""

import os
from typing import TextIO


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour output to `stream`: NO_COLOR and FORCE_COLOR decide first, then a terminal that is not dumb."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
