"""`platform`: for which machine the image is; only this machine's own is run."""


def test_a_platform_stays_as_it_is_written(key) -> None:
    assert key.values("linux/arm64/v8", "''") == ["linux/arm64/v8", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("linux/amd64", "linux/arm64") == "linux/arm64"


def test_up_refuses_it(key) -> None:
    assert key.acted_on("linux/arm64") == ["stack.yml:4:5: error[O8-110] `services.web.platform` is not supported yet"]


def test_it_is_one_of_those_that_are_built_for(key) -> None:
    assert key.printed("linux/arm64\n    build: {platforms: [linux/amd64]}") == """\
error[O8-204]: `services.web`: the platform `linux/arm64` is not among build.platforms
 --> stack.yml:4:15
4 |     platform: linux/arm64
  |               ^^^^^^^^^^^
5 |     build: {platforms: [linux/amd64]}
  |                        -
  = help: add linux/arm64 to build.platforms
"""  # fmt: skip
