"""Deadlines finer than the event loop's millisecond."""

import asyncio
from collections.abc import Callable
import heapq
import itertools
import os
import time


def now() -> float:
    """Seconds on the clock that all wire times are counted in."""
    return time.monotonic()


class Timers:
    """Calls back at absolute times, from one timerfd.

    asyncio rounds every wait up to a millisecond; two of those for each chunk of an
    upload would be visible in a measured data rate.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._fd = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        loop.add_reader(self._fd, self._fire)

    def close(self) -> None:
        """Forget every deadline."""
        self._loop.remove_reader(self._fd)
        self._heap.clear()
        os.close(self._fd)

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call back once `when` has come; never before this method returns."""
        heapq.heappush(self._heap, (when, next(self._order), callback))
        if self._heap[0][0] == when:
            self._arm()

    async def sleep_until(self, when: float) -> None:
        """Wait for an absolute time."""
        if when <= now():
            return
        done = self._loop.create_future()
        self.at(when, lambda: None if done.done() else done.set_result(None))
        await done

    def _arm(self) -> None:
        nanoseconds = max(1, int(self._heap[0][0] * 1e9)) if self._heap else 0
        os.timerfd_settime_ns(self._fd, flags=os.TFD_TIMER_ABSTIME, initial=nanoseconds)

    def _fire(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        while self._heap and self._heap[0][0] <= now() + 5e-6:
            heapq.heappop(self._heap)[2]()
        self._arm()
