def test_a_missing_bind_source_is_warned_of_with_a_near_name(service, project_dir) -> None:
    (project_dir / "nginx.conf").write_text("")
    found = service("volumes: ['./ngnix.conf:/etc/nginx.conf']")
    assert (
        found.text
        == f"""\
warning[O8-402]: bind source does not exist: {project_dir}/ngnix.conf
 --> stack.yml:4:15
4 |     volumes: ['./ngnix.conf:/etc/nginx.conf']
  |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  = note: a directory will be made there
  = note: `ngnix.conf` looks like the name of a file
  = help: did you mean {project_dir}/nginx.conf?
"""
    )


def test_a_source_that_is_there_or_no_path_is_fine(service, project_dir) -> None:
    (project_dir / "data").mkdir()
    assert service("volumes: ['./data:/data', '/a', {type: tmpfs, target: /t}]").warnings == []


def test_what_will_not_be_made_is_told_so(service) -> None:
    found = service("volumes: [{type: bind, source: ./no, target: /a, bind: {create_host_path: false}}]")
    assert "= note: nothing will be made there: create_host_path is false" in found.text


def test_a_path_of_windows_is_told_as_none_of_this_machine(service) -> None:
    for source in (r"Z:\data", r"\\server\data"):
        found = service(f"volumes: [{{type: bind, source: '{source}', target: /t}}]", acting=False)
        assert found.web["volumes"][0]["source"] == source
        what = f"the source `{source}` is a path of Windows, which this machine does not have"
        assert found.warnings == [f"stack.yml:4:36: warning[O8-305] `services.web.volumes[0]`: {what}"]
