"""Rows as `ps -ef` has them."""

import time

from orchestr8.engine.processes import TITLES, rows
from orchestr8.model.processes import Process


def test_rows_are_those_of_ps() -> None:
    now = time.mktime((2026, 3, 5, 14, 30, 0, 0, 0, -1))
    young = Process(pid=20, parent=10, uid=0, cpu_s=30.0, started_s=900.0, command="work hard", terminal="pts/1")
    old = Process(pid=10, parent=1, uid=4_000_000_000, cpu_s=3725.9, started_s=0.0, command="init")
    found = rows([young, old], now=now, uptime_s=1000.0)
    assert found == [
        ["4000000000", "10", "1", "372", "14:13", "?", "01:02:05", "init"],
        ["root", "20", "10", "30", "14:28", "pts/1", "00:00:30", "work hard"],
    ]
    assert all(len(row) == len(TITLES) for row in found)
    assert rows([old], now=now, uptime_s=200_000.0)[0][4] == "Mar03"
    assert rows([young], now=now, uptime_s=900.0)[0][3] == "0"
