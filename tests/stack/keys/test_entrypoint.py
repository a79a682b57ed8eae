"""`entrypoint`: the program, in the place of the image's."""


def test_text_is_split_a_list_is_kept_and_nothing_is_the_images(key) -> None:
    assert key.values("run 'a b'", "[run, a b]", "", "[]", "''") == [["run", "a b"], ["run", "a b"], None, [], []]
    assert key.unsaid() is None


def test_a_later_file_replaces_all_of_it(key) -> None:
    assert key.merged("[a, b]", "[c]") == ["c"]
    assert key.merged("[a, b]", "") is None


def test_what_only_a_shell_understands_is_left_out(key) -> None:
    found = key.outcome("run && die")
    assert (key.of(found), [line.partition("] ")[2] for line in found.warnings]) == (
        ["run"],
        ["`services.web.entrypoint` is not run by a shell: all from `&` on is left out, as compose does"],
    )


def test_it_is_words(key) -> None:
    assert key.errors("true") == [
        "O8-104 `services.web.entrypoint` must be a command line, or a list of words, found the boolean true"
    ]
    assert key.printed("[run, {a: b}]") == """\
error[O8-104]: `services.web.entrypoint[1]` must be text, found a mapping
 --> stack.yml:4:23
4 |     entrypoint: [run, {a: b}]
  |                       ^
"""  # fmt: skip
