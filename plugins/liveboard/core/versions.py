"""Version vectors: how far each site's operations are known without a gap.

Sites number from 1 without holes, so one number per site says exactly which operations are there (Parker et al. 1983).
With a site that lies about its numbers a vector proves nothing: boards are compared by hashes, and vectors only say
what to send.
"""

from collections.abc import Iterable, Mapping

Versions = Mapping[bytes, int]


def covers(versions: Versions, other: Versions) -> bool:
    """Whether everything in `other` is in `versions`."""
    return all(versions.get(site, 0) >= seq for site, seq in other.items())


def merged(one: Versions, other: Versions) -> dict[bytes, int]:
    """The least vector that covers both."""
    return {site: max(one.get(site, 0), other.get(site, 0)) for site in {*one, *other}}


def behind_by(versions: Versions, other: Versions) -> int:
    """How many operations of `other` are missing in `versions`."""
    return sum(max(0, seq - versions.get(site, 0)) for site, seq in other.items())


def sorted_versions(versions: Versions) -> tuple[tuple[bytes, int], ...]:
    """The vector as it is encoded."""
    return tuple(sorted(versions.items()))


def missing_ranges(versions: Versions, other: Versions) -> Iterable[tuple[bytes, int, int]]:
    """(site, first, last) of what `other` has and `versions` lacks, by site."""
    for site, seq in sorted(other.items()):
        if (known := versions.get(site, 0)) < seq:
            yield site, known + 1, seq
