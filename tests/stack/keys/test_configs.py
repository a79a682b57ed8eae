"""`configs`: which configs the program finds as files."""

TOP = "configs: {c: {content: hello}, d: {content: x}}\n"


def test_a_name_is_a_source(key) -> None:
    assert key.value("[c, {source: d, target: /d.conf, uid: '1', gid: '2', mode: '0444'}]", TOP) == [
        {"source": "c"}, {"source": "d", "target": "/d.conf", "uid": "1", "gid": "2", "mode": "0444"},
    ]  # fmt: skip
    assert key.unsaid() is None


def test_one_without_a_target_goes_to_the_root_by_its_name(key) -> None:
    assert key.value("[c, {source: d, target: /c}]", TOP) == [{"source": "d", "target": "/c"}]


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[c]", "[d, {source: c, mode: 0400}]", TOP) == [{"source": "c", "mode": "0400"}, {"source": "d"}]


def test_it_is_defined_at_the_top(key) -> None:
    assert key.printed("[x]", TOP) == """\
error[O8-203]: no config is called `x`
 --> stack.yml:4:15
4 |     configs: [x]
  |               ^
  = help: there is: c, d
  = help: or define it at the top of the file, under configs:
"""  # fmt: skip
    assert key.errors("[{target: /x}]", "[5]") == [
        "O8-105 `services.web.configs[0]` has no `source`",
        "O8-104 `services.web.configs[0]` must be the name of a config, or {source: ..., target: ...}, found the number 5",
    ]
