"""What a scenario can ask. Each returns a check: "" when it holds, else a sentence that says what is so instead."""

import os
import urllib.error
import urllib.request
from typing import Any, Final

from e2e.engine import Result
from e2e.scenario import Check, Scenario

PAGE_S: Final = 5.0


def out(*texts: str) -> Check:
    """The command's standard output holds each of these."""
    return lambda _scenario, result: _lacks("stdout", result.out, texts)


def err(*texts: str) -> Check:
    """The command's standard error holds each of these."""
    return lambda _scenario, result: _lacks("stderr", result.err, texts)


def state(service: str, *states: str) -> Check:
    """The states of the service's containers in the order of their numbers: one word for all, or one each."""
    return _each(service, "State", states)


def health(service: str, *states: str) -> Check:
    return _each(service, "Health", states)


def exit_code(service: str, *codes: int) -> Check:
    return _each(service, "ExitCode", codes)


def containers(*names: str) -> Check:
    """These containers exist, in whatever state, and no others."""

    def check(scenario: Scenario, _result: Result) -> str:
        found = sorted(each["Name"] for each in scenario.containers())
        return "" if found == sorted(names) else f"the containers are {found}, not {sorted(names)}"

    return check


def log(service: str, *texts: str) -> Check:
    """The service wrote each of these, in this order."""

    def check(scenario: Scenario, _result: Result) -> str:
        written, start = scenario.logs(service), 0
        for text in texts:
            found = written.find(text, start)
            if found < 0:
                return f"{service} has not written {text!r} in its turn, but:\n{written}"
            start = found + len(text)
        return ""

    return check


def page(url: str, *texts: str) -> Check:
    """A page answers with 200 and holds each of these."""

    def check(_scenario: Scenario, _result: Result) -> str:
        try:
            with urllib.request.urlopen(url, timeout=PAGE_S) as response:
                return _lacks(url, response.read().decode(), texts)
        except urllib.error.URLError as error:
            return f"{url}: {error}"

    return check


def no_page(url: str) -> Check:
    """Nobody listens there."""

    def check(_scenario: Scenario, _result: Result) -> str:
        try:
            urllib.request.urlopen(url, timeout=PAGE_S).close()
        except urllib.error.URLError as error:
            return "" if isinstance(error.reason, ConnectionRefusedError) else f"{url}: {error}"
        return f"{url} answers"

    return check


def file(path: str, content: str) -> Check:
    """A file of the stack's directory holds exactly this."""

    def check(scenario: Scenario, _result: Result) -> str:
        try:
            with open(os.path.join(scenario.directory, path), encoding="utf-8") as opened:
                found = opened.read()
        except FileNotFoundError:
            return f"there is no {path}"
        return "" if found == content else f"{path} holds {found!r}"

    return check


def _each(service: str, field: str, wanted: tuple[Any, ...]) -> Check:
    def check(scenario: Scenario, _result: Result) -> str:
        found = tuple(each[field] for each in scenario.containers(service))
        holds = found == wanted or (len(wanted) == 1 and set(found) == set(wanted))
        return "" if holds else f"{field} of {service} is {list(found)}, not {list(wanted)}"

    return check


def _lacks(where: str, text: str, wanted: tuple[str, ...]) -> str:
    missing = [each for each in wanted if each not in text]
    return f"{where} lacks {missing}:\n{text}" if missing else ""
