"""`include`: another project's files, with their own directory and variables, below the including ones."""

import pytest

from orchestr8.stack.origins import outside

WEB = "services: {web: {image: x, depends_on: [db]}}\n"


def with_web(includes: str) -> str:
    return f"include: {includes}\n{WEB}"


def test_what_is_included_has_its_own_directory_and_name_and_extras_stay_behind(stack, project_dir) -> None:
    found = stack({
        "stack.yml": with_web("[sub/db.yml]"),
        "sub/db.yml": "name: other\nx-mine: 1\nservices: {db: {image: x, volumes: ['./data:/data', 'store:/store']}}\n"
                      "volumes: {store: , unused: }\n",
    })  # fmt: skip
    assert found.document["name"] == "shop"
    assert found.services["db"]["volumes"][0]["source"] == f"{project_dir}/sub/data"
    assert found.document["volumes"] == {"store": {"name": "shop_store"}}
    assert "x-mine" not in found.document


@pytest.mark.parametrize(
    ("includes", "environ", "image"),
    [
        ("[sub/db.yml]", {}, "x:sub"),  # its own .env
        ("[sub/db.yml]", {"V": "shell"}, "x:shell"),
        ("[{path: sub/db.yml, env_file: my.env}]", {}, "x:my"),
        ("[{path: sub/db.yml, env_file: [my.env, last.env]}]", {}, "x:last-my"),
        ("[{path: sub/db.yml, env_file: /dev/null}]", {}, "x:none"),
        ("[{path: sub/db.yml, project_directory: other}]", {}, "x:other"),
    ],
)
def test_variables_are_its_own_below_the_local_ones(stack, includes: str, environ: dict, image: str) -> None:
    found = stack({
        "stack.yml": with_web(includes),
        "sub/db.yml": "services: {db: {image: 'x:${V:-none}', environment: [V]}}",
        "sub/.env": "V=sub\n",
        "other/.env": "V=other\n",
        "my.env": "V=my\n",
        "last.env": "V=last-${V}\n",
    }, environ=environ)  # fmt: skip
    assert found.services["db"]["image"] == image
    assert found.services["db"]["environment"] == {"V": image[2:] if image != "x:none" else None}


def test_its_variables_are_nobody_elses(stack) -> None:
    found = stack({
        "stack.yml": "include: [sub/db.yml]\nservices: {web: {image: 'x:${V:-none}', environment: [V]}}",
        "sub/db.yml": "services: {db: {image: x}}",
        "sub/.env": "V=sub\n",
    })  # fmt: skip
    assert (found.services["web"]["image"], found.services["web"]["environment"]) == ("x:none", {"V": None})


def test_a_secret_of_a_variable_has_the_included_projects_value(stack) -> None:
    found = stack({
        "stack.yml": "include: [sub/db.yml]\n",
        "sub/db.yml": "services: {db: {image: x, secrets: [key]}}\nsecrets: {key: {environment: KEY}}",
        "sub/.env": "KEY=of-sub\n",
    }, acting=False)  # fmt: skip
    assert found.errors == []
    assert found.loaded.contents == {"secrets.key": "of-sub"}


def test_several_paths_are_merged_and_stand_in_the_firsts_directory(stack, project_dir) -> None:
    found = stack({
        "stack.yml": with_web("[{path: [a/db.yml, b/over.yml]}]"),
        "a/db.yml": "services: {db: {image: x, volumes: ['./a:/a']}}",
        "b/over.yml": "services: {db: {user: u, volumes: ['./b:/b']}}",
    })  # fmt: skip
    db = found.services["db"]
    assert db["user"] == "u"
    assert [mount["source"] for mount in db["volumes"]] == [f"{project_dir}/a/a", f"{project_dir}/a/b"]


