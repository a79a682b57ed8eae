"""`commit --change`: what each instruction makes of a config."""

from typing import Any

import pytest

from orchestr8.errors import InvalidInput, Orchestr8Error, Unsupported
from orchestr8.image.instructions import apply_changes

BASE: dict[str, Any] = {"Env": ["PATH=/bin", "A=1"], "Cmd": ["old"], "WorkingDir": "/srv", "Labels": {"x": "1"}}


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ('CMD ["a", "b c"]', "Cmd", ["a", "b c"]),
        ("cmd run  it", "Cmd", ["/bin/sh", "-c", "run  it"]),
        ('ENTRYPOINT ["/init"]', "Entrypoint", ["/init"]),
        ("ENTRYPOINT []", "Entrypoint", []),
        ("ENV A=2 'B=x y' C=\"q r\" D=a\\ b", "Env", ["PATH=/bin", "A=2", "B=x y", "C=q r", "D=a b"]),
        ("ENV A x  y=z ", "Env", ["PATH=/bin", "A=x  y=z"]),
        ("EXPOSE 80 53/udp", "ExposedPorts", {"80/tcp": {}, "53/udp": {}}),
        ('LABEL y="2 3"', "Labels", {"x": "1", "y": "2 3"}),
        ("ONBUILD RUN make", "OnBuild", ["RUN make"]),
        ("STOPSIGNAL SIGUSR1", "StopSignal", "SIGUSR1"),
        ("USER app:app", "User", "app:app"),
        ("VOLUME /a /b", "Volumes", {"/a": {}, "/b": {}}),
        ('VOLUME ["/a b"]', "Volumes", {"/a b": {}}),
        ("WORKDIR /app", "WorkingDir", "/app"),
        ("WORKDIR app", "WorkingDir", "/srv/app"),
    ],
)
def test_each_sets_what_it_says(change: str, key: str, value: object) -> None:
    before = repr(BASE)
    assert apply_changes(BASE, [change])[key] == value
    assert repr(BASE) == before


def test_another_entrypoint_drops_a_command_that_was_not_said_with_it() -> None:
    assert "Cmd" not in apply_changes(BASE, ["ENTRYPOINT x"])
    assert apply_changes(BASE, ['CMD ["y"]', 'ENTRYPOINT ["x"]'])["Cmd"] == ["y"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("RUN make", "`RUN` is no instruction that can change an image's settings"),
        ("CMD", "CMD needs a value"),
        ("CMD [a]", "this is no JSON list"),
        ("CMD [1]", "texts alone"),
        ("ENV A", "`A` has no value"),
        ("ENV A='x", "a quote is not closed"),
        ("LABEL a=1 b", "`b` is not KEY=VALUE"),
        ("EXPOSE 99999", "`99999` is no port"),
        ("EXPOSE web", "`web` is no port"),
        ("", "`` is no instruction"),
    ],
)
def test_what_is_wrong_is_told_with_the_instruction(change: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        apply_changes({}, [change])
    assert caught.value.code == "O8-504"
    assert caught.value.message.startswith(f"--change {change}: ")
    assert why in caught.value.message


def test_what_is_not_done_yet_or_is_no_signal_is_an_error_too() -> None:
    with pytest.raises(Unsupported):
        apply_changes({}, ["HEALTHCHECK NONE"])
    with pytest.raises(Orchestr8Error, match="SIGNOTHING"):
        apply_changes({}, ["STOPSIGNAL SIGNOTHING"])
