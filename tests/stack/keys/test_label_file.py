"""`label_file`: files of labels, which `labels` stands above."""


def test_a_path_or_several_lie_below_the_labels(key, write) -> None:
    write({"a.labels": "A=file\nB=file\n", "b.labels": "B=later\nC=later\n"})
    assert key.outcome("a.labels\n    labels: {B: own}").web == {"labels": {"A": "file", "B": "own"}}
    assert key.outcome("[a.labels, b.labels]").web == {"labels": {"A": "file", "B": "later", "C": "later"}}


def test_paths_start_at_the_projects_directory(key, project_dir) -> None:
    assert key.value("a.labels", resolve_environment=False) == [f"{project_dir}/a.labels"]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key, project_dir) -> None:
    found = key.merged("a.labels", "[b.labels, a.labels]", resolve_environment=False)
    assert found == [f"{project_dir}/a.labels", f"{project_dir}/b.labels"]


def test_a_file_that_is_not_there_is_told(key) -> None:
    assert key.printed("no.labels") == """\
error[O8-304]: label file not found: <dir>/no.labels
 --> stack.yml:4:17
4 |     label_file: no.labels
  |                 ^^^^^^^^^
  = help: create it
"""  # fmt: skip
