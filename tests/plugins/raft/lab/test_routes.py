"""The lab over HTTP, in a host: what it shows, does, refuses, and keeps."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from host.testing import RunningHost, running_host

API = "/api/raft"
AWAY = {"postgres_url": "postgresql://x@127.0.0.1:1/x", "redis_url": "redis://127.0.0.1:1/0"}
"""The plugin needs neither."""
PATIENT = {"actions_per_s": 1000.0, "actions_burst": 1000, "election_timeout": 0.4}
"""A busy machine must not unseat the leaders that a test counts on."""


@asynccontextmanager
async def lab(tmp_path: Path, **keys: Any) -> AsyncIterator[RunningHost]:
    async with running_host({"raft": {**PATIENT, **keys}}, data_dir=tmp_path, **AWAY) as host:
        yield host


async def act(host: RunningHost, **action: Any) -> httpx.Response:
    return await host.http.post(f"{API}/actions", json=action)


async def state(host: RunningHost) -> Any:
    return (await host.http.get(f"{API}/state")).json()


async def until(host: RunningHost, holds: Callable[[Any], bool]) -> Any:
    """Wait until the state document is as it should be; it is what a page would see as well."""
    with trio.fail_after(30):
        while not holds(found := await state(host)):  # noqa: ASYNC110 - the lab is another process's, as it were
            await trio.sleep(0.02)
    return found


async def done(host: RunningHost, **action: Any) -> httpx.Response:
    """Do something that must work; a leader that changes meanwhile refuses, and it is done again."""
    with trio.fail_after(60):
        while (answer := await act(host, **action)).status_code != 200:  # noqa: ASYNC110 - only asking again tells
            await trio.sleep(0.02)
    return answer


async def act_until(host: RunningHost, holds: Callable[[Any], bool], **action: Any) -> None:
    """Do something again and again until it has come about: on a busy machine leaders come and go."""
    with trio.fail_after(60):
        while not holds(await state(host)):
            await act(host, **action)


async def led(host: RunningHost) -> int:
    return int((await until(host, lambda found: found["cluster"]["leader"]))["cluster"]["leader"])


class Events:
    """A viewer on a plain socket: reads chunks (RFC 9112 §7.1), and events in them."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._raw = b""
        self._text = b""

    async def _raw_until(self, mark: bytes) -> bytes:
        while mark not in self._raw:
            part = await self._stream.receive_some(65536)
            assert part, "the stream ended"
            self._raw += part
        found, _, self._raw = self._raw.partition(mark)
        return found

    async def begin(self, path: str, last_id: str) -> None:
        lines = [f"GET {path} HTTP/1.1", "Host: localhost"] + ([f"Last-Event-ID: {last_id}"] if last_id else [])
        await self._stream.send_all("\r\n".join([*lines, "", ""]).encode())
        head = await self._raw_until(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0]
        assert b"text/event-stream" in head

    async def following(self) -> tuple[str, str, Any, int]:
        """The next event: its name, id, data and size."""
        with trio.fail_after(20):
            while True:
                while b"\n\n" not in self._text:
                    size = int(await self._raw_until(b"\r\n"), 16)
                    while len(self._raw) < size + 2:
                        self._raw += await self._stream.receive_some(65536)
                    self._text += self._raw[:size]
                    self._raw = self._raw[size + 2 :]
                event, _, self._text = self._text.partition(b"\n\n")
                fields = dict(line.partition(": ")[::2] for line in event.decode().split("\n"))
                if "data" in fields:
                    return fields["event"], fields["id"], json.loads(fields["data"]), len(event) + 2


