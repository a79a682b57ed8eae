"""Medians, ratios, and the table as it is printed."""

from bench.figures import Figures, ratio, render_table
from bench.processes import Sample


def test_the_table_shows_medians_and_one_row_for_each_peer() -> None:
    figures = Figures()
    for wall_s in (0.1, 0.5, 0.2):
        figures.add("ps", "ours", Sample(wall_s, 0.02, 0.01, 16 * 1024))
        figures.add("ps", "compose", Sample(4 * wall_s))
        figures.add("ps", "docker", Sample(wall_s / 2))
    figures.add("up -d, fan1, cold engine", "ours", Sample(0.4))
    assert figures.render() == (
        "work                        ours  min-max    cpu     rss  peer             takes  min-max   ratio  bar    runs\n"
        "ps                        200 ms  100-500  30 ms  16 MiB  docker compose  800 ms  400-2000   4.0x  >= 3x     3\n"
        "ps                        200 ms  100-500  30 ms  16 MiB  docker          100 ms  50-250     0.5x  >= 1x     3\n"
        "up -d, fan1, cold engine  400 ms  400-400   0 ms                                                             1\n"
    )


def test_without_a_peer_there_is_no_ratio() -> None:
    assert ratio([Sample(0.1)], []) is None


def test_the_document_keeps_every_sample() -> None:
    figures = Figures()
    figures.add("ps", "ours", Sample(0.1, 0.02, 0.01, 1024))
    figures.add("ps", "ours", Sample(0.3))
    document = figures.to_json()["ps"]["ours"]
    assert document["median_s"] == 0.2
    assert document["samples"][0] == {"wall_s": 0.1, "user_s": 0.02, "system_s": 0.01, "max_rss_kib": 1024}


def test_columns_are_as_wide_as_their_cells() -> None:
    assert render_table(["name", "n"], [["a", "10"], ["bcdef", "1"]], right={1}) == (
        "name    n\n"
        "a      10\n"
        "bcdef   1\n"
    )  # fmt: skip
