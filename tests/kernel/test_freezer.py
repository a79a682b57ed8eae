"""What is written to the two freezers, and what their answers mean."""

from pathlib import Path

from orchestr8.kernel.freezer import FreezerV1, FreezerV2


def test_v2_is_asked_by_one_file_and_answers_in_another(tmp_path: Path) -> None:
    freezer = FreezerV2(str(tmp_path))
    (tmp_path / "cgroup.freeze").write_text("0\n")
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    assert not freezer.asked()
    assert freezer.set(frozen=True)
    assert (tmp_path / "cgroup.freeze").read_text().strip() == "1"
    assert freezer.asked()
    assert not freezer.rests()  # a process is on its way
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    assert freezer.rests()
    assert freezer.set(frozen=False)
    assert not freezer.asked()


def test_v1_says_in_one_file_what_is_asked_and_what_is(tmp_path: Path) -> None:
    freezer, file = FreezerV1(str(tmp_path)), tmp_path / "freezer.state"
    file.write_text("THAWED\n")
    assert not freezer.asked()
    assert freezer.set(frozen=True)
    assert file.read_text().strip() == "FROZEN"
    file.write_text("FREEZING\n")
    assert freezer.asked()
    assert not freezer.rests()
    file.write_text("FROZEN\n")
    assert freezer.rests()
    assert freezer.set(frozen=False)
    assert file.read_text().strip() == "THAWED"


def test_a_group_that_is_gone_or_a_kernel_without_one_is_told(tmp_path: Path) -> None:
    for freezer in (FreezerV1(str(tmp_path / "gone")), FreezerV2(str(tmp_path / "gone"))):
        assert not freezer.set(frozen=True)
        assert not freezer.asked()
        assert not freezer.rests()
