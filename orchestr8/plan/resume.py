"""What an engine does of itself: restart policies, and whatever a command has left undone because its engine died.

A stack is compared with its document, as by `up`, but what has ended by itself is its restart policy's. Then the last
command is finished: by the times at which containers were made and started one sees how far it had come.
"""

from collections.abc import Collection

from orchestr8.model.ids import ContainerName, ServiceName, StackName
from orchestr8.model.observed import ContainerState, Snapshot
from orchestr8.model.specs import Desired
from orchestr8.plan.containers import (
    Decision,
    Decisions,
    Fate,
    Rules,
    container_name,
    decide_service,
    kept,
    orphans,
    why_not_running,
)
from orchestr8.plan.options import RestartOptions, StartOptions, StopOptions, Unfinished, UpOptions
from orchestr8.plan.order import Graph, containers_by_service, select, service_graph
from orchestr8.plan.plan import Plan
from orchestr8.plan.steps import Assembly
from orchestr8.plan.up import bring_up


def plan_reconcile(
    desired: Desired | None,
    snapshot: Snapshot,
    *,
    due: Collection[ContainerName] = (),
    stopped: Collection[ServiceName] = (),
    services: Collection[ServiceName] | None = None,
    no_recreate: bool = False,
    unfinished: Unfinished | None = None,
) -> Plan:
    """Start by policy what is `due`, and, given the document, make what is missing, replace what is out of date (unless
    `no_recreate`), start what never ran, and finish the command that is `unfinished`.

    `services`: those the last `up` was for; None for all. `stopped`: those that the user stopped. Whatever else ran to
    its end is left to its restart policy, so a finished one-shot is not run again.
    """
    if desired is None:
        return _plan_due(snapshot, due)
    plan = Plan()
    graph = service_graph(desired, snapshot)
    declared = {name: edges for name, edges in graph.items() if name in desired.services}
    chosen = None if services is None else [name for name in services if name in declared]
    selected = [name for name in select(declared, chosen, with_dependencies=False) if name not in stopped]
    present = containers_by_service(snapshot)
    rules = Rules(no_recreate=no_recreate)
    decisions = {
        name: decide_service(desired.stack, desired.services[name], present.get(name, ()), snapshot, rules)
        for name in selected
    }
    decisions.update((name, kept(each)) for name, each in present.items() if name not in decisions)
    for decision in (each for some in decisions.values() for each in some):
        _leave_to_policy(decision, due)
    options = _finish(desired, snapshot, graph, decisions, unfinished) if unfinished is not None else UpOptions()
    bring_up(plan, desired, snapshot, graph, selected, decisions, options)
    return plan


def _leave_to_policy(decision: Decision, due: Collection[ContainerName]) -> None:
    container = decision.observed
    if container is None or container.state is ContainerState.RUNNING:
        return
    if container.name in due and decision.fate in {Fate.START, Fate.KEEP}:
        decision.fate, decision.by_policy, decision.reason = Fate.START, True, why_not_running(container)
    elif decision.fate is Fate.START and (container.state is ContainerState.EXITED or container.error):
        decision.fate = Fate.KEEP


def _plan_due(snapshot: Snapshot, due: Collection[ContainerName]) -> Plan:
    """Start by policy, in order among themselves; services that are not due are neither touched nor waited for."""
    plan = Plan()
    found = {name: each for name, each in snapshot.containers.items() if name in due}
    decisions: Decisions = {}
    for container in sorted(found.values(), key=lambda each: (each.service, each.number)):
        if container.state is not ContainerState.RUNNING:
            (decision,) = kept([container])
            _leave_to_policy(decision, due)
            decisions.setdefault(container.service, []).append(decision)
    graph = service_graph(None, Snapshot(containers=found))
    stack = next((each.stack for each in found.values()), StackName(""))
    Assembly(plan, stack, graph, decisions, snapshot).bring_up({}, {})
    return plan


# --- finishing ----------------------------------------------------------------------------------------------------


def _finish(
    desired: Desired, snapshot: Snapshot, graph: Graph, decisions: Decisions, unfinished: Unfinished
) -> UpOptions:
    """Change the decisions by what the command has not done yet. Returned: how `bring_up` is to go about it."""
    options = unfinished.options
    needs = isinstance(options, UpOptions) and not options.no_deps
    for name in _named(graph, options.services, with_dependencies=needs or isinstance(options, StartOptions)):
        forced = isinstance(options, UpOptions) and options.force_recreate
        forced = forced and (options.services is None or name in options.services)
        for decision in decisions.get(name, ()):
            _finish_one(decision, unfinished, forced=forced)
            if decision.fate is Fate.RECREATE:
                decision.name = container_name(desired.stack, desired.services[name], decision.number)
    if not isinstance(options, UpOptions):
        return UpOptions(timeout_s=None if isinstance(options, StartOptions) else options.timeout_s)
    gone = {each.name for each in orphans(desired, snapshot).here} if options.remove_orphans else set()
    for decision in (each for some in decisions.values() for each in some if each.name in gone):
        decision.fate, decision.reason = Fate.REMOVE, "its service is not in the stack file"
    return UpOptions(
        no_recreate=options.no_recreate,
        renew_anon_volumes=options.renew_anon_volumes,
        timeout_s=options.timeout_s,
    )


def _named(graph: Graph, services: Collection[ServiceName] | None, *, with_dependencies: bool) -> list[ServiceName]:
    known = None if services is None else [name for name in services if name in graph]
    return select(graph, known, with_dependencies=with_dependencies)


def _finish_one(decision: Decision, unfinished: Unfinished, *, forced: bool) -> None:
    container = decision.observed
    if container is None or decision.fate in {Fate.REMOVE, Fate.RECREATE}:
        return
    started = container.started_at >= unfinished.since
    match unfinished.options:
        case UpOptions() if forced and container.created_at < unfinished.since:
            decision.fate, decision.reason = Fate.RECREATE, "--force-recreate"
        case StopOptions() if decision.running or decision.by_policy:  # what waits for its policy must not run again
            decision.fate, decision.reason = Fate.STOP, "stop requested"
        case RestartOptions() if decision.running and not started:
            decision.fate, decision.reason = Fate.RESTART, "restart requested"
        case UpOptions() | StartOptions() | RestartOptions() if not decision.running and not started:
            decision.fate, decision.reason, decision.by_policy = Fate.START, why_not_running(container), False
