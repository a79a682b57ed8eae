"""`image`: what a container is made of."""


def test_a_reference_stays_as_it_is_written(key) -> None:
    assert key.values("debian:12", "rootfs:/", "a.example:5000/b/c@sha256:00") == [
        "debian:12", "rootfs:/", "a.example:5000/b/c@sha256:00",
    ]  # fmt: skip


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("debian:12", "debian:13") == "debian:13"
    assert key.merged("debian:12", "") == "debian:12"


def test_it_cannot_be_empty(key) -> None:
    assert key.errors("''", "1", "[a]") == [
        "O8-104 `services.web.image` must be an image, such as rootfs:/, found an empty text",
        "O8-104 `services.web.image` must be an image, such as rootfs:/, found the number 1",
        "O8-104 `services.web.image` must be an image, such as rootfs:/, found a list",
    ]
    assert key.printed("") == """\
error[O8-104]: `services.web.image` must be an image, such as rootfs:/, found nothing
 --> stack.yml:3:5
3 |     image:
  |     ^^^^^
  = help: give it a value, or remove the key
"""  # fmt: skip


def test_without_it_there_is_nothing_to_run(stack) -> None:
    assert stack("services:\n  web: {tty: true}\n").errors == [
        "stack.yml:2:3: error[O8-205] `services.web` has neither an image nor a build context specified"
    ]
