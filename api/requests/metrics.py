"""Figures for whoever watches over the service, in Prometheus's text format.

In: each answered request. Out: counts and durations by method, route and
status, over all workers. It exists beside the log because an alarm needs rates,
not lines; like the log it knows routes and never what was sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Set, before this module is loaded, to the folder in which several workers add up their figures."""
_DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_requests = Counter("gloria_requests", "Requests answered.", ["method", "route", "status"])
_views_lost = Counter("gloria_audit_views_lost", "Views that are missing in the audit trail.")
_duration_s = Histogram("gloria_request_seconds", "Time to answer.", ["method", "route"], buckets=_DURATIONS_S)


def count_request(method: str, route: str, status: int, duration_s: float) -> None:
    """Count one answered request; `route` is a template, "" where none fitted."""
    _requests.labels(method, route, str(status)).inc()
    _duration_s.labels(method, route).observe(duration_s)


def count_lost_views(n: int) -> None:
    """Count views that could not be kept until they were stored."""
    _views_lost.inc(n)


class _Jobs(Collector):
    """Counts of the moment, which are the database's and not a worker's."""

    def __init__(self, jobs: Mapping[tuple[str, str], int]) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        family = GaugeMetricFamily("gloria_jobs", "Jobs that are kept, by kind and state.", labels=["kind", "state"])
        for labels, n in sorted(self._jobs.items()):
            family.add_metric(list(labels), n)
        yield family


def exposition(jobs: Mapping[tuple[str, str], int]) -> bytes:
    """Return all figures as text, of all workers; `jobs` is how many there are by kind and state."""
    counted = CollectorRegistry()
    counted.register(_Jobs(jobs))
    if os.environ.get(SHARED_FOLDER):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry) + generate_latest(counted)
    return generate_latest() + generate_latest(counted)
