"""What it is called when a run breaks a promise."""


class Violation(Exception):
    """A promise of Raft was broken. `name` is the invariant's, `detail` says by whom and where, in one sentence."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail
