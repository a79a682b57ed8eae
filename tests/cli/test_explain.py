from orchestr8.codes import CODES
from tests.cli.conftest import Cli


def test_a_code_is_explained_however_it_is_written(cli: Cli) -> None:
    expected = f"O8-301: {CODES['O8-301'][0]}\n\n{CODES['O8-301'][1]}"
    assert cli("explain", "O8-301") == (0, expected, "")
    assert cli("explain", "o8-301") == (0, expected, "")
    assert cli("explain", "301") == (0, expected, "")


def test_several_are_explained_in_turn(cli: Cli) -> None:
    _, out, _ = cli("explain", "101", "102")
    assert out.startswith("O8-101: unknown key\n\n")
    assert "\nO8-102: the file is not YAML" in out


def test_without_a_code_all_are_listed(cli: Cli) -> None:
    code, out, err = cli("explain")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(CODES)


def test_an_unknown_code_is_told(cli: Cli) -> None:
    code, out, err = cli("explain", "O8-999")
    assert (code, out) == (1, "")
    assert err.startswith("error[O8-404]: there is no error code `O8-999`\n")