def test_includes_go_on_from_where_they_stand(stack, project_dir) -> None:
    found = stack({
        "stack.yml": "include: [one/one.yml]\n",
        "one/one.yml": "include: [two/two.yml]\nservices: {one: {image: 'x:$V', depends_on: [two]}}",
        "one/.env": "V=one\n",
        "one/two/two.yml": "services: {two: {image: 'x:$V-$W', volumes: ['../up:/up']}}",
        "one/two/.env": "V=two\nW=two\n",
    })  # fmt: skip
    assert {name: each["image"] for name, each in found.services.items()} == {"one": "x:one", "two": "x:one-two"}
    assert found.services["two"]["volumes"][0]["source"] == f"{project_dir}/one/up"


def test_the_including_file_wins_over_what_it_includes(stack) -> None:
    found = stack({
        "stack.yml": "include: [db.yml]\nservices: {db: {image: y, ports: ['81:81'], user: !reset null}}\n"
                     "volumes: {v: {labels: {a: mine}}}\n",
        "db.yml": "services: {db: {image: x, ports: ['80:80'], user: u, volumes: ['v:/v']}}\n"
                  "volumes: {v: {labels: {a: its, b: its}}}\n",
    })  # fmt: skip
    db = found.services["db"]
    assert (db["image"], [port["published"] for port in db["ports"]], "user" in db) == ("y", ["80", "81"], False)
    assert found.document["volumes"]["v"]["labels"] == {"a": "mine", "b": "its"}


def test_an_override_file_and_a_later_document_win_over_what_is_included(stack) -> None:
    found = stack({
        "compose.yaml": "include: [db.yml]\n---\nservices: {db: {user: second}}",
        "compose.override.yaml": "services: {db: {ports: !override ['81:81']}}",
        "db.yml": "services: {db: {image: x, ports: ['80:80']}}",
    })  # fmt: skip
    assert found.services["db"]["user"] == "second"
    assert [port["published"] for port in found.services["db"]["ports"]] == ["81"]


def test_tags_of_an_included_file_stay_in_it(stack) -> None:
    found = stack({
        "stack.yml": "include: [{path: [db.yml, over.yml]}, more.yml]\n",
        "db.yml": "services: {db: {image: x, ports: ['80:80'], user: u}}",
        "over.yml": "services: {db: {ports: !override ['81:81'], user: !reset null}}",
        "more.yml": "services: {db: {ports: ['82:82'], user: more}}",
    })  # fmt: skip
    db = found.services["db"]
    assert ([port["published"] for port in db["ports"]], db["user"]) == (["82", "81"], "more")


def test_nothing_to_include_is_nothing(stack) -> None:
    for nothing in ("", "[]", "!reset [no.yml]"):
        assert list(stack(f"include: {nothing}\nservices: {{web: {{image: x}}}}\n").services) == ["web"]
    found = stack({"stack.yml": "include: [empty.yml]\nservices: {web: {image: x}}\n", "empty.yml": "# later\n"})
    assert list(found.services) == ["web"]


def test_an_include_without_a_path_is_one_error(stack) -> None:
    assert stack({"stack.yml": "include: [{}, {path: []}]\nservices: {web: {image: x}}\n"}).errors == [
        "stack.yml:1:11: error[O8-105] `include[0]` has no `path`",
        "stack.yml:1:15: error[O8-105] this `include` has no path",
    ]


def test_a_circle_is_told_with_its_way(stack) -> None:
    found = stack({
        "stack.yml": "include:\n  - a.yml\nservices: {web: {image: x, depends_on: [db]}}\n",
        "a.yml": "include:\n  - b.yml\n",
        "b.yml": "include:\n  - a.yml\n",
    })  # fmt: skip
    assert (
        found.text
        == """\
error[O8-106]: include cycle detected
 --> b.yml:2:5
2 |   - a.yml
  |     ^^^^^ which closes the circle
 ::: a.yml:2:5
2 |   - b.yml
  |     ----- included here
 ::: stack.yml:2:5
2 |   - a.yml
  |     ----- included here
"""
    )


