"""Clients, hosts and a database in simulated time, on a heap of (time, number): no tasks, no clock, one seed.

Messages are single operations. On their way they are delayed, overtake one another, are doubled or lost; clients go
offline and draw on; hosts are killed and forget what was not in the database; some clients lie. What must hold at the
end, when the network is healed and everybody has asked for what it lacks:

- all honest clients and all hosts have the database's operations, by digest, by root and by picture;
- every operation that was acknowledged is in the database;
- every operation of an honest client is in the database.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from plugins.liveboard.core import operations as o
from plugins.liveboard.core.admission import LAMPORT_JUMP_MAX, Draft, Refused, Rules, admit
from plugins.liveboard.core.codec import encode_operation
from plugins.liveboard.core.errors import CodecError, Refusal
from plugins.liveboard.core.opset import Added, Entry, OperationSet, entry_of
from plugins.liveboard.core.picture import Picture
from plugins.liveboard.simulation.authors import Author, site_of

ASK_MS = 40
"""How often a client that is online asks for what it lacks, and offers what is not acknowledged."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `faults` are broken promises, in words; none is the proof."""

    seed: int
    operations: int
    events: int
    counts: Counter[str]
    digest: str
    faults: tuple[str, ...]


class Host:
    """A server: a copy of the database, which is gone when it is killed."""

    def __init__(self, database: list[Entry]) -> None:
        self.database = database
        self.board = OperationSet()
        self.rev = 0
        self.catch_up()

    def catch_up(self) -> list[Entry]:
        """Read what others have saved."""
        fresh = self.database[self.rev :]
        for entry in fresh:
            self.board.add(entry)
        self.rev = len(self.database)
        return fresh

    def offer(self, entry: Entry) -> Refused | None:
        """Judge and save, in one transaction: what others saved is seen first."""
        self.catch_up()
        refused = admit(Draft(self.board, 0), entry, Rules())
        if refused is None and self.board.get(entry.operation.id) is None:
            self.database.append(entry)
            self.catch_up()
        return refused


@dataclass
class Client:
    """A page: what it was told is saved, and what is its own alone so far."""

    author: Author
    host: int
    board: OperationSet = field(default_factory=OperationSet)
    unsaved: dict[int, Entry] = field(default_factory=dict)
    is_online: bool = True
    is_liar: bool = False

    def take(self, entry: Entry) -> None:
        """Take up an operation that the server says is saved."""
        if self.board.add(entry) is Added.NEW and entry.operation.site != self.author.site:
            self.author.saw(entry.operation)
        if entry.operation.site == self.author.site:
            self.unsaved.pop(entry.operation.seq, None)


