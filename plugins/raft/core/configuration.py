"""Who the members are: a configuration, its encoding in an entry, and the steps that lead from one to another.

Source: paper §6 (joint consensus), thesis §4.1 (single steps), §4.2.1 (learners, there "non-voting members").
"""

import struct
from typing import Final, NamedTuple

from plugins.raft.core.inputs import AUTO, JOINT_EXPLICIT

MEMBERS_MAX: Final = 64
"""More members than any sensible group; keeps entries and messages small."""


class Configuration(NamedTuple):
    """`voters` decide; while `outgoing` is not empty, its majority is needed as well (joint). Learners only listen.

    `learners_next` are outgoing voters that become learners on leaving. `auto_leave`: the leader leaves by itself.
    All tuples are sorted, and voters and learners do not overlap.
    """

    voters: tuple[int, ...]
    outgoing: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False

    @property
    def is_joint(self) -> bool:
        """Whether two majorities are needed."""
        return bool(self.outgoing)

    @property
    def members(self) -> tuple[int, ...]:
        """Everybody who is sent the log, in order."""
        return tuple(sorted({*self.voters, *self.outgoing, *self.learners}))

    @property
    def all_voters(self) -> tuple[int, ...]:
        """Everybody whose vote may count, in order."""
        return tuple(sorted({*self.voters, *self.outgoing})) if self.outgoing else self.voters

    def left(self) -> "Configuration":
        """This configuration after joint consensus."""
        learners = tuple(sorted({*self.learners, *self.learners_next}))
        return Configuration(self.voters, (), learners, (), False)


class ConfigurationError(ValueError):
    """A change that leads nowhere, in words."""


def change(now: Configuration, voters: tuple[int, ...], learners: tuple[int, ...], transition: int) -> Configuration:
    """The configuration to append so that `voters` and `learners` become the members.

    At most one voter comes or goes in a single step, else their majorities need not overlap (thesis §4.1).
    Raises ConfigurationError.
    """
    new, listening = tuple(sorted(set(voters))), tuple(sorted(set(learners)))
    if now.is_joint:
        raise ConfigurationError("a joint configuration must be left first")
    if not new:
        raise ConfigurationError("a group needs a voter")
    if set(new) & set(listening):
        raise ConfigurationError("a member is either a voter or a learner")
    if len(new) + len(listening) > MEMBERS_MAX:
        raise ConfigurationError(f"at most {MEMBERS_MAX} members")
    if min((*new, *listening)) < 1:
        raise ConfigurationError("ids of nodes are positive")
    if transition == AUTO and len(set(new) ^ set(now.voters)) <= 1:
        return Configuration(new, (), listening)
    demoted = tuple(node for node in listening if node in now.voters)
    at_once = tuple(node for node in listening if node not in now.voters)
    return Configuration(new, now.voters, at_once, demoted, transition != JOINT_EXPLICIT)


_COUNTS: Final = struct.Struct("<5B")


def encode_configuration(configuration: Configuration) -> bytes:
    """The bytes for an entry."""
    groups = configuration[:4]
    ids = [node for group in groups for node in group]
    head = _COUNTS.pack(*map(len, groups), configuration.auto_leave)
    return head + struct.pack(f"<{len(ids)}q", *ids)


def decode_configuration(data: bytes) -> Configuration:
    """The configuration in an entry. Raises ConfigurationError on anything that `encode_configuration` did not make."""
    if len(data) < _COUNTS.size:
        raise ConfigurationError("a configuration is cut short")
    *counts, auto_leave = _COUNTS.unpack_from(data)
    if len(data) != _COUNTS.size + 8 * sum(counts) or auto_leave > 1:
        raise ConfigurationError("a configuration has the wrong length")
    ids = struct.unpack_from(f"<{sum(counts)}q", data, _COUNTS.size)
    groups = []
    at = 0
    for count in counts:
        groups.append(tuple(ids[at : at + count]))
        at += count
    if any(list(group) != sorted(set(group)) for group in groups):
        raise ConfigurationError("a configuration is not in order")
    return Configuration(groups[0], groups[1], groups[2], groups[3], bool(auto_leave))
