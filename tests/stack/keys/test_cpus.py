"""`cpus`: how many processors' time the container may use."""


def test_a_number_may_have_a_fraction_and_be_text(key) -> None:
    assert key.values("0.5", "'1.5'", "2", "2.0", "0") == [0.5, 1.5, 2, 2, None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("1", "0.5") == 0.5


def test_it_agrees_with_deploy_and_stands_without_a_quota(key) -> None:
    assert key.value("0.5\n    deploy: {resources: {limits: {cpus: '0.50'}}}") == 0.5
    assert key.errors("1\n    deploy: {resources: {limits: {cpus: '0.5'}}}") == [
        "O8-204 `services.web`: cpus and deploy.resources.limits.cpus differ"
    ]
    assert key.acted_on("0.5\n    cpu_quota: 50000") == [
        "stack.yml:5:16: error[O8-305] `services.web`: cpus and cpu_quota exclude each other"
    ]


def test_it_is_a_number_from_nothing_on(key) -> None:
    assert key.printed("many") == """\
error[O8-104]: `services.web.cpus` must be a number of processors such as 0.5, found the text `many`
 --> stack.yml:4:11
4 |     cpus: many
  |           ^^^^
"""  # fmt: skip
    assert key.errors("-1", "'1e999'") == [
        "O8-305 `services.web.cpus`: must be greater than or equal to 0, found -1",
        "O8-104 `services.web.cpus` must be a number of processors such as 0.5, found the text `1e999`",
    ]
