"""Helpers for authors of ASGI apps: bodies and JSON in, answers and problems out, routes, event streams.

All of them are plain functions and classes over ASGI's `scope`, `receive` and `send`; an app may use any of them, or
none. Plugins import them from `host.api`.
"""

from host.asgi.answers import (
    RawHeaders,
    Response,
    empty_response,
    encode_headers,
    html_response,
    json_response,
    problem_from,
    problem_response,
    send_json,
    send_problem,
    text_response,
)
from host.asgi.body import JSON_BYTES_MAX, ClientDisconnected, parse_json, read_body, read_json
from host.asgi.event_stream import EventStream, encode_event
from host.asgi.request import Request, header
from host.asgi.router import Handler, Router

__all__ = [
    "JSON_BYTES_MAX",
    "ClientDisconnected",
    "EventStream",
    "Handler",
    "RawHeaders",
    "Request",
    "Response",
    "Router",
    "empty_response",
    "encode_event",
    "encode_headers",
    "header",
    "html_response",
    "json_response",
    "parse_json",
    "problem_from",
    "problem_response",
    "read_body",
    "read_json",
    "send_json",
    "send_problem",
    "text_response",
]
