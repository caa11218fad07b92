"""The entry of `quartet`: a guard around the command line.

It imports nothing of its own accord, for the imports are most of the start: Ctrl-C among them ends the command like any
other Ctrl-C, with no traceback.
"""

import sys

INTERRUPTED = 130


def main(argv: list[str] | tuple[str, ...] | None = None) -> int:
    """Carry out a command line and return the exit code. A usage error raises SystemExit(2)."""
    try:
        from host.commands.command_line import carry_out

        return carry_out(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
