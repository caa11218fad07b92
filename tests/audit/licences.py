"""The licences of what is installed, read from its metadata and compared with those that are allowed."""

import ast
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from typing import Final

ALLOWED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CNRI-Python", "ISC", "MIT", "MIT-0", "PSF-2.0",
            "Unlicense", "Zlib",
        ),
        "permissive",
    ),
    "MPL-2.0": "its files may be used as they are; what is built on them is free",
    "LGPL-3.0-only": "psycopg, imported as a library and not changed",
}  # fmt: skip
"""By SPDX identifiers, with the reason. What is not here is refused until somebody has read it."""

_NAMES: Final[Mapping[str, str]] = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
"""What classifiers and older metadata call them."""
_NO_LICENCE: Final = frozenset({"DFSG approved", "OSI Approved"})


def problems(installed: Iterable[Distribution] | None = None) -> list[str]:
    """A line for each distribution whose licence is unknown or not allowed; of all that are installed by default."""
    found = []
    for distribution in distributions() if installed is None else installed:
        name = distribution.metadata["Name"]
        stated = stated_by(distribution)
        if not stated:
            found.append(f"{name} states no licence")
        elif not is_allowed(stated):
            found.append(f"{name} has the licence {stated!r}, which nobody has allowed")
    return sorted(set(found))


def stated_by(distribution: Distribution) -> str:
    """The licence as an SPDX expression, as far as the metadata can be read as one; "" when it says nothing."""
    metadata = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or () if line.startswith("License ::")
    ]
    # Several classifiers are a choice, as with Trio's "MIT or Apache".
    names = [_NAMES.get(name, name) for name in classifiers if name not in _NO_LICENCE]
    if names:
        return " OR ".join(names)
    text = (metadata.get("License") or "").strip().partition("\n")[0]
    return _NAMES.get(text, text)


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression is fulfilled by allowed licences alone: all of an AND, one of an OR."""
    words = re.findall(r"\(|\)|[^\s()]+", expression)
    names: dict[str, bool] = {}
    parts = []
    for word in words:
        if word in ("(", ")"):
            parts.append(word)
        elif word.upper() in ("AND", "OR"):
            parts.append(word.lower())
        else:
            names[f"n{len(names)}"] = word in ALLOWED
            parts.append(f"n{len(names) - 1}")
    try:
        return _holds(ast.parse(" ".join(parts), mode="eval").body, names)
    except SyntaxError:
        return False


def _holds(node: ast.expr, names: Mapping[str, bool]) -> bool:
    match node:
        case ast.Name(name):
            return names[name]
        case ast.BoolOp(ast.And(), values):
            return all(_holds(value, names) for value in values)
        case ast.BoolOp(ast.Or(), values):
            return any(_holds(value, names) for value in values)
    return False