class Network:
    """One run. `run` plays it to its end."""

    def __init__(self, seed: int, *, clients: int = 5, hosts: int = 2, strokes: int = 60, liars: int = 1) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.database: list[Entry] = []
        self.hosts = [Host(self.database) for _ in range(hosts)]
        self.clients = [
            Client(Author(site_of(number), self.random), number % hosts, is_liar=number < liars)
            for number in range(clients)
        ]
        self.acknowledged: set[o.OpId] = set()
        self.made: list[Entry] = []
        self.counts: Counter[str] = Counter()
        self.events = 0
        self._strokes = strokes
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._now = 0
        self._is_healed = False

    def run(self) -> Outcome:
        """Play the run: everybody draws, things break, then all is healed and everybody asks until it has all."""
        random = self.random
        for client in self.clients:
            for _ in range(self._strokes // len(self.clients)):
                self._at(random.randrange(1000), self._tell_lie if client.is_liar else self._draw, client)
            for start in range(random.randrange(ASK_MS), 1200, ASK_MS):
                self._at(start, self._ask, client)
        for _ in range(random.randrange(6)):
            self._at(random.randrange(1000), self._kill, random.randrange(len(self.hosts)))
        for _ in range(random.randrange(6)):
            client = random.choice(self.clients)
            start = random.randrange(900)
            self._at(start, self._set_online, client, False)
            self._at(start + random.randrange(500), self._set_online, client, True)
        self._play()
        self._is_healed = True
        for client in self.clients:
            client.is_online = True
        for _ in range(200):
            if not any(client.unsaved for client in self.clients if not client.is_liar):
                break
            for client in self.clients:
                self._ask(client)
            self._play()
        for client in self.clients:
            self._ask(client)
        self._play()
        for host in self.hosts:
            host.catch_up()
        return Outcome(
            self.seed, len(self.database), self.events, self.counts, self._truth().digest.hex(), tuple(self._faults())
        )

    def _at(self, time: int, action: Callable[..., None], *arguments: object) -> None:
        self._number += 1
        heappush(self._agenda, (time, self._number, lambda: action(*arguments)))

    def _play(self) -> None:
        while self._agenda:
            self._now, _, action = heappop(self._agenda)
            self.events += 1
            action()

    def _send(self, client: Client, action: Callable[..., None], *arguments: object) -> None:
        """A message, either way: late, lost or doubled, and in no order with others."""
        random = self.random
        if self._is_healed:
            self._at(self._now + random.randrange(20), action, *arguments)
            return
        if not client.is_online or random.random() < 0.15:
            self.counts["lost"] += 1
            return
        for _ in range(2 if random.random() < 0.1 else 1):
            self._at(self._now + random.randrange(random.choice((5, 20, 150))), action, *arguments)

    def _draw(self, client: Client) -> None:
        entry = client.author.draw()
        client.unsaved[entry.operation.seq] = entry
        self.made.append(entry)
        self._send(client, self._arrive, client, entry)

    def _ask(self, client: Client) -> None:
        """Both directions: offer what is not saved, ask for what is missing."""
        if not client.is_liar:
            for seq in sorted(client.unsaved):
                self._send(client, self._arrive, client, client.unsaved[seq])
        self._send(client, self._answer, client, dict(client.board.versions))

    def _answer(self, client: Client, versions: dict[bytes, int]) -> None:
        host = self.hosts[client.host]
        host.catch_up()
        for entry in host.board.missing_in(versions):
            self._send(client, client.take, entry)

    def _arrive(self, client: Client, entry: Entry) -> None:
        """An operation comes to the client's host, which judges, saves, acknowledges and tells all its clients."""
        operation = entry.operation
        if operation.site != client.author.site:
            self.counts["refused SITE"] += 1
            return
        refused = self.hosts[client.host].offer(entry)
        if refused is not None:
            self.counts[f"refused {refused.reason.name}"] += 1
            return
        self._send(client, self._acknowledge, client, entry)
        for other in self.clients:
            if other is not client and other.host == client.host:
                self._send(other, other.take, entry)

    def _acknowledge(self, client: Client, entry: Entry) -> None:
        self.acknowledged.add(entry.operation.id)
        client.take(entry)

    def _kill(self, number: int) -> None:
        """Kill -9: what the host knew is gone, the database is not. Its clients go to whichever host there is."""
        self.counts["killed"] += 1
        self.hosts[number] = Host(self.database)
        for client in self.clients:
            if client.host == number:
                client.host = self.random.randrange(len(self.hosts))

    def _set_online(self, client: Client, is_online: bool) -> None:
        client.is_online = is_online

    def _tell_lie(self, client: Client) -> None:
        """What a malicious client may try; some of it is honest, so that the lies have something to build on."""
        random, author = self.random, client.author
        body = o.Stroke("pen", o.Style(random.randrange(99), 8, 100), (1, 2, 3, 4))
        lie = random.randrange(7)
        if lie < 2:
            self._draw(client)
            return
        site, seq, lamport = author.site, max(1, author.seq), author.lamport + 1
        if lie == 2:
            lamport = random.choice((o.INTEGER_MAX, lamport + LAMPORT_JUMP_MAX * 2))
            seq += 1
        elif lie == 3:
            seq += random.randrange(2, 50)
        elif lie == 4:
            site = random.choice(self.clients).author.site
        elif lie == 5:
            self._malformed(body)
            return
        entry = entry_of(encode_operation(o.Operation(site, seq, lamport, body)))
        self.counts["lies"] += 1
        self._send(client, self._arrive, client, entry)

    def _malformed(self, body: o.Body) -> None:
        data = bytearray(encode_operation(o.Operation(site_of(0), 1, 1, body)))
        data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        try:
            entry_of(bytes(data))
        except CodecError:
            self.counts[f"refused {Refusal.MALFORMED.name}"] += 1

    def _truth(self) -> OperationSet:
        return OperationSet(self.database)

    def _faults(self) -> list[str]:
        truth = self._truth()
        faults = []
        picture = _picture(truth).digest()
        boards = {f"host {at}": host.board for at, host in enumerate(self.hosts)}
        boards |= {f"client {at}": each.board for at, each in enumerate(self.clients) if not each.is_liar}
        for name, board in boards.items():
            if (board.digest, board.root) != (truth.digest, truth.root):
                faults.append(f"{name} has {len(board)} operations, not the database's {len(truth)}")
            elif _arrival_picture(board, self.random).digest() != picture:
                faults.append(f"{name} shows another picture")
        lost = [id for id in self.acknowledged if id not in truth]
        if lost:
            faults.append(f"{len(lost)} acknowledged operations are lost")
        liars = {client.author.site for client in self.clients if client.is_liar}
        missing = [each for each in self.made if each.operation.site not in liars and each.operation.id not in truth]
        if missing:
            faults.append(f"{len(missing)} operations of honest clients were never saved")
        if len(truth) != len(self.database):
            faults.append("the database holds something twice")
        return faults


def _picture(board: OperationSet) -> Picture:
    picture = Picture()
    for entry in board:
        picture.add(entry.operation)
    return picture


def _arrival_picture(board: OperationSet, random: Random) -> Picture:
    """The picture as it comes out when the operations arrive in another order."""
    entries = list(board)
    random.shuffle(entries)
    picture = Picture()
    for entry in entries:
        picture.add(entry.operation)
    return picture


def simulate(seed: int) -> Outcome:
    """One run; how many take part, and how many of them lie, is drawn from the seed too."""
    shape = Random(seed ^ 0x5EED)
    clients = shape.randint(2, 6)
    return Network(
        seed, clients=clients, hosts=shape.randint(1, 3), strokes=shape.randint(10, 80), liars=shape.randint(0, 1)
    ).run()