def test_a_file_may_be_included_on_several_ways(stack) -> None:
    found = stack({
        "stack.yml": "include: [a.yml, b.yml, c.yml]\n",
        "a.yml": "include: [c.yml]\nservices: {a: {image: x}}\n",
        "b.yml": "include: [c.yml]\nservices: {b: {image: x}}\n",
        "c.yml": "services: {c: {image: x, ports: ['80:80']}}\n",
    })  # fmt: skip
    assert list(found.services) == ["a", "b", "c"]
    assert len(found.services["c"]["ports"]) == 1


def test_a_missing_file_is_told_where_it_is_named_and_what_it_would_bring_is_not_missed(stack, project_dir) -> None:
    assert stack(with_web("[sub/db.yml]")).errors == [
        f"stack.yml:1:11: error[O8-107] stack file not found: {project_dir}/sub/db.yml"
    ]
    assert stack({"stack.yml": with_web("[{path: db.yml, env_file: no.env}]"), "db.yml": WEB}).errors == [
        f"stack.yml:1:36: error[O8-304] env file not found: {project_dir}/no.env"
    ]
    found = stack({"stack.yml": with_web("[oci://registry.example/stack]")})
    assert "it names something on the network" in found.text


def test_a_mistake_in_an_included_file_is_shown_with_the_includes_that_led_there(stack) -> None:
    found = stack({
        "stack.yml": "include:\n  - a/a.yml\n",
        "a/a.yml": "include: [b.yml]\n",
        "a/b.yml": "services:\n  db: {image: x, scale: '${N}'}\n",
        "a/.env": "N=two\n",
    })  # fmt: skip
    assert (
        found.text
        == """\
error[O8-104]: `services.db.scale` must be an integer, found the text `two`
 --> a/b.yml:2:25
2 |   db: {image: x, scale: '${N}'}
  |                         ^^^^^^
 ::: a/a.yml:1:11
1 | include: [b.yml]
  |           ----- included here
 ::: stack.yml:2:5
2 |   - a/a.yml
  |     ------- included here
  = note: `${N}` became `two`
"""
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("services: [\n", "db.yml:2:1"),
        ("services: {db: {image: x}}\nservices: {}\n", "db.yml:2:1"),
        ("- x\n", "db.yml:1:1"),
    ],
)
def test_a_file_that_is_no_stack_file_is_told_with_who_includes_it(stack, text: str, place: str) -> None:
    found = stack({"stack.yml": with_web("[db.yml]"), "db.yml": text})
    (error,) = found.errors
    assert error.startswith(place)
    assert "------ included here" in found.text


def test_a_mistake_in_its_variables_has_their_line(stack) -> None:
    found = stack(
        {"stack.yml": with_web("[sub/db.yml]"), "sub/db.yml": "services: {db: {image: x}}", "sub/.env": "A\nB C=1"}
    )
    assert found.errors == ["sub/.env:2:1: error[O8-304] sub/.env: line 2: key cannot contain a space"]
    assert "stack.yml:1:11" in found.text


def test_what_doubles_with_every_include_comes_to_an_end(stack) -> None:
    files = {f"f{number}.yml": f"include: [f{number + 1}.yml, {{path: f{number + 1}.yml}}]\n" for number in range(30)}
    found = stack({**files, "f30.yml": "services: {web: {image: x}}", "stack.yml": "include: [f0.yml]\n"})
    assert [error.partition("] ")[2] for error in found.errors] == ["more than 1000 files are included or extended"]


def test_files_from_outside_of_the_project_are_known(stack, project_dir) -> None:
    (project_dir.parent / "lib").mkdir()
    (project_dir.parent / "lib" / "base.yml").write_text("services: {base: {image: x}}")
    (project_dir.parent / "lib" / ".env").write_text("V=1")
    (project_dir.parent / "lib" / "more.yml").write_text("services: {more: {image: x}}")
    found = stack({
        "stack.yml": "include: [../lib/more.yml, in.yml]\n"
                     "services: {web: {extends: {file: ../lib/base.yml, service: base}}}\n",
        "in.yml": "services: {db: {image: x}}",
    })  # fmt: skip
    lib = project_dir.parent / "lib"
    assert outside(found.loaded) == [str(lib / ".env"), str(lib / "base.yml"), str(lib / "more.yml")]
