from datetime import UTC, datetime

import pytest

from orchestr8.cli.times import parse_duration, parse_moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10),
        ("1.5", 1.5),
        ("90s", 90),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1s5us", 1.000005),
        ("20\N{MICRO SIGN}s", 0.00002),
        ("1000ns", 0.000001),
        ("1m0.5s", 60.5),
        ("2d", 172800),
        ("0", 0),
    ],
)
def test_a_duration_has_units_or_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "x", "10x", "s", "1h30", "-1", "1..5s", "1 m", "٣", "1e3"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_duration(text or "?")


def test_a_moment_is_so_long_ago_or_a_date_or_unix_time() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
    assert parse_moment("10m", now=1000.0) == 400.0
    assert parse_moment("1700000000.5", now=0) == 1700000000.5
    assert parse_moment("2026-01-31T12:00:00Z", now=0) == noon
    assert parse_moment("2026-01-31T13:00:00+01:00", now=0) == noon
    assert parse_moment("2026-01-31Z", now=0) == noon - 12 * 3600
    assert parse_moment("2026-01-31+12:00", now=0) == noon - 24 * 3600
    assert parse_moment("2026-01-31T12:00:00", now=0) == datetime(2026, 1, 31, 12).astimezone().timestamp()
    with pytest.raises(ValueError, match="isoformat"):
        parse_moment("yester-day", now=0)
