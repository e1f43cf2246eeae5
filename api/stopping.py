"""That the server is about to stop, known as soon as it is told so.

In: the signals that end a process. Out: an event that long work and open streams look at. It exists because the
server first waits for all answers to be finished and only then tells the application that it stops: a stream that
somebody listens to would never finish.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def heed_signals(stopping: threading.Event) -> None:
    """Set the event once a signal that stops the server comes; whoever handled it before still does.

    Called in the event loop; outside of the main thread, where no signal arrives, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        before = signal.getsignal(number)
        if not callable(before):
            continue

        def heed(received: int, frame: FrameType | None, before: signal._HANDLER = before) -> None:
            # Not set right here: a handler may interrupt the very code that holds the event's lock.
            loop.call_soon_threadsafe(stopping.set)
            if callable(before):
                before(received, frame)

        signal.signal(number, heed)
