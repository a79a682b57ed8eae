"""Messages between engine, forkserver and shim: round trips, and what an older or newer side makes of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.errors import OperationFailed
from orchestr8.runtime import messages
from orchestr8.runtime.messages import PROTOCOL, Exec, Failed, Message, Query, Signal, Spawn, Status

KINDS = sorted(messages._KINDS.values(), key=lambda kind: kind.__name__)
VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_survives_the_wire_with_its_defaults(kind: type[Message]) -> None:
    assert messages.decode(messages.encode(kind())).__dict__ == {
        key: list(value) if isinstance(value, tuple) else value for key, value in kind.fields.items()
    }


@given(st.sampled_from(KINDS), st.data())
def test_every_kind_survives_the_wire_with_any_values(kind: type[Message], data: st.DataObject) -> None:
    message = kind(**{key: data.draw(VALUES) for key in kind.fields})
    assert messages.decode(messages.encode(message)) == message


def test_a_packet_is_its_type_and_json_with_the_protocols_version() -> None:
    packet = messages.encode(Signal(request=7, signal=15))
    assert packet == b'Signal {"v": 2, "request": 7, "signal": 15, "exec": ""}'
    assert PROTOCOL == 2


def test_fields_of_a_newer_side_are_ignored_and_missing_ones_are_their_defaults() -> None:
    decoded = messages.decode(b'Signal {"v": 9, "signal": 15, "deadline": 3}')
    assert decoded == Signal(signal=15, request=0, exec="")


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"rubbish",
        b"Invented {}",
        b"Signal",
        b"Signal [1]",
        b"Signal {",
        b"Signal 5",
        b"\xff\xfe {}",
        b'Signal {"v": 1} {}',
    ],
)
def test_what_is_no_message_is_an_error_and_not_a_crash(packet: bytes) -> None:
    with pytest.raises(OperationFailed, match="not a message of protocol 2") as caught:
        messages.decode(packet)
    assert caught.value.code == "O8-902"


@pytest.mark.parametrize(
    ("packet", "number"),
    [(b'Invented {"request": 5}', 5), (b"Invented {}", 0), (b"rubbish", 0), (b'X {"request": "y"}', 0), (b"X [1]", 0)],
)
def test_the_number_of_a_request_of_unknown_kind_can_be_answered(packet: bytes, number: int) -> None:
    assert messages.request_of(packet) == number


def test_a_spawn_is_told_without_decoding_it() -> None:
    assert messages.is_spawn(messages.encode(Spawn(container="x")))
    assert not messages.is_spawn(messages.encode(Query()))
    assert not messages.is_spawn(b"Spawned {}")


def test_a_value_that_a_kind_does_not_have_is_refused_where_it_is_made() -> None:
    with pytest.raises(TypeError, match="Exec has no colour, smell"):
        Exec(smell=1, colour=2)
    with pytest.raises(AttributeError, match="Query has no signal"):
        _ = Query().signal


def test_messages_compare_by_kind_and_value_and_print_what_they_say() -> None:
    assert Signal(signal=9) == Signal(signal=9) != Signal(signal=15)
    assert Query() != messages.Release()
    assert repr(Failed(request=1, text="no", exit_code=127)) == "Failed(request=1, text='no', exit_code=127, code='')"


def test_defaults_are_not_shared_between_messages_that_change() -> None:
    first = Status()
    first.runs += 1
    assert Status().runs == 0


def test_the_forkserver_reads_the_processor_of_an_order_without_decoding_it() -> None:
    log = {"address": '"processor": 7', "processor": "5"}
    assert messages.processor_of(messages.encode(Spawn(container="x", log=log, processor=3))) == 3
    assert messages.processor_of(messages.encode(Spawn(container="x", log=log))) == -1
    order = Spawn(container="x", processor=3)
    assert messages.decode(messages.encode(order)).processor == 3


def test_an_order_of_another_release_has_no_processor() -> None:
    for packet in (b'Spawn {"v": 2, "container": "x"}', b'Spawn {"v": 2, "processor": 3, "later": "x"}', b"Spawn {}"):
        assert messages.processor_of(packet) == -1
