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
