"""Recordings that somebody exported, as files in the plugin's folder; the oldest go when there are too many."""

import re
import time
from pathlib import Path
from typing import Any, Final

from host.api import HttpProblem
from plugins.raft.lab.frozen import NotFrozen
from plugins.raft.lab.recording import Recording, decode_recording, encode_recording
from plugins.raft.lab.replay import Replay

FILE_BYTES_MAX: Final = 8 * 1024 * 1024
_ID: Final = re.compile(r"[0-9a-f]{16}")


class Archive:
    """A folder of recordings. All methods block: call them in a thread."""

    def __init__(self, folder: Path, kept: int) -> None:
        self._folder = folder
        self._kept = kept

    def keep(self, recording: Recording) -> dict[str, Any]:
        """Write a recording, replay it, and say what came of it."""
        data = encode_recording(recording)
        replay = Replay(decode_recording(data))
        is_same = replay.run()
        name = recording.hash.hex()[:16]
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f"{name}.new"
        temporary.write_bytes(data)
        temporary.rename(self._folder / f"{name}.raft")
        self._tidy()
        return {
            "id": name,
            "url": f"/raft-lab?recording={name}",
            "file_url": f"/api/raft/recordings/{name}/file",
            "steps": len(recording.steps),
            "seconds": round((recording.end_us - recording.segment.start_us) / 1e6, 1),
            "bytes": len(data),
            "hash": recording.hash.hex(),
            "replayed_hash": replay.hash.hex(),
            "verified": is_same,
        }

    def read(self, name: str) -> bytes:
        """The file of a recording. Raises HttpProblem 404."""
        try:
            if _ID.fullmatch(name):
                return (self._folder / f"{name}.raft").read_bytes()
        except FileNotFoundError:
            pass
        raise HttpProblem(404, f"there is no recording {name[:40]!r}, or it is older than those that are kept")

    def load(self, name: str) -> Recording:
        """A recording. Raises HttpProblem 404, or 422 when its file is of another version."""
        return parsed(self.read(name))

    def latest(self) -> list[dict[str, Any]]:
        """What there is, the newest first."""
        now = time.time()
        return [
            {
                "id": path.stem,
                "url": f"/raft-lab?recording={path.stem}",
                "bytes": path.stat().st_size,
                "age_s": round(now - path.stat().st_mtime),
            }
            for path in self._paths()
        ]

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.raft"), key=lambda path: path.stat().st_mtime, reverse=True)

    def _tidy(self) -> None:
        for path in self._paths()[self._kept :]:
            path.unlink(missing_ok=True)


def parsed(data: bytes) -> Recording:
    """A recording from a file's bytes. Raises HttpProblem 422."""
    try:
        return decode_recording(data)
    except NotFrozen as error:
        raise HttpProblem(422, str(error)) from None
