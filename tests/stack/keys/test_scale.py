"""`scale`: how many containers the service has."""


def test_a_number_may_be_text_and_none_is_said(key) -> None:
    assert key.values("3", "'3'", "0", "2.0") == [3, 3, 0, 2]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("1", "0") == 0


def test_it_is_a_whole_number_from_nothing_on(key) -> None:
    assert key.errors("1.5", "many", "'1_0'", "[1]") == [
        "O8-104 `services.web.scale` must be an integer, found the number 1.5",
        "O8-104 `services.web.scale` must be an integer, found the text `many`",
        "O8-104 `services.web.scale` must be an integer, found the text `1_0`",
        "O8-104 `services.web.scale` must be an integer, found a list",
    ]
    assert key.printed("-1") == """\
error[O8-305]: `services.web.scale`: must be greater than or equal to 0, found -1
 --> stack.yml:4:12
4 |     scale: -1
  |            ^^
"""  # fmt: skip


def test_it_agrees_with_deploy_and_with_a_name_that_there_is_once(key) -> None:
    assert key.errors("2\n    deploy: {replicas: 3}", "2\n    container_name: c1") == [
        "O8-204 `services.web`: scale is 2 and deploy.replicas is 3; they must agree",
        "O8-204 `services.web`: a service with a container_name cannot have 2 replicas",
    ]
    assert key.value("2\n    deploy: {replicas: 2}") == 2
