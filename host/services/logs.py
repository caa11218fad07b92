"""Structured logs on standard error: a console form for people, JSON for machines.

The supervisor binds `plugin` before it opens a plugin's nursery, so that every line from inside carries it. What
libraries log through the standard library comes out in the same form.
"""

import logging
import sys
from typing import Any, Literal, TextIO

import structlog

from host.colour import wants_colour

LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


def configure_logging(format: LogFormat = "auto", level: LogLevel = "info", *, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (standard error by default). "auto" is console on a terminal, JSON elsewhere."""
    out = stream or sys.stderr
    console = format == "console" or (format == "auto" and out.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f" if console else "iso", utc=not console),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: list[Any]
    if console:
        plain = structlog.dev.plain_traceback
        renderer = [structlog.dev.ConsoleRenderer(colors=wants_colour(out), exception_formatter=plain)]
    else:
        # Without the locals, which hold tokens and bodies.
        traces = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        renderer = [structlog.processors.ExceptionRenderer(traces), structlog.processors.JSONRenderer(default=str)]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their INFO lines say per request what the access log says better.
    for noisy in ("httpx", "httpcore", "hypercorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
