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
        "{driver: syslog}", "{driver: journald}",
        "{driver: syslog, options: {syslog-address: 'udp://1.2.3.4:5', syslog-facility: local7, syslog-format: rfc5424}}",
        "{driver: syslog, options: {tag: '{{.Name}}/{{(.ExtraAttributes nil).X}}', labels: a, env-regex: '^X'}}",
        "{driver: syslog, options: {syslog-address: 'tcp+tls://x', syslog-tls-ca-cert: /ca, syslog-tls-skip-verify: 'false'}}",
        "{driver: syslog, options: {cache-max-size: 1m, cache-max-file: 2, cache-compress: 'true'}}",
        "{driver: journald, options: {labels: a, labels-regex: b, env: C, env-regex: D, tag: '{{.ID}}'}}",
        "{driver: journald, options: {mode: non-blocking, max-buffer-size: 4m, cache-disabled: 'true'}}",
    ):  # fmt: skip
        assert key.acted_on(written) == [], written


def test_a_driver_of_others_changes_nothing(key) -> None:
    assert key.acted_on("{driver: gelf, options: {gelf-address: 'udp://x:1'}}") == [
        "stack.yml:4:15: warning[O8-111] `driver` has no effect (`services.*.logging.driver`)"
    ]
    assert key.acted_on("{driver: loki}") == key.acted_on(
        "{driver: gelf}"
    )  # a plugin of docker's may be called anything


def test_a_misspelt_driver_is_refused_with_what_was_meant(key) -> None:
    assert key.acted_on("{driver: sylog, options: {syslog-address: 'udp://x:1'}}") == [
        "stack.yml:4:23: error[O8-305] `services.web.logging.driver`: there is no logging driver `sylog`"
    ]
    assert key.warned("{driver: json_file}") == """\
warning[O8-305]: `services.web.logging.driver`: there is no logging driver `json_file`
 --> stack.yml:4:23
4 |     logging: {driver: json_file}
  |                       ^^^^^^^^^
  = help: did you mean `json-file`?
"""  # fmt: skip


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


def test_options_of_receivers_that_cannot_be_are_refused(key) -> None:
    place = "`services.web.logging.options"
    networks = "udp://, tcp://, tcp+tls://, unix://, unixgram://"
    for driver, written, column, said in (
        ("syslog", "syslog-address: x", 57, f"{place}.syslog-address` must begin with {networks}; found 'x'"),
        ("syslog", "syslog-facility: x", 58,
         f"{place}.syslog-facility` must be a facility such as daemon or local0, or its number up to 23; found 'x'"),
        ("syslog", "syslog-format: x", 56, f"{place}.syslog-format` must be rfc3164, rfc5424 or rfc5424micro; found 'x'"),
        ("syslog", "syslog-tls-key: /k", 41, f"{place}.syslog-tls-key` needs a `syslog-address` that begins with tcp+tls://"),
        ("syslog", "tag: '{{.X'", 46, f"{place}.tag` has a {{{{ without its }}}}; found '{{{{.X'"),
        ("syslog", "sylog-address: x", 41, f"{place}.sylog-address`: the logging driver `syslog` has no such option"),
        ("syslog", "mode: fast", 47, f"{place}.mode` must be blocking or non-blocking, found 'fast'"),
        ("syslog", "cache-max-size: 0", 57, f"{place}.cache-max-size` must be a size such as 10m, found '0'"),
        ("journald", "cache-compress: 'true', cache-max-file: 1", 43,
         f"{place}`: `cache-compress` needs a `cache-max-file` of 2 or more"),
        ("journald", "max-size: 1m", 43, f"{place}.max-size`: the logging driver `journald` has no such option"),
    ):  # fmt: skip
        found = key.acted_on(f"{{driver: {driver}, options: {{{written}}}}}")
        assert [each for each in found if "syslog-tls-key` needs `" not in each] == [
            f"stack.yml:4:{column}: error[O8-305] {said}"
        ], written


def test_options_of_receivers_that_change_nothing_are_told(key) -> None:
    assert key.acted_on(
        "{driver: syslog, options: {mode: blocking, env: A, cache-disabled: 't', cache-max-file: 2}}"
    ) == [
        "stack.yml:4:41: warning[O8-111] `mode` has no effect (`services.*.logging.options.mode`)",
        "stack.yml:4:57: warning[O8-111] `env` has no effect (`services.*.logging.options.env`)",
        "stack.yml:4:86: warning[O8-111] `cache-max-file` has no effect (`services.*.logging.options.cache-max-file`)",
    ]


def test_a_misspelt_option_is_shown_with_what_was_meant(key) -> None:
    assert key.warned("{driver: syslog, options: {sylog-address: 'udp://x'}}") == """\
warning[O8-305]: `services.web.logging.options.sylog-address`: the logging driver `syslog` has no such option
 --> stack.yml:4:41
4 |     logging: {driver: syslog, options: {sylog-address: 'udp://x'}}
  |                                         ^^^^^^^^^^^^^
  = help: did you mean `syslog-address`?
"""  # fmt: skip


def test_a_driver_alone_is_a_mapping_too(key) -> None:
    assert key.printed("none") == """\
error[O8-104]: `services.web.logging` must be a mapping (the logging), found the text `none`
 --> stack.yml:4:14
4 |     logging: none
  |              ^^^^
"""  # fmt: skip
