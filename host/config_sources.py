"""Where a configuration comes from: the file, the environment, the command line; and where each value stood.

All three give plain data. Later ones win: a table merges into a table, and anything else replaces what was there.
"""

import datetime
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from host.errors import ConfigError
from host.toml_text import dotted

ENV_PREFIX: Final = "QUARTET__"
# How the place of a value is told when it came from the environment; the name of the variable follows.
ENV_SOURCE: Final = "environment "
ENV_CONFIG: Final = "QUARTET_CONFIG"
CONFIG_NAME: Final = "config.toml"
# Far more than a configuration, far less than a file that was named by mistake.
CONFIG_BYTES_MAX: Final = 4 * 1024 * 1024

Keys = tuple[str, ...]

_KEY_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY: Final = re.compile(rf"\s*({_KEY_PART}(?:\s*\.\s*{_KEY_PART})*)\s*")


@dataclass(slots=True)
class RawConfig:
    """The merged data, and for each value the place where it was last given. `problems` are those of reading it."""

    path: Path | None
    data: dict[str, Any] = field(default_factory=dict)
    sources: dict[Keys, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def source(self, keys: Sequence[str | int]) -> str:
        """Where the value at `keys`, or else the nearest table around it or value in it, was given; else empty."""
        path = tuple(str(key) for key in keys)
        inside = next((source for known, source in self.sources.items() if known[: len(path)] == path), "")
        while path:
            if path in self.sources:
                return self.sources[path]
            path = path[:-1]
        return inside

    def put(self, keys: Keys, value: Any, source: str) -> None:
        """Set one value over what was there, making the tables on the way to it."""
        table = self.data
        for depth, key in enumerate(keys[:-1]):
            inner = table.setdefault(key, {})
            if not isinstance(inner, dict):
                above = dotted(keys[: depth + 1])
                self.problems.append(
                    f"{dotted(keys)} ({source}): expected {above} to be a table, found a value "
                    f"({self.source(keys[: depth + 1])})"
                )
                return
            table = inner
        table[keys[-1]] = value
        for inside in [known for known in self.sources if known[: len(keys)] == keys]:
            del self.sources[inside]
        self.sources[keys] = source


def find_config(explicit: Path | None, env: Mapping[str, str]) -> Path:
    """The file to read: `explicit`, else $QUARTET_CONFIG, else ./config.toml, else the one that is shipped."""
    if explicit is not None:
        return explicit
    if env.get(ENV_CONFIG):
        return Path(env[ENV_CONFIG])
    here = Path(CONFIG_NAME)
    return here if here.is_file() else shipped_config()


def shipped_config() -> Path:
    """The default configuration: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / CONFIG_NAME
    return installed if installed.is_file() else package.parent / CONFIG_NAME


def read_sources(path: Path | None, env: Mapping[str, str], sets: Sequence[str]) -> RawConfig:
    """Merge the file (None: no file at all), the environment and the `--set` values, in this order.

    Raises:
        ConfigError: the file cannot be read or is not TOML; nothing can be said about its content then.
    """
    raw = RawConfig(path)
    if path is not None:
        text = _read_text(path)
        raw.data = _parse(text, path)
        raw.sources = {keys: f"{path}:{line}" for keys, line in key_lines(text)}
    # Sorted, so that a table given whole comes before what is given inside it.
    for name in sorted(env):
        if name.startswith(ENV_PREFIX):
            keys = tuple(part.lower() for part in name.removeprefix(ENV_PREFIX).split("__"))
            if all(keys):
                raw.put(keys, parse_value(env[name]), f"{ENV_SOURCE}{name}")
            else:
                raw.problems.append(f"{ENV_SOURCE}{name}: expected {ENV_PREFIX}SECTION__KEY, found an empty part")
    for item in sets:
        key, equals, text = item.partition("=")
        parsed = parse_key(key)
        if equals and parsed:
            raw.put(parsed, parse_value(text), "--set")
        else:
            raw.problems.append(f"--set {key!r}: expected SECTION.KEY=VALUE, found no such key")
    return raw


def parse_value(text: str) -> Any:
    """`text` as a TOML value when it is one, else `text` itself. Dates stay text: no key is a date."""
    if "\n" in text or "\r" in text:
        return text
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return text if isinstance(value, (datetime.date, datetime.time)) else value


def parse_key(text: str) -> Keys:
    """The parts of a dotted TOML key (`plugins.gateway."gpt-4o".weight`); empty when it is not one."""
    match = _KEY.fullmatch(text)
    if not match or "\n" in text:
        return ()
    try:
        value: Any = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    keys = []
    while isinstance(value, dict):
        (key, value), *_ = value.items()
        keys.append(key)
    return tuple(keys)


def key_lines(text: str) -> Iterator[tuple[Keys, int]]:
    """The keys of a valid TOML document and the line, from 1, on which each stands.

    The standard parser keeps no positions. This scanner knows as much of TOML as that needs: table headers, keys, and
    where a value that runs over several lines ends. Keys inside inline tables have the line of their table; elements
    of an array of tables are numbered.
    """
    table: Keys = ()
    elements: dict[Keys, int] = {}
    lines = iter(enumerate(text.split("\n"), start=1))
    for number, line in lines:
        code = line.strip()
        if code.startswith("["):
            is_array = code.startswith("[[")
            match = _KEY.match(code, 2 if is_array else 1)
            table = _inside_arrays(parse_key(match[1]) if match else (), elements)
            if is_array:
                elements[table] = elements.get(table, -1) + 1
                table = (*table, str(elements[table]))
            yield table, number
        elif (match := _KEY.match(code)) and code.startswith("=", match.end()):
            yield (*table, *parse_key(match[1])), number
            rest = code[match.end() + 1 :]
            while not _is_whole(rest):
                following = next(lines, None)
                if following is None:
                    return
                rest += "\n" + following[1]


def _inside_arrays(keys: Keys, elements: Mapping[Keys, int]) -> Keys:
    """`keys` with the number of the current element put after each array of tables on the way (not the last key)."""
    placed: Keys = ()
    for depth, key in enumerate(keys):
        placed = (*placed, key)
        if placed in elements and depth < len(keys) - 1:
            placed = (*placed, str(elements[placed]))
    return placed


# Of a value: strings, comments and brackets. A lone triple quote opens a string that does not end here.
_TOKENS: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'{3}.*?\'{3,5}|"""|\'{3}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[][{}]''', re.DOTALL
)


def _is_whole(value: str) -> bool:
    """Whether the text after `=` holds a whole value: no bracket and no multi-line string is open at its end."""
    depth = 0
    for token in _TOKENS.findall(value):
        if token in ('"""', "'''"):
            return False
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token, 0)
    return depth <= 0


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError([f"{path}: expected a readable file, found: {reason}"]) from None
    if len(data) > CONFIG_BYTES_MAX:
        raise ConfigError([f"{path}: expected at most {CONFIG_BYTES_MAX} bytes, found more"])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: expected text in UTF-8, found byte 0x{data[error.start]:02x}"]) from None


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
        place = f"{path}:{line[1]}:{line[2]}" if line else str(path)
        reason = str(error)[: line.start()] if line else str(error)
        raise ConfigError([f"{place}: expected TOML, found: {reason[:1].lower()}{reason[1:]}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: expected TOML, found tables nested too deeply"]) from None
