"""`network_mode`: a network that is none of the stack's: the machine's, another container's, or none at all."""


def test_a_mode_stays_as_it_is_written_and_no_network_is_joined(key) -> None:
    for mode in ("none", "host", "bridge", "container:x"):
        found = key.outcome(mode)
        assert (key.of(found), found.services["web"].get("networks")) == (mode, None)
    assert key.unsaid() is None


def test_a_service_whose_network_is_shared_is_a_dependency(key) -> None:
    found = key.outcome("service:db", "  db: {image: x}\n")
    assert found.web["depends_on"] == {"db": {"condition": "service_started", "required": True, "restart": True}}


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("none", "host") == "host"


def test_it_and_networks_exclude_each_other(key) -> None:
    assert key.printed("none\n    networks: [default]") == """\
error[O8-204]: `services.web`: network_mode and networks exclude each other
 --> stack.yml:4:5
4 |     network_mode: none
  |     ^^^^^^^^^^^^
5 |     networks: [default]
  |     --------
  = help: keep one of them
"""  # fmt: skip


def test_the_service_is_there(key) -> None:
    assert key.errors("service:db") == ["O8-203 no service is called `db`"]
