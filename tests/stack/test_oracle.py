"""`config --format json` prints what `docker compose config` prints, and refuses what it refuses, but for what is told here.

The peer's answers are in oracle.json; `python -m scripts.oracle` asks anew.
"""

import json
import os
import re
from pathlib import Path
from typing import Final

import pytest

from orchestr8.cli.main import run
from tests.stack.oracle import REFERENCE, WHERE, Answer, Question, answered, differences, questions, without_place
from tests.stack.reference import SHARED

# Which questions, which places in the document ("refused" where only one of the two refuses), and why.
DIFFERENT: Final = (
    (r"", r"services\..+\.bind(\.create_host_path)?: ",
     "newer than the peer: a bind in its long form, too, makes the directory that it lacks"),
    (r"", r"services\.(.+\.)?x-[\w-]+: .+, theirs nothing", "its JSON leaves extensions out; its YAML, and both of ours, have them"),
    (r"", r"models: .+, theirs nothing", "its JSON leaves models out; its YAML, and both of ours, have them"),
    (r".*/TestExtendsNil", r"services\.test\.extends: nothing", "it leaves `extends` in where the other service is empty"),
    (r"case .*/TestLoad$", r"networks\.with_ipam\.ipam\.options: ", "its model lacks the options of an ipam"),
    (r".*/TestLoadSSHWithKeysValuesInBuildConfig", r"refused: no, theirs json: error", "its JSON encoder fails"),
    (r"case .*/TestWithSelectedServicesOption_SkipsMissingEnvFile/.*ignores", r"refused: no, theirs env file",
     "newer than the peer: env files of services that are not selected are not read"),
    (r".*/TestXService", r"networks: |services\.x-foo\.networks\.|refused: no, theirs service \"x-foo\"",
     "it takes a network `x-…` of a service for an extension"),
    (r".*/TestAliasBombPrevented/", r"refused: no, theirs no answer", "it hangs"),
    (r"case .*/TestResetTagWithSharedAlias", r"services\.svc\d\.ports: nothing",
     "newer than the peer: a !reset reaches every place that its alias stands in"),
    (r".*/TestBuildNoCacheFilter", r"refused: no, theirs .*no_cache_filter", "newer than the peer: the key"),
    (r".*/TestServiceHooks", r"refused: no, theirs .*pre_start", "newer than the peer: the key"),
    (r"case schema/x_fields_everywhere", r"refused: no, theirs configs.bar",
     "it checks a config's source even when it is told not to check"),
    (r".*/TestMergeVolumes", r"refused: .*no volume is called `a`, theirs no",
     "it takes `a:` of `a:/a` for a drive of Windows; here it names a volume"),
    (r"\S+: (2026-01-01|2026-01-01T00:00:00Z)$", r"refused: no, theirs ", "a date is text here; it takes it for a time, and refuses that"),
    (r"(container_name|hostname|restart|stop_signal|tmpfs|ports\.\w+|volumes\.tmpfs\.mode): ",
     r"refused: .* must be |refused: .*invalid (host|container)Port", "told here at once; with it when the container is made, or never"),
    (r"\S*cpus: -1$", r"refused: .*greater than or equal to 0", "told here at once; with it when the container is made"),
    (r"\S+: -?\.(inf|nan)$", r"refused: .*not a number that can be passed on", "it goes on with the least integer, or with nothing"),
    (r"\S+: (1e100|99999999999999999999)$", r".*, theirs (-?9223372036854775808|no$|json:|services.*greater than)",
     "it goes on with the least integer, or with nothing"),
    (r"\S+: (1e100|99999999999999999999)$", r"services\.a\.\S*cpus: ", "it has 32 bits for a fraction"),
    (r"\S*cpus: 0.30000000000000004$", r"services\.a\.\S*cpus: ", "it has 32 bits for a fraction"),
    (r"(mem_limit|memswap_limit|shm_size|volumes.tmpfs.size): ", r"services\.a\.\S+: \"\d+\", theirs nothing",
     "a size with a fraction is cut off here, as elsewhere in the format; it loses it"),
    (r"volumes.tmpfs.size: ", r"refused: no, theirs .* must be a integer", "a size with a fraction is cut off here"),
    (r"ulimits: ", r"refused: no, theirs .* invalid type float64", "a number without a fraction is an integer, as elsewhere"),
    (r"ulimits: 0", r"services\.a\.ulimits\.nofile: 0, theirs \{\}", "it loses a limit of 0"),
    (r"\S+: (!!str 1|\"[a-z0-9]+\"|no|yes|on|y|tRuE)$", r"refused: no, theirs .*(must be a (boolean|number)|invalid boolean|uint32)",
     "newer than the peer: text that says yes, no or a number is taken everywhere"),
    (r"ports.published: \"0440\"", r"services\.a\.ports\[0\]\.published: \"440\"", "a port is a number, however it is written"),
    (r"secrets.mode: -1", r"refused: ", "there are no such permission bits"),
    (r"dns: \"\"|extra_hosts: \[\]", r"services\.a\.(dns|extra_hosts): ", "an empty one is kept as it stands, or not at all"),
)  # fmt: skip

ANSWERED: Final = answered()
QUESTIONS: Final = [pytest.param(each, id=each.id) for each in questions()]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_file_means_what_it_means_to_the_peer(
    question: Question, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = compared(ours(question, monkeypatch, capfd, tmp_path), ANSWERED[question.id])
    assert [each for each in found if not reasons(question.id, each)] == []


def reasons(id: str, difference: str) -> list[str]:
    return [why for questions, place, why in DIFFERENT if re.match(questions, id) and re.match(place, difference)]


def ours(
    question: Question, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Answer:
    monkeypatch.chdir(REFERENCE if SHARED else tmp_path)
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in (*WHERE.items(), *question.environment):
        monkeypatch.setenv(name, value)
    stdin = tmp_path / "stdin"
    stdin.write_text(question.stdin)
    saved = os.dup(0)
    with stdin.open() as given:
        os.dup2(given.fileno(), 0)
    try:
        code = run([*question.arguments, "--format", "json"])
    finally:
        os.dup2(saved, 0)
        os.close(saved)
    out, err = capfd.readouterr()
    if code:
        return {"error": next(line for line in err.splitlines() if line.startswith("error"))}
    return {"document": without_place(json.loads(out), str(REFERENCE))}


def compared(ours: Answer, theirs: Answer) -> list[str]:
    if ours.keys() == theirs.keys():
        return list(differences(ours.get("document"), theirs.get("document")))
    return [f"refused: {ours.get('error', 'no')}, theirs {theirs.get('error', 'no')}"]


@pytest.mark.skipif(not SHARED, reason="ORCHESTR8_SHARED is not set: the reference files are not at hand")
def test_every_question_is_answered() -> None:
    assert {each.id for each in questions()} == ANSWERED.keys()
