"""`stop_signal`: what the program is sent to make it end."""


def test_a_signal_is_a_name_or_a_number_as_text(key) -> None:
    assert key.values("SIGINT", "USR1", "SIGRTMIN+3", "'9'", "''") == ["SIGINT", "USR1", "SIGRTMIN+3", "9", None]
    assert key.unsaid() is None


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("SIGINT", "SIGTERM") == "SIGTERM"


def test_names_are_written_in_capitals(key) -> None:
    assert key.printed("sigint") == """\
error[O8-305]: `services.web.stop_signal` must be a signal, such as SIGINT, found the text `sigint`
 --> stack.yml:4:18
4 |     stop_signal: sigint
  |                  ^^^^^^
  = help: signals are written in capitals: SIGTERM, SIGINT, SIGUSR1
"""  # fmt: skip
    assert key.errors("9") == ["O8-104 `services.web.stop_signal` must be a signal, such as SIGINT, found the number 9"]
