"""The stacks that are measured, word for word, and as our own loader understands them."""

from pathlib import Path

import pytest
import yaml

from bench.stacks import parse_shape, stack_text, write_stack


def test_a_chain_has_each_service_wait_for_the_one_before() -> None:
    assert stack_text("chain2", "busybox") == (
        "name: o8bench-chain2\n"
        "services:\n"
        "  s0:\n"
        "    image: busybox\n"
        "    command: sleep 1000\n"
        "    init: true\n"
        "    stop_grace_period: 2s\n"
        "  s1:\n"
        "    image: busybox\n"
        "    command: sleep 1000\n"
        "    init: true\n"
        "    stop_grace_period: 2s\n"
        "    depends_on: [s0]\n"
    )


def test_a_fan_has_its_services_side_by_side() -> None:
    services = yaml.safe_load(stack_text("fan30", "rootfs:/srv"))["services"]
    assert len(services) == 30
    assert all("depends_on" not in service for service in services.values())


def test_a_stack_is_written_into_a_folder_of_its_own(tmp_path: Path) -> None:
    stack = write_stack(str(tmp_path), "fan10", "busybox")
    assert (stack.name, stack.size, stack.file) == ("o8bench-fan10", 10, f"{tmp_path}/fan10/stack.yml")
    assert Path(stack.file).read_text() == stack_text("fan10", "busybox")


@pytest.mark.parametrize("text", ["fan", "fan0", "ring3", "fan10x", "10"])
def test_a_word_that_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fan or chain"):
        parse_shape(text)
