from orchestr8.wire.paths import engine_root, instance_hash, run_dir, socket_path


def test_the_root_comes_from_the_flag_then_the_environment_then_the_default() -> None:
    assert engine_root("/a", {"ORCHESTR8_ROOT": "/b"}) == "/a"
    assert engine_root("", {"ORCHESTR8_ROOT": "/b"}) == "/b"
    assert engine_root("", {}) == "/var/lib/orchestr8"


def test_two_roots_have_two_sockets() -> None:
    assert instance_hash("/a") != instance_hash("/b")
    assert socket_path("/a", {}) == f"/run/orchestr8/{instance_hash('/a')}/engine.sock"


def test_the_run_directory_can_be_moved() -> None:
    environ = {"ORCHESTR8_RUN_DIR": "/tmp/x"}
    assert run_dir("/a", environ) == f"/tmp/x/{instance_hash('/a')}"
    assert socket_path("/a", environ) == f"/tmp/x/{instance_hash('/a')}/engine.sock"
