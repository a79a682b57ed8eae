"""PostgreSQL keeps its rows through kills, restarts and re-creation, in both kinds of user namespace."""

from collections.abc import Callable

import pytest

from e2e.checks import containers, exit_code, health, log, out, state
from e2e.programs.checks import confined, kill_main, nothing_left
from e2e.scenario import Scenario
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
CLIENT = "run --rm -T client psql -v ON_ERROR_STOP=1 -At"
READY = "database system is ready to accept connections"
COUNT = f"{CLIENT} -c 'select count(*), sum(amount) from orders'"


@pytest.mark.parametrize("userns", ["host", "private"])
def test_postgres_keeps_its_rows(program: Tell, userns: str) -> None:
    story = program("postgres", USERNS_MODE=userns, PGPASSWORD="only a test's")
    story.step(
        "up -d --wait",
        health("db", "healthy"),
        log("db", "creating configuration files", READY),
        confined("db", user="postgres", memory_bytes=256 << 20, pids=64),
    )
    story.step(f"{CLIENT} -c 'create table orders (id serial primary key, amount int not null)'", out("CREATE TABLE"))
    story.step(f"{CLIENT} -c 'insert into orders (amount) select generate_series(1, 1000)'", out("INSERT 0 1000"))
    story.step(COUNT, out("1000|500500"))

    story.step("restart db")
    story.step("up -d --wait", log("db", "received fast shutdown request", "database system is shut down", READY))
    story.step(COUNT, out("1000|500500"))

    story.step(f"{CLIENT} -c 'insert into orders (amount) values (1)'", out("INSERT 0 1"))
    kill_main(story, "db")
    story.step(COUNT, out("1001|500501"))
    story.check(log("db", "database system was not properly shut down; automatic recovery in progress"))

    story.step("up -d --wait --force-recreate")
    story.step(COUNT, out("1001|500501"))
    story.step("stop", state("db", "exited"), exit_code("db", 0))
    story.step("down", containers())
    story.step("up -d --wait")
    story.step(COUNT, out("1001|500501"))
    story.step("down -v", containers(), nothing_left)


def test_postgres_works_in_parallel_and_knows_who_may_come_in(program: Tell) -> None:
    story = program("postgres", PGPASSWORD="right")
    story.step("up -d --wait")
    story.step("run --rm -T -e PGPASSWORD=wrong client psql -c 'select 1'", code=2)
    story.step(f"{CLIENT} -c 'create table numbers as select generate_series(1, 400000) as number'")
    settings = "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0"
    story.step(  # its workers speak through POSIX shared memory, /dev/shm
        f"{CLIENT} -c '{settings}' -c 'explain (analyze, costs off) select sum(number) from numbers'",
        out("Workers Launched: 2"),
    )
    story.step("down -v", containers(), nothing_left)
