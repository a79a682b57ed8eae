"""What is read on the user's side and sent along: contents of secrets and configs, seccomp profiles."""

import os
from typing import Any

import pytest

from orchestr8.errors import InvalidStack
from orchestr8.model.secrecy import MAX_CONTENT
from orchestr8.stack.contents import digest, digests, read_contents, read_profiles
from orchestr8.stack.load import Loaded


def told(read: Any, loaded: Loaded) -> list[str]:
    with pytest.raises(InvalidStack) as caught:
        read(loaded)
    return [repr(each) for each in caught.value.diagnostics]


def test_contents_come_from_files_variables_and_the_stack_itself_as_they_are(service, write, project_dir) -> None:
    (project_dir / "key.bin").write_bytes(b"\xff\x00k")
    found = service(
        "secrets: [file, {source: var, target: x}]\nconfigs: [said]",
        "secrets: {file: {file: key.bin}, var: {environment: V}, unused: {file: absent}}\n"
        "configs: {said: {content: 'a ${W} b'}}\n",
        acting=False, environ={"V": "é", "W": "word"},
    ).loaded  # fmt: skip
    wanted = {"configs.said": b"a word b", "secrets.file": b"\xff\x00k", "secrets.var": "é".encode()}
    assert read_contents(found) == wanted
    assert digests(found) == {name: digest(data) for name, data in wanted.items()}


def test_all_that_is_not_to_be_had_is_told_with_its_place(service, project_dir) -> None:
    (project_dir / "folder").mkdir()
    with open(project_dir / "large", "wb") as file:
        file.truncate(MAX_CONTENT + 1)
    os.mkfifo(project_dir / "pipe")
    found = service(
        "secrets: [absent, folder, var, pipe]\nconfigs: [large]",
        "secrets:\n  absent: {file: nowhere}\n  folder: {file: folder}\n  var: {environment: NONE}\n  pipe: {file: pipe}\n"
        "configs:\n  large: {file: large}\n",
        acting=False,
    ).loaded  # fmt: skip
    assert told(read_contents, found) == [
        f"error[O8-406]: file of secret `absent` not found: {project_dir}/nowhere --> stack.yml:7:18",
        f"error[O8-406]: file of secret `folder` is a directory: {project_dir}/folder --> stack.yml:8:18",
        (
            "error[O8-406]: variable NONE is not set, and secret `var` has its content from it"
            " --> stack.yml:9:22"
        ),
        f"error[O8-406]: file of secret `pipe` is a named pipe, which may never end: {project_dir}/pipe --> stack.yml:10:16",
        "error[O8-406]: config `large` holds 1,048,577 bytes; at most 1,048,576 fit --> stack.yml:12:17",
    ]  # fmt: skip
    assert digests(found).keys() == {"configs.large"}


def test_profiles_are_read_by_the_name_that_the_option_has(service, write) -> None:
    write({"strict.json": '{"defaultAction": "SCMP_ACT_ERRNO"}', "sub/other.json": "{}"})
    options = "[seccomp=strict.json, 'seccomp:./sub/other.json', seccomp=unconfined, no-new-privileges]"
    found = service(f"security_opt: {options}", acting=False).loaded
    assert read_profiles(found) == {"strict.json": {"defaultAction": "SCMP_ACT_ERRNO"}, "./sub/other.json": {}}


def test_a_profile_that_is_none_is_told_with_its_place(service, write) -> None:
    write({"bad.json": "{", "list.json": "[]"})
    found = service("security_opt: [seccomp=bad.json, seccomp=list.json, seccomp=gone.json]", acting=False).loaded
    first, second, third = told(read_profiles, found)
    assert first.startswith("error[O8-407]: seccomp profile bad.json is not JSON: Expecting property name")
    assert first.endswith(" --> stack.yml:4:20")
    assert second == "error[O8-407]: seccomp profile list.json is not a JSON object --> stack.yml:4:38"
    assert "gone.json --> stack.yml:4:57" in third
