"""`mem_reservation`: how much memory the container keeps when it runs short."""


def test_a_size_is_bytes(key) -> None:
    assert key.values("64m", "1024") == ["67108864", "1024"]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("64m", "32m") == "33554432"


def test_it_is_no_more_than_the_limit_and_what_deploy_says(key) -> None:
    assert key.acted_on("65m\n    mem_limit: 64m") == [
        "stack.yml:4:22: error[O8-305] `services.web`: more memory is reserved than mem_limit allows"
    ]
    assert key.errors("64m\n    deploy: {resources: {reservations: {memory: 32m}}}") == [
        "O8-204 `services.web`: mem_reservation and deploy.resources.reservations.memory differ"
    ]


def test_it_is_a_size(key) -> None:
    assert key.printed("half") == """\
error[O8-305]: `services.web.mem_reservation` must be a size such as 512m, found the text `half`
 --> stack.yml:4:22
4 |     mem_reservation: half
  |                      ^^^^
  = help: a size is a number with a unit: b, k, m, g or t, such as 512m or 1.5g
"""  # fmt: skip
