"""`logging`: who keeps the program's output, and how."""


def test_options_become_text(key) -> None:
    assert key.value("{driver: json-file, options: {max-file: 3, max-size: 10m}}") == {
        "driver": "json-file", "options": {"max-file": "3", "max-size": "10m"},
    }  # fmt: skip
    assert key.unsaid() is None


def test_another_driver_brings_its_own_options(key) -> None:
    first = "{driver: a, options: {x: 1}}"
    assert key.merged(first, "{driver: b, options: {y: 2}}") == {"driver": "b", "options": {"y": "2"}}
    assert key.merged(first, "{options: {y: 2}}") == {"driver": "a", "options": {"x": "1", "y": "2"}}
    assert key.merged(first, "{driver: a, options: {x: 3}}") == {"driver": "a", "options": {"x": "3"}}


def test_drivers_of_ours_are_acted_on(key) -> None:
    for written in (
        "{driver: local}", "{driver: none}", "{options: {max-size: 10m}}", "{driver: ''}",
        "{driver: local, options: {max-size: 1.5k, max-file: 1, compress: 'false'}}",
        "{driver: json-file, options: {max-size: '-1', max-file: '5', compress: 'true'}}",
    ):  # fmt: skip
        assert key.acted_on(written) == [], written


def test_a_driver_of_others_changes_nothing(key) -> None:
    assert key.acted_on("{driver: gelf, options: {gelf-address: 'udp://x:1'}}") == [
        "stack.yml:4:15: warning[O8-111] `driver` has no effect (`services.*.logging.driver`)"
    ]


def test_options_that_have_no_effect_are_told(key) -> None:
    assert key.acted_on("{options: {labels: a, mode: blocking}}") == [
        "stack.yml:4:25: warning[O8-111] `labels` has no effect (`services.*.logging.options.labels`)",
        "stack.yml:4:36: warning[O8-111] `mode` has no effect (`services.*.logging.options.mode`)",
    ]
    assert key.acted_on("{driver: none, options: {max-size: 1m}}") == [
        "stack.yml:4:39: warning[O8-111] `max-size` has no effect (`services.*.logging.options.max-size`)"
    ]


def test_options_that_cannot_be_are_refused(key) -> None:
    place = "`services.web.logging.options"
    for written, column, said in (
        ("max-size: big", 35, f"{place}.max-size` must be a size such as 10m, found 'big'"),
        ("max-size: -1", 35, f"{place}.max-size` must be a size such as 10m, found '-1'"),
        ("max-size: 0", 35, f"{place}.max-size` must be a size such as 10m, found '0'"),
        ("max-file: 0", 35, f"{place}.max-file` must be a number of files, at least 1, found '0'"),
        ("compress: maybe", 35, f"{place}.compress` must be true or false, found 'maybe'"),
        ("max-files: 3", 25, f"{place}.max-files`: the logging driver `local` has no such option"),
        ("compress: 'true', max-file: 1", 25, f"{place}`: `compress` needs a `max-file` of 2 or more"),
    ):
        assert key.acted_on(f"{{options: {{{written}}}}}") == [f"stack.yml:4:{column}: error[O8-305] {said}"], written


def test_a_driver_alone_is_a_mapping_too(key) -> None:
    assert key.printed("none") == """\
error[O8-104]: `services.web.logging` must be a mapping (the logging), found the text `none`
 --> stack.yml:4:14
4 |     logging: none
  |              ^^^^
"""  # fmt: skip
