"""Raft: consensus that one can break, and replay bit for bit.

`core` is the whole algorithm without I/O, `sim` drives it through simulated networks, disks and clocks.
"""

from host.api import PluginInfo, hookimpl


@hookimpl
def quartet_info() -> PluginInfo:
    """What the plugin is."""
    return PluginInfo(summary="Consensus under failure: Raft that one can break and replay bit for bit.")
