"""`extends`: what is laid over what, from which file, and how mistakes on the way are told."""

import pytest

BASE = """\
services:
  base:
    image: rootfs:/
    command: echo base
    environment: {A: base, B: base}
    ports: ["80:80"]
"""


def test_a_service_is_laid_over_another_of_its_file(stack) -> None:
    found = stack(BASE + "  web: {extends: base, command: echo web, environment: {B: web}, ports: ['81:81']}\n")
    web = found.services["web"]
    assert web["command"] == ["echo", "web"]
    assert web["environment"] == {"A": "base", "B": "web"}
    assert [port["published"] for port in web["ports"]] == ["80", "81"]
    assert "extends" not in web
    assert found.services["base"]["command"] == ["echo", "base"]


def test_a_chain_is_followed_to_its_end_whatever_the_order(stack) -> None:
    found = stack("services: {a: {extends: {service: b}}, b: {extends: c, user: b}, c: {image: c, user: c}}")
    assert {name: (each["image"], each["user"]) for name, each in found.services.items()} == {
        "a": ("c", "b"), "b": ("c", "b"), "c": ("c", "c"),
    }  # fmt: skip


def test_paths_of_another_file_start_where_it_stands(stack, project_dir) -> None:
    found = stack({
        "stack.yml": "services: {web: {extends: {file: lib/base.yml, service: base}, volumes: ['./own:/own']}}",
        "lib/base.yml": "services: {base: {extends: {file: deep/root.yml, service: root}, volumes: ['./lib:/lib']}}",
        "lib/deep/root.yml": "services: {root: {image: x, volumes: ['../up:/up', '~/home:/home']}}",
    }, environ={"HOME": "/home/ana"})  # fmt: skip
    assert [mount["source"] for mount in found.services["web"]["volumes"]] == [
        f"{project_dir}/lib/up", "/home/ana/home", f"{project_dir}/lib/lib", f"{project_dir}/own",
    ]  # fmt: skip
    assert list(found.services) == ["web"]


def test_with_paths_left_as_they_are_they_start_at_the_projects_directory(stack) -> None:
    found = stack({
        "stack.yml": "services: {web: {extends: {file: lib/base.yml, service: base}, volumes: ['./own:/own']}}",
        "lib/base.yml": "services: {base: {image: x, volumes: ['./lib:/lib', '../up:/up']}}",
    }, resolve_paths=False)  # fmt: skip
    assert [mount["source"] for mount in found.services["web"]["volumes"]] == ["lib/lib", "up", "./own"]


def test_another_file_is_named_from_the_projects_directory_whichever_file_names_it(stack) -> None:
    found = stack({
        "a/stack.yml": "services: {web: {image: x}}",
        "b/over.yml": "services: {web: {extends: {file: base.yml, service: base}}}",
        "a/base.yml": "services: {base: {user: right}}",
        "b/base.yml": "services: {base: {user: wrong}}",
    }, files=["a/stack.yml", "b/over.yml"])  # fmt: skip
    assert found.services["web"]["user"] == "right"


def test_variables_are_those_of_the_project(stack) -> None:
    found = stack({
        "stack.yml": "services: {web: {extends: {file: lib/base.yml, service: base}}}",
        "lib/base.yml": "services: {base: {image: 'x:$V'}}",
        ".env": "V=project\n",
        "lib/.env": "V=lib\n",
    })  # fmt: skip
    assert found.services["web"]["image"] == "x:project"


def test_documents_of_the_other_file_are_merged_first(stack) -> None:
    found = stack({
        "stack.yml": "services: {web: {extends: {file: base.yml, service: base}}}",
        "base.yml": "services: {base: {image: x, ports: ['80:80'], user: u}}\n---\n"
                    "services: {base: {ports: !override ['81:81'], user: !reset null}}\n",
    })  # fmt: skip
    web = found.services["web"]
    assert [port["published"] for port in web["ports"]] == ["81"]
    assert "user" not in web


