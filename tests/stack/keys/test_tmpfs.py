"""`tmpfs`: file systems in memory, each with options behind a colon."""


def test_a_path_or_several_are_a_list(key) -> None:
    assert key.values("/run", "['/run:size=64m,mode=755,noexec', /tmp, /tmp]") == [
        ["/run"], ["/run:size=64m,mode=755,noexec", "/tmp"],
    ]  # fmt: skip
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("/a", "[/b, /a]") == ["/a", "/b"]


def test_a_place_that_a_mount_has_is_told(key) -> None:
    assert key.errors("/a\n    volumes: ['./:/a/']") == [
        "O8-204 `services.web.volumes[0]`: target /a already mounted as services.web.tmpfs[0]"
    ]


def test_an_option_has_a_value_that_can_be(key) -> None:
    assert key.errors("run", "'/run:mode=9'", "[[/run]]") == [
        "O8-305 `services.web.tmpfs[0]` must be a path in the container, and options, such as /run:size=64m, found the text `run`",
        "O8-305 `services.web.tmpfs[0]`: `mode=9` is not a mode",
        "O8-104 `services.web.tmpfs[0]` must be a path in the container, and options, such as /run:size=64m, found a list",
    ]
    assert key.printed("/run:size=big") == """\
error[O8-305]: `services.web.tmpfs[0]`: `size=big` is not a size
 --> stack.yml:4:12
4 |     tmpfs: /run:size=big
  |            ^^^^^^^^^^^^^
"""  # fmt: skip
