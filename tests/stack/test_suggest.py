from orchestr8.stack.suggest import closest


def test_a_close_name_is_suggested_in_its_own_writing() -> None:
    assert closest("enviroment", ["environment", "env_file"]) == "environment"
    assert closest("foobar", ["FOO_BAR", "OTHER"]) == "FOO_BAR"


def test_two_neighbours_exchanged_are_close_in_a_short_name_too() -> None:
    assert closest("wbe", ["web", "worker"]) == "web"
    assert closest("bd", ["db"]) == "db"


def test_what_is_not_close_is_not_suggested() -> None:
    assert closest("queue", ["web", "db"]) == ""
    assert closest("", ["web"]) == ""
