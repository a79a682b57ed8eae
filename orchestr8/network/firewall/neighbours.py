"""Living beside Docker and other firewalls that keep to the `ip filter` table, iptables' own.

A drop in any base chain is final, and with bridge-nf-call-iptables on even packets between two ports of one bridge
pass through FORWARD. So where that chain drops by policy, exactly one pair of accept rules for our bridges stands in
it: in DOCKER-USER where Docker made one, else in FORWARD itself. What of our traffic is allowed is our own table's to
judge. Pure: objects of libnftables' JSON in, commands out. Legacy (not nft) iptables cannot be seen from here.
"""

from collections.abc import Iterable
from typing import Any, Final

TABLE: Final = "filter"
CHAINS: Final = ("DOCKER-USER", "FORWARD")


def wanted_chain(objects: Iterable[dict[str, Any]]) -> str:
    """The chain of `ip filter` that needs our pair; "" when there is none."""
    chains = {each["chain"]["name"]: each["chain"] for each in objects if _in_table(each, "chain")}
    if "DOCKER-USER" in chains:
        return "DOCKER-USER"
    return "FORWARD" if chains.get("FORWARD", {}).get("policy") == "drop" else ""


def our_rules(objects: Iterable[dict[str, Any]], prefix: str) -> list[tuple[str, int]]:
    """Chain and handle of every rule that matches our bridges by name: nobody else writes that prefix."""
    return [
        (each["rule"]["chain"], each["rule"]["handle"])
        for each in objects
        if _in_table(each, "rule") and any(_names(part, prefix) for part in each["rule"].get("expr", ()))
    ]


def _in_table(each: dict[str, Any], kind: str) -> bool:
    body = each.get(kind, {})
    return (body.get("family"), body.get("table")) == ("ip", TABLE)


def _names(expression: Any, prefix: str) -> bool:
    return isinstance(expression, dict) and expression.get("match", {}).get("right") == f"{prefix}*"


def correct(objects: list[dict[str, Any]], prefix: str) -> str:
    """The commands that make what is there into what should be there; "" when it is so already."""
    chain = wanted_chain(objects)
    present = our_rules(objects, prefix)
    if [name for name, _handle in present] == ([chain] * 2 if chain else []):
        return ""
    return withdraw(objects, prefix) + (accepts(chain, prefix) if chain else "")


def withdraw(objects: Iterable[dict[str, Any]], prefix: str) -> str:
    return "".join(f"delete rule ip {TABLE} {chain} handle {handle}\n" for chain, handle in our_rules(objects, prefix))


def accepts(chain: str, prefix: str) -> str:
    """First in the chain: Docker's ends with a return, others with a drop. A counter, as iptables would write it."""
    return "".join(
        f'insert rule ip {TABLE} {chain} {direction} "{prefix}*" counter accept\n'
        for direction in ("oifname", "iifname")
    )
