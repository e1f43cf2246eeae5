"""The bounds of a process that reads what strangers sent.

In: how much time and memory it may take. Out: a process that ends rather than takes more, and goes behind the server
where processors are few. It exists apart because such a process must start at once: it imports nothing else of ours.
"""

from __future__ import annotations

import os
import resource

_BEHIND = 10


def bound(cpu_s: int, most_bytes: int) -> None:
    """Go behind the server, and end rather than take all memory or all time."""
    os.nice(_BEHIND)
    for what, most in ((resource.RLIMIT_AS, most_bytes), (resource.RLIMIT_CPU, cpu_s)):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
