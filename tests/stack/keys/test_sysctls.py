"""`sysctls`: kernel parameters that the container has for itself."""


def test_values_become_text_and_a_name_alone_has_an_empty_one(key) -> None:
    assert key.value("{net.core.somaxconn: 1024, kernel.msgmax: '1'}") == {
        "net.core.somaxconn": "1024",
        "kernel.msgmax": "1",
    }
    assert key.value("[net.core.somaxconn=1024, kernel.msgmax]") == {"net.core.somaxconn": "1024", "kernel.msgmax": ""}
    assert key.values("{}") == [None]
    assert key.unsaid() is None


def test_a_later_file_lays_its_own_over_the_earlier_ones_in_either_form(key) -> None:
    assert key.merged("{net.a: 1, net.b: 1}", "[net.b=2]") == {"net.a": "1", "net.b": "2"}


def test_what_there_is_once_for_the_machine_cannot_be_set(key) -> None:
    assert key.acted_on("{vm.swappiness: 1}") == [
        "stack.yml:4:15: error[O8-305] `services.web.sysctls`: the kernel has one vm.swappiness for all of the machine"
    ]


def test_they_are_pairs(key) -> None:
    assert key.printed("net.core.somaxconn=1") == """\
error[O8-104]: `services.web.sysctls` must be a mapping, or a list of KEY=VALUE, found the text `net.core.somaxconn=1`
 --> stack.yml:4:14
4 |     sysctls: net.core.somaxconn=1
  |              ^^^^^^^^^^^^^^^^^^^^
"""  # fmt: skip
