"""What a container's shim is told of its log: where our own files go on, and, worked out, who else receives it.

In the engine, for a shim should have nothing to work out: templates, attributes and addresses are plain values here.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestr8.model import receivers
from orchestr8.model.specs import LogDriver, LogSpec
from orchestr8.runtime.patterns import matching

JOURNAL: Final = "/run/systemd/journal/socket"
_DAEMON: Final = "orchestr8"


def log_order(
    spec: LogSpec, *, container_id: str, name: str, image: str, argv: Sequence[str], environment: Sequence[str],
    labels: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """JSON for a Spawn's `log`. `environment`: of `NAME=value`. Raises ValueError for options that `plan` would not let by,
    InvalidInput for an expression that does not come to an end.
    """
    order: dict[str, Any] = {
        "driver": spec.driver.value,
        "kept": spec.kept,
        "max_bytes": spec.max_bytes,
        "max_files": spec.max_files,
        "compress": spec.compress,
    }
    if spec.driver not in (LogDriver.SYSLOG, LogDriver.JOURNALD):
        return order
    options = dict(spec.options)
    variables = dict(each.split("=", 1) for each in environment)
    attributes = receivers.extra_attributes(options, labels, variables, matching)
    fields = {
        "ID": container_id[:12], "FullID": container_id, "Name": name, "ImageName": image, "DaemonName": _DAEMON,
        "Command": " ".join(argv), "Hostname": os.uname().nodename,
    }  # fmt: skip
    tag = receivers.render_tag(options.get("tag", ""), fields, attributes)
    common = {"container": container_id, "owner": name, "queue_bytes": spec.queue_bytes}
    if spec.driver is LogDriver.JOURNALD:
        own = {
            "CONTAINER_ID": container_id[:12], "CONTAINER_ID_FULL": container_id, "CONTAINER_NAME": name,
            "CONTAINER_TAG": tag, "IMAGE_NAME": image, "SYSLOG_IDENTIFIER": tag,
        }  # fmt: skip
        extra = receivers.journal_fields(attributes, (*own, "MESSAGE", "PRIORITY"))
        entries = [[key, value] for key, value in {**own, **extra}.items()]
        receiver = {"kind": "journald", "name": "journald", "path": JOURNAL, "fields": entries, **common}
    else:
        receiver = {**_syslog(options), "tag": tag, **common}
    return {**order, "receiver": receiver}


def _syslog(options: Mapping[str, str]) -> dict[str, Any]:
    address = receivers.parse_address(options.get("syslog-address", ""))
    tls = None
    if address.network == receivers.SECURE:
        ca, cert, key = (options.get(name, "") for name in receivers.TLS_FILES)
        verify = not receivers.flag(options.get("syslog-tls-skip-verify", "false"))
        tls = {"ca": ca, "cert": cert, "key": key, "verify": verify}
    return {
        "kind": "syslog",
        "name": f"syslog {options['syslog-address']}" if address.network else "the machine's own syslog",
        "network": address.network,
        "path": address.path,
        "host": address.host,
        "port": address.port,
        "tls": tls,
        "facility": receivers.parse_facility(options.get("syslog-facility", "")),
        "format": options.get("syslog-format", ""),
    }
