"""`shm_size`: how much /dev/shm holds."""


def test_a_size_is_bytes(key) -> None:
    assert key.values("64m", "'1gb'", "1024", "1e6", "0") == ["67108864", "1073741824", "1024", "1000000", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("1m", "2m") == "2097152"


def test_it_is_a_size(key) -> None:
    assert key.printed("' 64m'") == """\
error[O8-305]: `services.web.shm_size` must be a size such as 512m, found the text ` 64m`
 --> stack.yml:4:15
4 |     shm_size: ' 64m'
  |               ^^^^^^
  = help: a size is a number with a unit: b, k, m, g or t, such as 512m or 1.5g
"""  # fmt: skip
