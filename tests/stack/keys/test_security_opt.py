"""`security_opt`: how the program is confined."""


def test_options_stay_as_they_are_written(key) -> None:
    options = ["no-new-privileges:true", "seccomp=unconfined", "label:disable"]
    assert key.value(f"[{', '.join(options)}]") == options
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[no-new-privileges]", "[seccomp=unconfined]") == ["no-new-privileges", "seccomp=unconfined"]


def test_what_confines_nothing_here_has_no_effect(key) -> None:
    assert key.acted_on("[apparmor=mine]") == [
        "stack.yml:4:20: warning[O8-111] `security_opt[]` has no effect (`services.*.security_opt[]`)"
    ]


def test_there_is_such_an_option(key) -> None:
    assert key.acted_on("[no-new-privilege]") == [
        "stack.yml:4:20: error[O8-305] `services.web.security_opt[0]`: there is no security option `no-new-privilege`"
    ]


def test_one_stands_once(key) -> None:
    assert key.printed("[label:disable, label:disable]") == """\
error[O8-115]: `services.web.security_opt[1]` stands in the list before
 --> stack.yml:4:35
4 |     security_opt: [label:disable, label:disable]
  |                                   ^^^^^^^^^^^^^ again here
4 |     security_opt: [label:disable, label:disable]
  |                    ------------- first here
  = help: remove one
  = fix:  orchestr8 check --fix   (remove the second `label:disable`)
"""  # fmt: skip