def test_of_another_file_only_the_service_that_is_asked_for_is_looked_at(stack) -> None:
    found = stack({
        "stack.yml": "services: {web: {extends: {file: base.yml, service: base}}}",
        "base.yml": "anything: true\nservices: {base: {image: x}, other: {imag: x, extends: nobody}}\n",
    })  # fmt: skip
    assert (found.services["web"]["image"], found.errors) == ("x", [])


def test_what_the_base_needs_is_not_brought_along(stack) -> None:
    found = stack({
        "stack.yml": "services:\n  web:\n    extends: {file: base.yml, service: base}\n",
        "base.yml": "services:\n  base: {image: x, depends_on: [db], networks: [back]}\n  db: {image: x}\n"
                    "networks: {back: }\n",
    })  # fmt: skip
    assert found.errors == [
        "base.yml:2:33: error[O8-203] no service is called `db`",
        "base.yml:2:49: error[O8-203] no network is called `back`",
    ]


def test_reset_and_override_are_about_the_base_and_about_earlier_files(stack) -> None:
    files = {
        "stack.yml": "services: {web: {image: y, ports: ['1:1'], environment: {P: 1}, labels: {l: 1}}}",
        "over.yml": "services:\n  base: {image: b, ports: ['2:2'], environment: {B: 1}, labels: {b: 1}}\n"
                    "  web: {extends: base, ports: !reset [], environment: !override {C: 1}}\n",
    }  # fmt: skip
    web = stack(files, files=["stack.yml", "over.yml"]).services["web"]
    assert (web["image"], web["environment"], web["labels"]) == ("b", {"C": "1"}, {"l": "1", "b": "1"})
    assert "ports" not in web


def test_tags_of_the_base_are_not_about_earlier_files_of_the_service(stack) -> None:
    files = {
        "stack.yml": "services: {web: {image: y, ports: ['1:1'], user: u}}",
        "over.yml": "services: {grand: {image: g, ports: ['3:3']}, base: {extends: grand, ports: !override ['2:2'], "
                    "user: !reset null}, web: {extends: base}}",
    }  # fmt: skip
    web = stack(files, files=["stack.yml", "over.yml"]).services["web"]
    assert [port["published"] for port in web["ports"]] == ["1", "2"]
    assert web["user"] == "u"


def test_a_tag_of_an_anchor_counts_at_every_use(stack) -> None:
    found = stack(
        "x-none: &none !reset []\nservices:\n  base: {image: x, ports: ['80:80'], labels: {a: b}}\n"
        "  one: {extends: base, ports: *none}\n  two: {extends: base, labels: *none, ports: !override ['81:81']}\n"
    )
    one, two = found.services["one"], found.services["two"]
    assert ("ports" in one, one["labels"]) == (False, {"a": "b"})
    assert ([port["published"] for port in two["ports"]], "labels" in two) == (["81"], False)


def test_an_extends_can_be_reset(stack) -> None:
    assert stack("services: {base: {image: x, user: u}, web: {image: y, extends: !reset base}}").web == {"image": "y"}


def test_a_missing_service_is_told_with_what_there_is(stack) -> None:
    assert (
        stack(BASE + "  web:\n    extends: bas\n").text
        == """\
error[O8-203]: no service is called `bas`
 --> stack.yml:8:14
8 |     extends: bas
  |              ^^^ in services.web.extends
  = note: `extends` without `file` looks in its own file, and there in its own document
  = help: did you mean `base`?
"""
    )


