"""Stacks for tests of planning and reconciling: small documents, as `config --format json` prints them."""

from typing import Any

from orchestr8.model.ids import ContainerName, ServiceName
from orchestr8.model.specs import Desired
from orchestr8.plan.desired import build_desired

HOME = "/srv/shop"


def service(**changes: Any) -> dict[str, Any]:
    """A service that sleeps for ever on one network."""
    base = {"image": "rootfs:/", "command": ["sleep", "infinity"], "entrypoint": None, "networks": {"default": None}}
    return {**base, **changes}


def needs(*names: str, **conditions: Any) -> dict[str, Any]:
    """`needs("db", cache="service_healthy", api={"condition": …, "restart": True})` as a `depends_on`."""
    plain = {name: {"condition": "service_started", "required": True} for name in names}
    for name, each in conditions.items():
        plain[name] = {"condition": each, "required": True} if isinstance(each, str) else each
    return plain


def check(test: str = "true", **changes: Any) -> dict[str, Any]:
    return {"test": ["CMD-SHELL", test], "interval": "5s", "retries": 3, **changes}


def document(services: dict[str, Any], **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "shop",
        "services": services,
        "networks": {"default": {"name": "shop_default"}},
        "x-orchestr8": {"working_dir": HOME, "config_files": [f"{HOME}/stack.yml"]},
    }
    return {**base, **changes}


def desired(**services: Any) -> Desired:
    return build_desired(document(services))


def name(service_name: str, number: int = 1) -> ContainerName:
    return ContainerName(f"shop-{service_name}-{number}")


def names(*service_names: str) -> tuple[ServiceName, ...]:
    return tuple(map(ServiceName, service_names))
