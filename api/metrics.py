"""Figures for whoever watches over the service, in Prometheus's text format.

In: each answered request. Out: counts and durations by method, route and
status, over all workers. It exists beside the log because an alarm needs rates,
not lines; like the log it knows routes and never what was sent.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Set, before this module is loaded, to the folder in which several workers add up their figures."""
_DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_requests = Counter("gloria_requests", "Requests answered.", ["method", "route", "status"])
_duration_s = Histogram("gloria_request_seconds", "Time to answer.", ["method", "route"], buckets=_DURATIONS_S)


def count_request(method: str, route: str, status: int, duration_s: float) -> None:
    """Count one answered request; `route` is a template, "" where none fitted."""
    _requests.labels(method, route, str(status)).inc()
    _duration_s.labels(method, route).observe(duration_s)


def exposition() -> bytes:
    """Return all figures as text, of all workers."""
    if os.environ.get(SHARED_FOLDER):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest()
