"""What `logging.options` of the drivers `syslog` and `journald` may say: addresses, facilities, tags, attributes.

Names and meanings are Docker's (moby, daemon/logger). Pure, and told as ValueError with a sentence: `stack` adds the place,
`plan` the code. Who sends is `runtime.logsenders`, which gets all of this worked out.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

FACILITIES: Final = {  # RFC 5424, 6.2.1, with the names of syslog(3)
    **{
        name: number
        for number, name in enumerate(
            ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp")
        )
    },
    **{f"local{number}": 16 + number for number in range(8)},
}
FORMATS: Final = ("", "rfc3164", "rfc5424", "rfc5424micro")
SECURE: Final = "tcp+tls"
TLS_FILES: Final = ("syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key")
DEFAULT_TAG: Final = "{{.ID}}"
_DEFAULT_PORT: Final = 514
_PATHS: Final = ("unix", "unixgram")
_HOSTS: Final = ("udp", "tcp", SECURE)
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?", re.ASCII)
_PATH_BYTES: Final = 107  # unix(7): of sun_path, without its zero
TAG_FIELDS: Final = ("ID", "FullID", "Name", "ImageName", "DaemonName", "Command", "Hostname")
_NO_FIELDS: Final = ("ImageID", "ImageFullID")
_EXPRESSION: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FIELD: Final = r"(?:\.(?P<field>\w+)|\(\s*\.ExtraAttributes\s+nil\s*\)\.(?P<attribute>\w+))"
_CALL: Final = re.compile(
    rf"\s*(?:(?P<call>lower|upper)\s+{_FIELD}|truncate\s+{_FIELD.replace('?P<', '?P<cut_')}\s+(?P<size>\d{{1,4}})"
    rf"|{_FIELD.replace('?P<', '?P<plain_')}(?:\s*\|\s*(?P<pipe>lower|upper))?)\s*",
    re.ASCII,
)
_FLAGS: Final = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_FIELD_NAME_MAX: Final = 64  # of a journal field; systemd, src/libsystemd/sd-journal/journal-file.c


class Address(NamedTuple):
    network: str  # "", unix, unixgram, udp, tcp, tcp+tls; "": the machine's own syslog, wherever it listens
    path: str = ""
    host: str = ""
    port: int = 0


def parse_address(text: str) -> Address:
    """`tcp://logs.example:601`, `unixgram:///dev/log`. Raises ValueError for what is no address of a syslog."""
    if not text:
        return Address("")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in (*_PATHS, *_HOSTS):
        raise ValueError(f"must begin with {', '.join(f'{each}://' for each in (*_HOSTS, *_PATHS))}; found {text!r}")
    if scheme in _PATHS:
        if not rest.startswith("/") or "\0" in rest:
            raise ValueError(f"must name a socket by its absolute path, as in {scheme}:///dev/log; found {text!r}")
        if len(rest.encode()) > _PATH_BYTES:
            raise ValueError(f"names a socket by a path of more than {_PATH_BYTES} bytes")
        return Address(scheme, path=rest)
    found = _HOST.fullmatch(rest)
    port = int(found[3] or _DEFAULT_PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise ValueError(f"must be {scheme}://HOST or {scheme}://HOST:PORT; found {text!r}")
    return Address(scheme, host=found[1] or found[2], port=port)


def parse_facility(text: str) -> int:
    """Its number, 0 to 23. Raises ValueError."""
    if text in FACILITIES:
        return FACILITIES[text]
    if not text:
        return FACILITIES["daemon"]
    if re.fullmatch(r"\d{1,2}", text, re.ASCII) and int(text) < 24:
        return int(text)
    raise ValueError(f"must be a facility such as daemon or local0, or its number up to 23; found {text!r}")


def check_format(text: str) -> None:
    """Raises ValueError for what is no syslog format."""
    if text not in FORMATS:
        raise ValueError(f"must be {', '.join(FORMATS[1:-1])} or {FORMATS[-1]}; found {text!r}")


def check_path(text: str) -> None:
    """Raises ValueError for what is no absolute path of the machine."""
    if not text.startswith("/") or "\0" in text:
        raise ValueError(f"must be an absolute path on the machine where the engine runs; found {text!r}")


def check_pattern(text: str) -> None:
    """Raises ValueError for what is no regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}; found {text!r}") from error


def flag(text: str) -> bool:
    """As Docker reads one (Go, strconv.ParseBool). Raises ValueError."""
    if text.lower() not in _FLAGS:
        raise ValueError(f"must be true or false; found {text!r}")
    return _FLAGS[text.lower()]


def check_tag(template: str) -> None:
    """Raises ValueError for a template that says more than is known here."""
    render_tag(template, dict.fromkeys(TAG_FIELDS, ""), {})


