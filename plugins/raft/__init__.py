"""Raft: consensus that one can break, and replay bit for bit.

`core` is the whole algorithm without I/O, `sim` drives it through simulated networks, disks and clocks.
"""

from collections.abc import Iterable

from host.api import Command, PluginInfo, hookimpl
from plugins.raft import commands


@hookimpl
def quartet_info() -> PluginInfo:
    """What the plugin is."""
    return PluginInfo(summary="Consensus under failure: Raft that one can break and replay bit for bit.")


@hookimpl
def quartet_commands() -> Iterable[Command]:
    """`quartet raft sim`, `soak`, `shrink` and `rules`."""
    return commands.COMMANDS
