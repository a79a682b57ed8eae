"""`devices`: devices of the machine that the container has."""


def test_every_form_has_one_long_form(key) -> None:
    assert key.value("[/dev/a, '/dev/a:/dev/b:r', 'vendor.com/class=x', {source: /dev/z, target: /dev/y}]") == [
        {"source": "/dev/a", "target": "/dev/a", "permissions": "rwm"},
        {"source": "/dev/a", "target": "/dev/b", "permissions": "r"},
        {"source": "vendor.com/class=x", "target": "vendor.com/class=x", "permissions": "rwm"},
        {"source": "/dev/z", "target": "/dev/y"},
    ]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it_and_one_target_is_one_device(key) -> None:
    found = key.merged("['/dev/a:/dev/x', /dev/b]", "['/dev/c:/dev/x']")
    assert [(each["source"], each["target"]) for each in found] == [("/dev/c", "/dev/x"), ("/dev/b", "/dev/b")]


def test_there_are_three_parts_at_most(key) -> None:
    assert key.printed("['a:b:c:d']") == """\
error[O8-305]: `services.web.devices[0]`: a device is HOST, HOST:CONTAINER or HOST:CONTAINER:PERMISSIONS
 --> stack.yml:4:15
4 |     devices: ['a:b:c:d']
  |               ^^^^^^^^^
"""  # fmt: skip
    assert key.errors("[{source: /dev/a}]") == ["O8-105 `services.web.devices[0]` has no `target`"]
