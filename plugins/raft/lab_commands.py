"""`quartet raft lab …`: all that one may do to the lab of a running host, from the command line, over its HTTP API."""

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import httpx
import trio

from host.api import Command, PluginContext, open_client

API: Final = "/api/raft"
URL: Final = "http://127.0.0.1:8000"
ON_NODE: Final = {
    "kill": "stop a node at once, as kill -9 does",
    "restart": "start a node from its disk",
    "pause": "let a node stand still",
    "resume": "let it go on",
    "isolate": "cut a node off from all others",
    "remove": "take a node out of the group and throw its disk away",
    "transfer": "hand the leadership over to a node",
    "campaign": "let a node stand for election",
    "snapshot": "let a node take a snapshot",
}
SCENARIO_TIMEOUT_S: Final = 60.0


class _Wish(NamedTuple):
    """A request."""

    method: str
    path: str
    body: dict[str, Any] | None = None


def _node(text: str) -> int | str:
    """A node's number, or "leader"."""
    if text == "leader" or text.isdecimal():
        return text if text == "leader" else int(text)
    raise ArgumentTypeError(f"{text!r} is no node: write its number, or leader")


def _group(text: str) -> list[int]:
    """Nodes that hear each other: "1,2"."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no group: write 1,2") from None


def _order(text: str) -> dict[str, Any]:
    """An action of a branch, in JSON."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ArgumentTypeError(f'{text!r} is no action: write {{"after_ms": 100, "action": "kill", "node": 3}}')
    return document


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--url", default=URL, help=f"where the host is; default {URL}")
    parser.add_argument(
        "--token", default=os.environ.get("QUARTET_ADMIN_TOKEN", ""), help="admin token; QUARTET_ADMIN_TOKEN"
    )
    parser.epilog = "example: quartet raft lab partition 1,2 3,4,5"
    orders = parser.add_subparsers(dest="order", required=True, metavar="ORDER")

    def order(name: str, text: str, build: Callable[[Namespace], _Wish]) -> ArgumentParser:
        one = orders.add_parser(name, help=text, description=text)
        one.set_defaults(build=build)
        return one

    _nodes(order)
    _network(order)
    _store(order)
    _whole(order)
    _recordings(order)


_Order = Callable[[str, str, Callable[[Namespace], _Wish]], ArgumentParser]


def _act(given: Namespace, *names: str, **more: Any) -> _Wish:
    """An action with these of the arguments, as far as they were given."""
    fields = {name.rstrip("_"): getattr(given, name) for name in names if getattr(given, name) is not None}
    return _Wish("POST", f"{API}/actions", {"action": given.order, **fields, **more})


def _nodes(order: _Order) -> None:
    for name, text in ON_NODE.items():
        order(name, text, lambda given: _act(given, "node")).add_argument("node", type=_node)
    add = order("add", "one more node; or make a learner a voter", lambda given: _act(given, "node", "learner"))
    add.add_argument("node", type=int, nargs="?")
    add.add_argument("--learner", action="store_true", help="it is sent the log, and has no vote")
    skew = order("skew", "let a node's clock run faster or slower", lambda given: _act(given, "node", "permille"))
    skew.add_argument("node", type=_node)
    skew.add_argument("permille", type=int, help="1000 is right")
    disk = order("disk", "fill, slow, damage or mend a disk", lambda given: _act(given, "node", "state", "slow_ms"))
    disk.add_argument("node", type=_node)
    disk.add_argument("state", choices=["ok", "full", "slow", "torn", "flipped"])
    disk.add_argument("--slow-ms", type=int, help="how much longer an fsync takes; default 100")


def _network(order: _Order) -> None:
    split = order("partition", "split the network", lambda given: _act(given, "groups"))
    split.add_argument("groups", type=_group, nargs="+", help="1,2 3,4,5: who is in no group is alone")
    for name, text in (("cut", "cut a link in one direction"), ("mend", "let it pass again")):
        link = order(name, text, lambda given: _act(given, "from_", "to", "both"))
        link.add_argument("from_", type=_node, metavar="from")
        link.add_argument("to", type=_node)
        link.add_argument("--both", action="store_true", help="in both directions")
    names = ("delay_ms", "jitter_ms", "loss", "duplicate")
    links = order("link", "slow links, or let them lose or double", lambda given: _act(given, "from_", "to", *names))
    links.add_argument("--from", type=_node, dest="from_", help="all nodes when it is left out")
    links.add_argument("--to", type=_node, help="likewise")
    for name in names:
        links.add_argument(f"--{name.replace('_', '-')}", type=int)


