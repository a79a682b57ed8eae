from hypothesis import given
from hypothesis import strategies as st

from orchestr8.wire.frames import STDERR, STDOUT, Frame, FrameReader, encode


def test_a_frame_without_source_is_dockers() -> None:
    assert encode(STDERR, b"hello") == b"\x02\x00\x00\x00\x00\x00\x00\x05hello"


def test_the_source_stands_in_the_two_bytes_that_docker_leaves_zero() -> None:
    assert encode(STDOUT, b"x", source=0x0102) == b"\x01\x00\x01\x02\x00\x00\x00\x01x"


@given(
    st.lists(st.builds(Frame, st.integers(0, 3), st.binary(max_size=50), st.integers(0, 65535)), max_size=10),
    st.integers(1, 60),
)
def test_frames_come_back_however_they_are_cut(frames: list[Frame], piece: int) -> None:
    data = b"".join(encode(frame.stream, frame.payload, frame.source) for frame in frames)
    reader = FrameReader()
    found = [frame for start in range(0, len(data), piece) for frame in reader.feed(data[start : start + piece])]
    assert found == frames
    assert reader.pending == 0


def test_a_cut_stream_is_noticed() -> None:
    reader = FrameReader()
    assert reader.feed(encode(STDOUT, b"hello")[:-1]) == []
    assert reader.pending == 12