def render_tag(template: str, fields: Mapping[str, str], attributes: Mapping[str, str]) -> str:
    """A tag of Docker's template language, as far as it is used for tags: `{{.Name}}`, `{{lower .Name}}`,
    `{{truncate .ID 6}}`, `{{(.ExtraAttributes nil).KEY}}`. Raises ValueError. It is one line, whatever a variable holds.
    """

    def value(found: re.Match[str]) -> str:
        call = _CALL.fullmatch(found[1])
        if call is None:
            raise ValueError(f"holds {found[0]}, which is no template of a tag; known are {_known_fields()}")
        named = next(filter(None, (call[each] for each in ("field", "cut_field", "plain_field"))), "")
        attribute = next(filter(None, (call[each] for each in ("attribute", "cut_attribute", "plain_attribute"))), "")
        if attribute:
            text = attributes.get(attribute, "<no value>")
        elif named in fields:
            text = fields[named]
        elif named in _NO_FIELDS:
            raise ValueError(f"holds {found[0]}: images have no ids here; use {{{{.ImageName}}}}")
        else:
            raise ValueError(f"holds {found[0]}, and there is no such field; known are {_known_fields()}")
        if call["size"]:
            return text[: int(call["size"])]
        return _CHANGES.get(call["call"] or call["pipe"] or "", str)(text)

    rendered = _EXPRESSION.sub(value, template or DEFAULT_TAG)
    if "{{" in _EXPRESSION.sub("", template):
        raise ValueError(f"has a {{{{ without its }}}}; found {template!r}")
    return _CONTROL.sub("_", rendered)


_CHANGES: Final[Mapping[str, Callable[[str], str]]] = {"lower": str.lower, "upper": str.upper}


def _known_fields() -> str:
    return ", ".join(f"{{{{.{name}}}}}" for name in TAG_FIELDS)


def extra_attributes(
    options: Mapping[str, str],
    labels: Mapping[str, str],
    environment: Mapping[str, str],
    matching: Callable[[str, Sequence[str]], Collection[str]],
) -> dict[str, str]:
    """What `labels`, `labels-regex`, `env` and `env-regex` choose, by name; variables win over labels.

    `matching`: those of some names in which an expression is found.
    """
    chosen: dict[str, str] = {}
    for kind, held in (("labels", labels), ("env", environment)):
        names = options.get(kind, "").split(",")
        chosen.update((name, held[name]) for name in names if name in held)
        if options.get(f"{kind}-regex"):
            chosen.update((name, held[name]) for name in sorted(matching(options[f"{kind}-regex"], sorted(held))))
    return chosen


def journal_fields(attributes: Mapping[str, str], taken: Sequence[str]) -> dict[str, str]:
    """Attributes under names that the journal takes: capitals, digits and underscores, none of them in front. What has no
    such name, or one of `taken`, is left out.
    """
    named = {re.sub(r"[^A-Z0-9]", "_", _ascii_upper(name)).lstrip("_"): text for name, text in attributes.items()}
    return {
        name: text
        for name, text in named.items()
        if name and len(name) <= _FIELD_NAME_MAX and not name[0].isdigit() and name not in taken
    }


def _ascii_upper(name: str) -> str:
    return re.sub(r"[a-z]+", lambda found: found[0].upper(), name)


# --- options as a whole -----------------------------------------------------------------------------------------------


class Mistake(NamedTuple):
    option: str
    what: str  # a sentence without its subject, which is the option
    missing: bool = False  # another one beside it, rather than another value


def _anything(_text: str) -> None:
    """Whatever it is."""


_TEXTS: Final[Mapping[str, Callable[[str], object]]] = {
    "labels": _anything, "labels-regex": check_pattern, "env": _anything, "env-regex": check_pattern, "tag": check_tag,
}  # fmt: skip
CHECKS: Final[Mapping[str, Mapping[str, Callable[[str], object]]]] = {  # driver -> option -> what may be wrong with it
    "syslog": {
        "syslog-address": parse_address,
        "syslog-facility": parse_facility,
        "syslog-format": check_format,
        **dict.fromkeys(TLS_FILES, check_path),
        "syslog-tls-skip-verify": flag,
        **_TEXTS,
    },
    "journald": _TEXTS,
}
FOR_ALL: Final = ("mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress")


def mistakes(driver: str, options: Mapping[str, str]) -> Iterator[Mistake]:
    """What is wrong with the options of `driver`, those of `FOR_ALL` aside."""
    checks = CHECKS[driver]
    for name, text in options.items():
        if name in FOR_ALL:
            continue
        if name not in checks:
            yield Mistake(name, f"is no option of the logging driver `{driver}`")
            continue
        try:
            checks[name](text)
        except ValueError as error:
            yield Mistake(name, str(error))
    if driver == "syslog":
        yield from _mistaken_together(options)


def _mistaken_together(options: Mapping[str, str]) -> Iterator[Mistake]:
    if not options.get("syslog-address", "").startswith(f"{SECURE}://"):
        for name in (*TLS_FILES, "syslog-tls-skip-verify"):
            if name in options:  # what should be secret would be sent for all to read
                yield Mistake(name, f"needs a `syslog-address` that begins with {SECURE}://", missing=True)
    _, cert, key = TLS_FILES
    for name, other in ((cert, key), (key, cert)):
        if options.get(name) and not options.get(other):
            yield Mistake(name, f"needs `{other}` beside it", missing=True)


def shows_attributes(driver: str, options: Mapping[str, str]) -> bool:
    """Whether anything that `labels` and `env` choose is sent: syslog has no place for it but the tag."""
    return driver != "syslog" or ".ExtraAttributes" in options.get("tag", "")