def _store(order: _Order) -> None:
    propose = order("propose", "write a key", lambda given: _act(given, "key", "value", "node"))
    propose.add_argument("key")
    propose.add_argument("value")
    read = order("read", "read a key, linearizably", lambda given: _act(given, "key", "node", "mode"))
    read.add_argument("key")
    read.add_argument("--lease", action="store_const", const="lease", default="index", dest="mode")
    for parser in (propose, read):
        parser.add_argument("--node", type=_node, help="whom to ask; the leader when it is left out")


def _whole(order: _Order) -> None:
    order("heal", "links, clocks and disks as usual; who is down starts", _act)
    order("reset", "a fresh cluster", _act)
    rules = order(
        "rules", "restart all with other rules", lambda given: _act(given, "pre_vote", "check_quorum", "lease_reads")
    )
    rules.add_argument("--no-pre-vote", action="store_false", dest="pre_vote")
    rules.add_argument("--no-check-quorum", action="store_false", dest="check_quorum")
    rules.add_argument("--lease-reads", action="store_true")
    topology = order("topology", "a fault with a name", lambda given: _act(given, "name"))
    topology.add_argument("name")
    topology.add_argument("--wait", action="store_true", help="until the time without a leader is measured")
    order("topologies", "the faults with a name", lambda given: _Wish("GET", f"{API}/topologies"))
    order("failover", "kill the leader, wait for the next, read", lambda given: _Wish("POST", f"{API}/failover", {}))
    order("state", "the lab as it is now", lambda given: _Wish("GET", f"{API}/state"))


def _recordings(order: _Order) -> None:
    base = f"{API}/recordings"
    record = order("record", "keep the last seconds", lambda given: _Wish("POST", base, {"seconds": given.seconds}))
    record.add_argument("--seconds", type=float, default=30.0)
    order("recordings", "those that are kept", lambda given: _Wish("GET", base))
    steps = order("steps", "steps of a recording, in words", lambda given: _Wish("GET", _steps_path(given)))
    steps.add_argument("id")
    steps.add_argument("--from", type=int, dest="first", default=0)
    steps.add_argument("--limit", type=int, default=100)
    branch = order(
        "branch", "what would have come if", lambda given: _Wish("POST", f"{base}/{given.id}/branch", _branch(given))
    )
    branch.add_argument("id")
    branch.add_argument("step", type=int)
    branch.add_argument("--seed", type=int, default=0)
    branch.add_argument("--ms", type=int, default=2000, help="how much time passes; default 2000")
    branch.add_argument("--do", type=_order, action="append", default=[], metavar="JSON", help="an action; repeatable")


def _steps_path(given: Namespace) -> str:
    return f"{API}/recordings/{given.id}/steps?from={given.first}&limit={given.limit}"


def _branch(given: Namespace) -> dict[str, Any]:
    return {"step": given.step, "seed": given.seed, "ms": given.ms, "actions": given.do}


async def _lab(ctx: PluginContext, given: Namespace) -> int:
    """Ask, and print the answer. Exit code 1 when the lab refuses, or nothing answers."""
    headers = {"authorization": f"Bearer {given.token}"} if given.token else {}
    try:
        async with open_client(base_url=given.url, headers=headers) as client:
            wish: _Wish = given.build(given)
            answer = await client.request(wish.method, wish.path, json=wish.body)
            if answer.is_success and getattr(given, "wait", False):
                answer = await _scenario(client)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        sys.stderr.write(f"nothing answers at {given.url}: {error} — start `quartet run`, or set --url\n")
        return 1
    document = answer.json() if "json" in answer.headers.get("content-type", "") else {"detail": answer.text[:200]}
    if not answer.is_success:
        sys.stderr.write(f"{document.get('detail', answer.reason_phrase)}\n")
        return 1
    if given.order == "branch":
        # Its frames are for a page.
        document = {key: value for key, value in document.items() if key not in ("frames", "state", "checks")}
    json.dump(document["scenario"] if getattr(given, "wait", False) else document, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


async def _scenario(client: httpx.AsyncClient) -> httpx.Response:
    """The state, once the topology that is played has its measure."""
    with trio.move_on_after(SCENARIO_TIMEOUT_S):
        while True:
            answer = await client.get(f"{API}/state")
            scenario = answer.json()["scenario"] if answer.is_success else None
            if scenario is None or scenario["done"]:
                return answer
            await trio.sleep(0.25)
    return await client.get(f"{API}/state")


LAB: Final = Command("lab", "Break, mend and use the lab of a running host.", _lab, _arguments)
