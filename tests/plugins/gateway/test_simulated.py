"""The simulated providers keep to HTTP where they are not told to fail."""

import time

import trio
import trio.testing
from pydantic_core import to_json

from plugins.gateway.simulated.server import SimulatedProvider


def request_of(text: str) -> bytes:
    body = to_json({"model": "echo", "messages": [{"role": "user", "content": text}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_a_request_that_comes_before_the_last_answer_has_ended_is_answered_too() -> None:
    """A client that has the last byte of an answer may send on before the server's task has seen itself done."""
    provider = SimulatedProvider("simulated", "openai", first_token_s=600.0, now_unix_s=time.time)
    async with trio.open_nursery() as nursery:
        await nursery.start(provider.run)
        stream = await trio.open_tcp_stream("127.0.0.1", provider.port)
        async with stream:
            await stream.send_all(request_of("the first"))
            await trio.testing.wait_all_tasks_blocked(0.01)
            await stream.send_all(request_of("the second"))
            await trio.testing.wait_all_tasks_blocked(0.01)
            provider.first_token_s = 0.0
            provider.hasten()
            answers = b""
            with trio.fail_after(30):
                while b"the second" not in answers:
                    answers += await stream.receive_some()
        assert answers.index(b"the first") < answers.index(b"the second")
        assert provider.tally.left == 0
        nursery.cancel_scope.cancel()
