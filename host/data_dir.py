"""The folder for data, and those of plugins in it."""

from pathlib import Path

from host.errors import HostError


def made(folder: Path) -> Path:
    """The folder, made with those above it when it is not there.

    Raises:
        HostError: it cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file is in its place" if isinstance(error, FileExistsError) else error.strerror or str(error)
        hint = "set data.dir to a folder that you may write to"
        raise HostError(f"the folder {folder} cannot be made: {reason} — {hint}") from error
    return folder