def test_a_missing_service_of_another_file_is_told_with_the_file(stack) -> None:
    found = stack({
        "stack.yml": "services:\n  web: {extends: {file: base.yml, service: web}}\n",
        "base.yml": "services: {base: {image: x}}\n",
    })  # fmt: skip
    assert found.errors == ["stack.yml:2:44: error[O8-203] no service is called `web` in base.yml"]


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ("no.yml", "stack file not found: {}/no.yml"),
        (".", "stack file is a directory: {}"),
        ("/dev/zero", "stack file is a device: /dev/zero"),
        ("https://example.org/base.yml", "stack file not found: {}/https:/example.org/base.yml"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_where_it_is_named(stack, project_dir, file: str, error: str) -> None:
    found = stack(f"services:\n  web:\n    extends:\n      file: {file}\n      service: base\n")
    assert found.errors == [f"stack.yml:4:13: error[O8-107] {error.format(project_dir)}"]


def test_a_circle_is_told_edge_by_edge(stack) -> None:
    assert (
        stack("services:\n  a: {image: x, extends: b}\n  b:\n    extends: a\n").text
        == """\
error[O8-106]: circular `extends`: a -> b -> a
 --> stack.yml:2:26
2 |   a: {image: x, extends: b}
  |                          ^ 1: a extends b
4 |     extends: a
  |              - 2: b extends a
  = help: move what they share to a service that extends none of them
"""
    )


def test_a_circle_may_go_through_files_and_one_file_may_extend_itself(stack) -> None:
    found = stack({
        "stack.yml": "services: {a: {image: x, extends: {file: b.yml, service: b}}}",
        "b.yml": "services: {b: {extends: {file: stack.yml, service: a}}}",
    })  # fmt: skip
    assert [error.partition(" ")[2] for error in found.errors] == ["error[O8-106] circular `extends`: a -> b -> a"]
    found = stack("services: {a: {image: x, extends: {file: stack.yml, service: b}}, b: {image: y, user: u}}")
    assert (found.services["a"]["image"], found.services["a"]["user"]) == ("x", "u")


def test_a_mistake_in_the_base_is_shown_with_who_extends_it(stack) -> None:
    found = stack({
        "stack.yml": "services:\n  web:\n    extends: {file: base.yml, service: base}\n",
        "base.yml": "services:\n  base: {image: x, scale: many}\n",
    })  # fmt: skip
    assert (
        found.text
        == """\
error[O8-104]: `services.base.scale` must be an integer, found the text `many`
 --> base.yml:2:27
2 |   base: {image: x, scale: many}
  |                           ^^^^
 ::: stack.yml:3:21
3 |     extends: {file: base.yml, service: base}
  |                     -------- extended by `services.web` here
"""
    )


def test_what_only_the_whole_shows_to_be_wrong_is_shown_with_the_way_it_came(stack) -> None:
    found = stack("services:\n  base: {image: x, command: x}\n  web:\n    extends: base\n    networks: [front]\n"
                  "  other: {extends: web}\nnetworks: {frond: }\n")  # fmt: skip
    assert (
        found.text
        == """\
error[O8-203]: no network is called `front`
 --> stack.yml:5:16
5 |     networks: [front]
  |                ^^^^^
  = help: did you mean `frond`?
  = help: or define it: networks: {front: }
"""
    )
    found = stack({
        "stack.yml": "services:\n  web:\n    extends: {file: base.yml, service: base}\n",
        "base.yml": "services:\n  base: {extends: root}\n  root: {image: x, networks: [front]}\n",
    })  # fmt: skip
    assert (
        found.text
        == """\
error[O8-203]: no network is called `front`
 --> base.yml:3:31
3 |   root: {image: x, networks: [front]}
  |                               ^^^^^
 ::: stack.yml:3:40
3 |     extends: {file: base.yml, service: base}
  |                                        ---- extended by `services.web` here
 ::: base.yml:2:19
2 |   base: {extends: root}
  |                   ---- extended by `services.base` here
  = help: there is: default
  = help: or define it: networks: {front: }
"""
    )


def test_a_long_chain_is_no_matter_and_an_endless_heap_is_refused(stack) -> None:
    links = "".join(f"  s{number}: {{extends: s{number - 1}}}\n" for number in range(1, 3000))
    assert stack("services:\n  s0: {image: x}\n" + links).errors == []
    links = "".join(f"  s{number}: {{extends: s{number - 1}, labels: [l{number}]}}\n" for number in range(1, 3000))
    assert [error.partition(" ")[2] for error in stack("services:\n  s0: {image: x}\n" + links).errors] == [
        "error[O8-102] `include` and `extends` bring more than 400000 values into the stack"
    ]
