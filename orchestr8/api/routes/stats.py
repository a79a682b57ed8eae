"""/stacks/{stack}/stats: what containers use, in the shape of Docker's `GET /containers/{id}/stats`, one reading of each."""

import os
from typing import Any

from orchestr8.api.router import Route
from orchestr8.api.routes.stacks import stack_name
from orchestr8.api.services import Measured, StackService
from orchestr8.api.values import json_response
from orchestr8.model.figures import Figures, Traffic
from orchestr8.wire.http import Answer, Request


def routes(stacks: StackService) -> list[Route]:
    async def read(request: Request, stack: str) -> Answer:
        services = tuple(request.query.get("service", ()))
        found = await stacks.figures(stack_name(stack), services=services, stopped=request.flag("all"))
        processors = os.cpu_count() or 1
        return json_response([stats(each, processors) for each in found])

    return [Route("GET", "/stacks/{stack}/stats", read)]


def stats(measured: Measured, processors: int) -> dict[str, Any]:
    """One container's; of one that does not run only what it is. `oom_kills` and `refused` have no name at Docker's."""
    container, figures = measured
    identity = {"id": container.id, "name": container.name, "service": container.service, "number": container.number}
    return identity if figures is None else {**identity, **_stats(figures, processors)}


def _stats(figures: Figures, processors: int) -> dict[str, Any]:
    """`system_cpu_usage` is the time of all processors since the machine began, which Docker adds up from /proc/stat in
    steps of 10 ms: by the clock it is the same, and exact.
    """
    return {
        "cpu_stats": {
            "cpu_usage": {"total_usage": figures.cpu_us * 1000},
            "system_cpu_usage": figures.at_ns * processors,
            "online_cpus": processors,
            "throttling_data": {
                "periods": figures.cpu_periods,
                "throttled_periods": figures.cpu_throttled_periods,
                "throttled_time": figures.cpu_throttled_us * 1000,
            },
        },
        "memory_stats": {
            "usage": figures.memory_bytes,
            "limit": figures.memory_max_bytes,
            "failcnt": figures.memory_limit_hits,
            "oom_kills": figures.oom_kills,
            "stats": {"inactive_file": figures.memory_inactive_file_bytes},
        },
        "pids_stats": {
            "current": figures.pids,
            **({"limit": figures.pids_max} if figures.pids_max > 0 else {}),
            "refused": figures.pids_refused,
        },
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"op": "read", "value": figures.block_read_bytes},
                {"op": "write", "value": figures.block_written_bytes},
            ]
        },
        "networks": {name: _network(each) for name, each in sorted(figures.traffic.items())},
    }


def _network(traffic: Traffic) -> dict[str, int]:
    return {
        "rx_bytes": traffic.received_bytes,
        "rx_packets": traffic.received_packets,
        "rx_errors": traffic.received_errors,
        "rx_dropped": traffic.received_dropped,
        "tx_bytes": traffic.sent_bytes,
        "tx_packets": traffic.sent_packets,
        "tx_errors": traffic.sent_errors,
        "tx_dropped": traffic.sent_dropped,
    }