@asynccontextmanager
async def events(host: RunningHost, last_id: str = "") -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Call what this gives for the next event."""
    url = httpx.URL(host.url)
    assert url.port is not None
    async with await trio.open_tcp_stream(url.host, url.port) as stream:
        viewer = Events(stream)
        await viewer.begin(f"{API}/events", last_id)
        yield viewer.following


async def test_leader_is_killed_and_what_was_written_is_there(tmp_path: Path) -> None:
    async with lab(tmp_path) as host:
        await led(host)
        written = await done(host, action="propose", key="colour", value="red")
        proof = await prove(host)
        assert proof["verdict"] == "holds"
        assert proof["new_leader"] != proof["old_leader"]
        read = (await done(host, action="read", key="colour")).json()
        assert read["value"] == "red"
        assert read["index"] >= written.json()["index"]
        found = await state(host)
        assert found["checks"]["verdict"] == "holds"
        assert found["nodes"][str(proof["old_leader"])]["state"] == "up"


async def prove(host: RunningHost) -> Any:
    """The proof of the card; again when no leader was found in time."""
    with trio.fail_after(60):
        while True:
            answer = await host.http.post(f"{API}/failover", json={})
            if answer.status_code == 200 and answer.json()["verdict"] != "unknown":
                return answer.json()


async def test_minority_leader_commits_nothing_and_steps_down(tmp_path: Path) -> None:
    async with lab(tmp_path, request_timeout=1.0) as host:
        old = await led(host)
        others = [number for number in range(1, 6) if number != old]
        assert (await act(host, action="partition", groups=[[old], others])).status_code == 200
        refused = await act(host, action="propose", key="k", value="v", node=old)
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        found = await until(host, lambda found: found["cluster"]["leader"] not in (0, old))
        new = found["cluster"]["leader"]
        await done(host, action="propose", key="k", value="new")
        assert new in others
        links = (await state(host))["links"]
        assert links[f"{old}>{others[0]}"]["cut"]
        await act(host, action="heal")
        assert (await state(host))["links"] == {}
        await until(host, lambda found: found["nodes"][str(old)]["leader"] != 0)
        read = await done(host, action="read", key="k", node=old)
        assert read.json()["value"] == "new"


async def test_node_joins_and_another_leaves(tmp_path: Path) -> None:
    async with lab(tmp_path) as host:
        await led(host)
        # A leader that changes meanwhile refuses; what it has done stays, and the same again goes on from there.
        await act_until(host, lambda found: 6 in found["cluster"]["learners"], action="add", node=6, learner=True)
        await until(host, lambda found: found["nodes"]["6"]["member"] == "learner")
        await act_until(host, lambda found: 6 in found["cluster"]["voters"], action="add", node=6)
        assert (await act(host, action="add", node=6)).status_code in (409, 503)
        leader = await led(host)
        await act_until(host, lambda found: str(leader) not in found["nodes"], action="remove", node=leader)
        others = sorted({1, 2, 3, 4, 5, 6} - {leader})
        found = await until(host, lambda found: sorted(found["cluster"]["voters"]) == others)
        assert found["checks"]["verdict"] == "holds"


async def test_disk_that_is_full_or_damaged_stops_its_node_and_no_other(tmp_path: Path) -> None:
    async with lab(tmp_path) as host:
        leader = await led(host)
        node = leader % 5 + 1
        await act(host, action="disk", node=node, state="full")
        await done(host, action="propose", key="k", value="v")
        found = await until(host, lambda found: found["nodes"][str(node)]["state"] == "down")
        assert "No space left" in found["nodes"][str(node)]["reason"]
        assert (await act(host, action="restart", node=node)).status_code == 409
        assert (await act(host, action="disk", node=node, state="ok")).status_code == 200
        assert (await act(host, action="disk", node=node, state="torn")).status_code == 200
        assert (await act(host, action="restart", node=node)).status_code == 200
        assert (await act(host, action="disk", node=node, state="flipped")).status_code == 409
        await act(host, action="kill", node=node)
        await act(host, action="disk", node=node, state="flipped")
        refused = await act(host, action="restart", node=node)
        assert refused.status_code == 409
        assert (await state(host))["nodes"][str(node)]["state"] == "damaged"
        await act(host, action="heal")
        assert (await state(host))["nodes"][str(node)]["state"] == "up"


BAD: tuple[tuple[Any, int], ...] = (
    ({"action": "fly"}, 422),
    ({"action": "kill", "node": 99}, 422),
    ({"action": "kill", "node": 7}, 422),
    ({"action": "kill", "node": 1, "hard": True}, 422),
    ({"action": "resume"}, 422),
    ({"action": "propose", "key": "k", "value": "v" * 300}, 422),
    ({"action": "propose", "key": "", "value": "v"}, 422),
    ({"action": "partition", "groups": [[1, 2], [2, 3]]}, 422),
    ({"action": "cut", "from": 1, "to": 1}, 422),
    ({"action": "skew", "node": 1, "permille": 0}, 422),
    ({"action": "topology", "name": "moebius"}, 422),
    ({"action": "disk", "node": 1, "state": "torn"}, 409),
    ([], 422),
)


async def test_bad_action_gets_a_clear_answer_and_the_lab_goes_on(shared_lab: RunningHost) -> None:
    await led(shared_lab)
    for action, status in BAD:
        answer = await shared_lab.http.post(f"{API}/actions", json=action)
        assert answer.status_code == status, action
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    await done(shared_lab, action="propose", key="k", value="v")


async def test_store_with_sessions_over_http(shared_lab: RunningHost) -> None:
    http = shared_lab.http
    await led(shared_lab)
    opened = await http.post(f"{API}/kv/sessions", json={})
    assert opened.status_code == 201
    session = {"Raft-Session": str(opened.json()["session"]), "Raft-Sequence": "1"}
    first = await http.put(f"{API}/kv/fruit", json={"value": "fig"}, headers=session)
    assert first.status_code == 200
    await http.put(f"{API}/kv/fruit", json={"value": "kiwi"})
    # The retry answers as the first did, and does not undo what came between.
    again = await http.put(f"{API}/kv/fruit", json={"value": "fig"}, headers=session)
    assert again.status_code == 200
    for query in ("", "?node=2", "?node=3"):
        assert (await http.get(f"{API}/kv/fruit{query}")).json()["value"] == "kiwi"
    assert (await http.get(f"{API}/kv/fruit?stale=1")).status_code == 200
    swapped = await http.put(f"{API}/kv/fruit", json={"value": "plum", "expected": "fig"})
    assert (swapped.status_code, swapped.json()["type"]) == (409, "mismatch")
    session["Raft-Sequence"] = "9"
    assert (await http.put(f"{API}/kv/fruit", json={"value": "x"}, headers=session)).status_code == 200
    session["Raft-Sequence"] = "3"
    stale = await http.put(f"{API}/kv/fruit", json={"value": "y"}, headers=session)
    assert (stale.status_code, stale.json()["type"]) == (409, "session-stale")
    session["Raft-Session"] = "123456"
    gone = await http.put(f"{API}/kv/fruit", json={"value": "y"}, headers=session)
    assert (gone.status_code, gone.json()["type"]) == (409, "session-expired")
    assert (await http.delete(f"{API}/kv/fruit")).status_code == 200
    assert (await http.get(f"{API}/kv/fruit")).status_code == 404
    assert (await http.get(f"{API}/kv/fruit?node=x")).status_code == 422
    assert (await http.get(f"{API}/kv/fruit?node=9")).status_code == 422
    assert (await http.put(f"{API}/kv/fruit", json={"value": "y"}, headers={"Raft-Session": "1"})).status_code == 422
    assert (await http.get(f"{API}/kv/{'k' * 300}")).status_code == 422


async def test_recording_is_kept_replayed_and_played_from_its_file(shared_lab: RunningHost) -> None:
    http = shared_lab.http
    await led(shared_lab)
    await done(shared_lab, action="propose", key="k", value="v")
    made = await http.post(f"{API}/recordings", json={"seconds": 30})
    assert made.status_code == 201
    assert made.json()["verified"]
    name = made.json()["id"]
    replay = (await http.get(f"{API}/recordings/{name}")).json()
    assert replay["verified"]
    assert replay["hash"] == made.json()["hash"]
    assert len((await http.get(f"{API}/recordings/{name}/steps?from=5&limit=7")).json()) == 7
    whole = await http.get(f"{API}/recordings/{name}/state?step={replay['steps']}")
    assert whole.json()["kv"]["k"] == "v"
    assert (await http.get(f"{API}/recordings/{name}/state?step={replay['steps'] + 1}")).status_code == 422
    assert name in [known["id"] for known in (await http.get(f"{API}/recordings")).json()]
    file = (await http.get(f"{API}/recordings/{name}/file")).content
    binary = {"content-type": "application/octet-stream"}
    played = await http.post(f"{API}/replays", content=file, headers=binary)
    assert played.json()["verified"]
    assert (await http.post(f"{API}/replays", content=file[:-9], headers=binary)).status_code == 422
    assert (await http.post(f"{API}/replays", json={})).status_code == 415
    assert (await http.get(f"{API}/recordings/{'0' * 16}")).status_code == 404
    assert (await http.get(f"{API}/recordings/..%2f..%2fetc")).status_code == 404


async def test_branch_of_a_recording_is_a_link_of_its_own(shared_lab: RunningHost) -> None:
    http = shared_lab.http
    old = await led(shared_lab)
    await done(shared_lab, action="propose", key="k", value="v")
    made = (await http.post(f"{API}/recordings", json={"seconds": 30})).json()
    url = f"{API}/recordings/{made['id']}/branch"
    wish = {"step": made["steps"], "ms": 1500, "actions": [{"after_ms": 50, "action": "kill", "node": old}]}
    first, again = [await http.post(url, json=wish) for _ in range(2)]
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    branch = first.json()
    assert branch["verified"]
    assert (branch["of"], branch["branched_at"]) == (made["id"], made["steps"])
    assert branch["frames"][-1]["step"] == branch["steps"]
    replay = (await http.get(f"{API}/recordings/{branch['id']}")).json()
    assert replay["hash"] == branch["hash"]
    assert (await http.get(f"{API}/recordings/{branch['id']}/state?step=0")).json()["kv"]["k"] == "v"
    assert (await http.post(url, json={**wish, "seed": 1})).json()["hash"] != branch["hash"]
    # The live lab knows nothing of it.
    assert (await state(shared_lab))["nodes"][str(old)]["state"] == "up"
    for bad in ({"step": made["steps"] + 1}, {"step": 0, "ms": 60_000}, {"step": 0, "actions": [{"action": "add"}]}):
        refused = await http.post(url, json=bad)
        assert refused.status_code == 422
        assert refused.json()["detail"]
    assert (await http.post(f"{API}/recordings/{'0' * 16}/branch", json={"step": 0})).status_code == 404


async def test_viewer_gets_the_state_then_what_changes_and_resumes(tmp_path: Path) -> None:
    async with lab(tmp_path) as host:
        await led(host)
        async with events(host) as following:
            kind, _, document, _ = await following()
            assert kind == "state"
            assert set(document["nodes"]) == {"1", "2", "3", "4", "5"}
            await done(host, action="propose", key="seen", value="yes")
            last = ""
            with trio.fail_after(20):
                while True:
                    kind, last, document, _ = await following()
                    assert kind == "delta"
                    if document.get("kv", {}).get("seen") == "yes":
                        break
        await done(host, action="propose", key="missed", value="not")
        async with events(host, last) as following:
            missed = {}
            while "missed" not in missed:
                kind, number, document, _ = await following()
                assert kind == "delta"
                assert number.rpartition("-")[0] == last.rpartition("-")[0]
                missed |= document.get("kv", {})
        async with events(host, "another-17") as following:
            assert (await following())[0] == "state"


async def test_stream_stays_within_its_rate_under_load(tmp_path: Path) -> None:
    async with lab(tmp_path) as host:
        await led(host)
        for link in range(3):
            await act(host, action="link", duplicate=500 + link)
        frames = size = 0
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            for client in range(4):
                nursery.start_soon(_write_on, host, client, over)
            async with events(host) as following:
                await following()
                begun = trio.current_time()
                while (passed := trio.current_time() - begun) < 2:
                    frames += 1
                    size += (await following())[3]
            over.set()
        assert frames / passed <= 30
        assert size / passed < 50_000


async def _write_on(host: RunningHost, client: int, over: trio.Event) -> None:
    number = 0
    while not over.is_set():
        number += 1
        await act(host, action="propose", key=f"key-{client}-{number % 30}", value="v" * 200)


async def test_too_many_actions_are_told_to_wait(tmp_path: Path) -> None:
    async with lab(tmp_path, actions_per_s=0.001, actions_burst=2) as host:
        answers = [await act(host, action="campaign", node=1) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        for path in ("failover", "recordings", f"recordings/{'0' * 16}/branch", "kv/sessions"):
            assert (await host.http.post(f"{API}/{path}", json={})).status_code == 429, path


async def test_idle_lab_heals_itself(tmp_path: Path) -> None:
    async with lab(tmp_path, idle_heal=0.2) as host:
        leader = await led(host)
        await act(host, action="kill", node=leader)
        await act(host, action="rules", pre_vote=False, check_quorum=False)
        await act(host, action="isolate", node=leader % 5 + 1)
        found = await until(
            host,
            lambda found: (
                not found["links"]
                and found["cluster"]["pre_vote"]
                and found["nodes"].get(str(leader), {}).get("state") == "up"
                and any("nobody touched" in line["text"] for line in found["events"])
            ),
        )
        assert found["cluster"]["heals_at"] is None


async def test_api_document_and_metrics_and_card_are_there(shared_lab: RunningHost) -> None:
    http = shared_lab.http
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert {f"{API}/state", f"{API}/actions", f"{API}/kv/{{key}}", f"{API}/replays"} <= set(paths)
    assert {"200", "409", "422", "429", "503"} <= set(paths[f"{API}/actions"]["post"]["responses"])
    metrics = (await http.get("/metrics")).text
    assert "raft_violations_total 0.0" in metrics
    (card,) = (await http.get("/-/overview.json")).json()["cards"]
    assert card["proof_url"] == f"{API}/failover"
    assert [figure["label"] for figure in card["figures"]][:2] == ["leader", "term"]


@pytest.fixture
async def shared_lab(tmp_path: Path) -> AsyncIterator[RunningHost]:
    async with lab(tmp_path) as host:
        yield host
