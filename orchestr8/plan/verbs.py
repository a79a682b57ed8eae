"""All verbs side by side: each makes a `Plan` from what is wanted and one `Snapshot`, and changes nothing itself."""

from orchestr8.plan.down import plan_down
from orchestr8.plan.lifecycle import plan_kill, plan_pause, plan_restart, plan_start, plan_stop, plan_unpause
from orchestr8.plan.options import (
    DownOptions,
    KillOptions,
    OneOff,
    PauseOptions,
    RestartOptions,
    StartOptions,
    StopOptions,
    UpOptions,
)
from orchestr8.plan.resume import plan_reconcile
from orchestr8.plan.run import plan_run
from orchestr8.plan.up import plan_up

__all__ = [
    "DownOptions",
    "KillOptions",
    "OneOff",
    "PauseOptions",
    "RestartOptions",
    "StartOptions",
    "StopOptions",
    "UpOptions",
    "plan_down",
    "plan_kill",
    "plan_pause",
    "plan_reconcile",
    "plan_restart",
    "plan_run",
    "plan_start",
    "plan_stop",
    "plan_unpause",
    "plan_up",
]
