"""Names, addresses, ports and walls between stacks, as programs in containers and other hosts find them."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from e2e.checks import containers, err, out, page, state
from e2e.engine import Engine
from e2e.scenario import Check, Scenario, eventually
from orchestr8.kernel.namespaces import CloneFlag, setns
from tests.requires import requires
from tests.system.runtime_fixtures import new_network_namespace

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft", "program:ip", "program:busybox")]

Tell = Callable[..., Scenario]
LOOK_UP = "import socket, sys; print(*sorted({each[4][0] for each in socket.getaddrinfo(sys.argv[1], None)}))"
HTTPD = "sh -c 'echo hello > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp'"
FETCH = (
    "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[2])).read().decode())"
)
ANSWER = "import socket; listener = socket.create_server(('198.51.100.2', 80)); print(listener.accept()[1][0])"
CALL = """
import socket
while socket.socket().connect_ex(("198.51.100.2", 80)):  # until somebody listens
    pass
"""
REACH = "import socket, sys; socket.create_connection((sys.argv[1], 80), 1)"
IDLE = 'image: "rootfs:/", stop_grace_period: 0s'


def look_up(story: Scenario, service: str, name: str) -> str:
    return story.run("exec", service, "python3", "-c", LOOK_UP, name).out.strip()


def address(story: Scenario, container: str) -> list[str]:
    """Its own, by what it says itself."""
    service, number = container.rsplit("-", 1)
    return story.step(f"exec --index {number} {service} hostname -I").out.split()


def reaches(story: Scenario, service: str, target: str) -> bool:
    return story.run("exec", service, "python3", "-c", REACH, target).code == 0


def reached(service: str, target: str) -> Check:
    """Soon after the start, that is: the target may not listen yet."""
    return lambda told, _: "" if reaches(told, service, target) else f"{service} does not reach {target}"


def test_a_service_is_found_by_its_name_its_aliases_and_its_containers_names(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web:
    {{{IDLE}, command: sleep infinity, deploy: {{replicas: 2}}, networks: {{front: {{aliases: [shop, www]}}, back: }}}}
  named: {{{IDLE}, command: sleep infinity, container_name: chosen, networks: [front]}}
  front: {{{IDLE}, command: sleep infinity, networks: [front]}}
  back: {{{IDLE}, command: sleep infinity, networks: [back]}}
networks: {{front: , back: }}
""")
    story.step("up -d")
    both = {number: set(address(story, f"web-{number}")) for number in (1, 2)}
    for name in ("web", "shop", "www"):
        found = look_up(story, "front", name).split()
        assert len(found) == 2, "every replica is told, at its address in this network"
        assert [len(both[number] & set(found)) for number in (1, 2)] == [1, 1]
    assert set(look_up(story, "front", "shop-web-1").split()) < both[1]
    assert look_up(story, "front", "chosen") == address(story, "named-1")[0]
    assert look_up(story, "front", "named") == address(story, "named-1")[0]
    assert len(look_up(story, "back", "web").split()) == 2
    assert look_up(story, "back", "shop") == "", "an alias is one of its network's"
    assert look_up(story, "back", "front") == "", "and so is a service"
    story.step("stop web", state("web", "exited"))
    assert look_up(story, "front", "web") == "", "what does not run is not told"
    story.step("start web")
    assert len(look_up(story, "front", "web").split()) == 2


def test_a_restart_keeps_the_address_and_the_network_namespace(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web:
    {{{IDLE}, command: [sh, -c, "readlink /proc/self/ns/net; hostname -I; kill -9 $$$$"], restart: "on-failure:2"}}
  calm: {{{IDLE}, command: [sh, -c, "readlink /proc/self/ns/net; hostname -I; exec sleep infinity"]}}
""")

    def three_runs(told: Scenario, _result: object) -> str:
        return "" if len(told.logs("web").splitlines()) == 6 else "there were no three runs yet"

    story.step("up -d", eventually(three_runs))
    first, *others = _pairs(story.logs("web").splitlines())
    assert others == [first, first], "by the restart policy"
    story.step("restart calm", state("calm", "running"))
    (_, before), (_, after) = _pairs(story.logs("calm").splitlines())
    assert before == after, "by a command"


def _pairs(lines: list[str]) -> list[tuple[str, str]]:
    return list(zip(lines[::2], lines[1::2], strict=True))


@pytest.fixture
def elsewhere(own_network: None) -> Iterator[Callable[..., str]]:
    """Another host, on a wire to this one: run a Python program there. This host is 198.51.100.1 to it."""
    namespace = new_network_namespace()

    def there(*argv: str) -> str:
        def enter_and_run() -> str:
            setns(namespace, CloneFlag.NEWNET)
            return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout.strip()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(enter_and_run).result()

    def here(line: str) -> None:
        subprocess.run(line.split(), check=True)

    here(f"ip link add wire type veth peer name eth0 netns /proc/{os.getpid()}/fd/{namespace}")
    here("ip addr add 198.51.100.1/24 dev wire")
    here("ip link set wire up")
    for line in (
        "link set lo up",
        "addr add 198.51.100.2/24 dev eth0",
        "link set eth0 up",
        "route add default via 198.51.100.1",
    ):
        there("ip", *line.split())
    yield lambda program, *arguments: there("python3", "-c", program, *arguments)
    os.close(namespace)


@pytest.fixture
def story_with_wire(elsewhere: Callable[..., str], engine: Engine, scenario: Tell) -> Iterator[Tell]:
    """The wire goes before the look for what is left."""
    yield scenario
    subprocess.run(["ip", "link", "del", "wire"], check=True)


def test_a_published_port_is_reached_from_here_and_from_another_host(
    elsewhere: Callable[..., str], story_with_wire: Tell
) -> None:
    story = story_with_wire(f"""
services:
  open: {{{IDLE}, command: {HTTPD}, ports: ["8080:80"]}}
  local: {{{IDLE}, command: {HTTPD}, ports: ["127.0.0.1:8081:80"]}}
  any: {{{IDLE}, command: {HTTPD}, ports: ["80"]}}
  range: {{{IDLE}, command: {HTTPD}, ports: ["9000-9001:80"], scale: 2}}
""")
    story.step(
        "up -d",
        err("open  http://127.0.0.1:8080  (on every address of this machine)", "local  http://127.0.0.1:8081\n"),
    )
    story.check(*(eventually(page(f"http://127.0.0.1:{port}/", "hello")) for port in (8080, 8081, 9000, 9001)))
    story.check(page("http://198.51.100.1:8080/", "hello"))
    chosen = story.containers("any")[0]["Publishers"][0]["PublishedPort"]
    story.check(eventually(page(f"http://127.0.0.1:{chosen}/", "hello")))
    assert elsewhere(FETCH, "http://198.51.100.1:8080/", "5") == "hello"
    assert elsewhere(FETCH, "http://198.51.100.1:8081/", "1") == "", "this one is for loopback"
    assert elsewhere(FETCH, f"http://{address(story, 'open-1')[0]}/", "1") == "", "not by the way round the port"
    assert story.run("exec", "open", "python3", "-c", FETCH, "http://198.51.100.1:8080/", "5").out == "hello\n\n"
    story.step("stop open")
    assert elsewhere(FETCH, "http://198.51.100.1:8080/", "1") == ""


def test_a_container_gets_out_by_the_hosts_address(elsewhere: Callable[..., str], story_with_wire: Tell) -> None:
    story = story_with_wire(f"services: {{web: {{{IDLE}, command: sleep infinity}}}}")
    story.step("up -d")
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(elsewhere, ANSWER)
        assert story.run("exec", "web", "python3", "-c", CALL).code == 0
        assert heard.result() == "198.51.100.1"


@pytest.fixture
def name_server(own_network: None) -> Iterator[None]:
    """On this host's loopback: it knows shop.example, and no more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))

        def serve() -> None:
            while (packet := server.recvfrom(4096))[0] != b"end":
                question = DNSRecord.parse(packet[0])
                answer = question.reply()
                if question.q.qname != "shop.example":
                    answer.header.rcode = RCODE.NXDOMAIN
                elif question.q.qtype == QTYPE.A:
                    answer.add_answer(RR("shop.example", QTYPE.A, rdata=A("203.0.113.7")))
                server.sendto(answer.pack(), packet[1])

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        server.sendto(b"end", ("127.0.0.1", 53))
        thread.join()


@pytest.mark.usefixtures("name_server")
def test_names_outside_are_asked_of_the_hosts_name_server(scenario: Tell, tmp_path: Path) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, command: sleep infinity}}}}")
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\nsearch example\n")
    start = f"mount --bind {resolv} /etc/resolv.conf && exec {sys.executable} -m orchestr8 engine start"
    subprocess.run(["unshare", "-m", "sh", "-c", start], env=story.engine.environment, check=True, capture_output=True)
    story.step("up -d")
    assert look_up(story, "web", "shop.example") == "203.0.113.7"
    assert look_up(story, "web", "shop") == "203.0.113.7", "by the host's search domain"
    assert look_up(story, "web", "nothing.example") == ""
    assert look_up(story, "web", "web") == address(story, "web-1")[0]


def test_a_port_that_is_taken_is_named_with_who_has_it(scenario: Tell) -> None:
    story = scenario(f"""
services:
  first: {{{IDLE}, command: sleep infinity, ports: ["8080:80"]}}
  second: {{{IDLE}, command: sleep infinity, ports: ["8080:80"]}}
""")
    with socket.create_server(("127.0.0.1", 8080)):
        story.step("up -d first", err("port 0.0.0.0:8080 is already in use", f"(process {os.getpid()})"), code=1)
    story.step("up -d first", state("first", "running"))
    story.step("up -d", err("port 0.0.0.0:8080 is already in use", "shop-first-1"), code=1)
    story.check(state("first", "running"), state("second", "created"))
    story.step("stop first")
    story.step("up -d second", state("second", "running"))


def test_networks_and_stacks_do_not_reach_each_other(scenario: Tell, tmp_path: Path) -> None:
    web = f"{IDLE}, command: {HTTPD}"
    story = scenario(f"""
services:
  front: {{{web}, networks: [front]}}
  back: {{{web}, networks: [back]}}
  both: {{{web}, networks: [front, back]}}
networks: {{front: , back: }}
""")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "stack.yml").write_text(f"services: {{web: {{{web}}}}}")
    other = Scenario(story.engine, str(tmp_path / "other"))
    story.step("up -d")
    other.step("up -d")
    for client, server in (("front", "both"), ("back", "both"), ("both", "front"), ("both", "back")):
        story.check(eventually(reached(client, server)))
    assert not reaches(story, "front", address(story, "back-1")[0])
    assert not reaches(story, "back", address(story, "front-1")[0])
    assert not reaches(other, "web", address(story, "front-1")[0])
    assert not reaches(story, "front", address(other, "web-1")[0])
    assert not reaches(story, "front", "web")


def test_a_network_can_be_chosen_and_shared(scenario: Tell, tmp_path: Path) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: {HTTPD}, networks: [shared]}}
networks:
  shared: {{name: commons, ipam: {{config: [{{subnet: 10.99.0.0/24}}]}}}}
""")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "stack.yml").write_text(f"""
services:
  client: {{{IDLE}, command: sleep infinity, networks: [commons]}}
networks: {{commons: {{external: true}}}}
""")
    other = Scenario(story.engine, str(tmp_path / "other"))
    other.step("up -d", err("commons", "external"), code=1)
    story.step("up -d")
    other.step("up -d")
    assert address(story, "web-1")[0].startswith("10.99.0.")
    other.check(eventually(reached("client", "web")))
    story.step("down", err("network commons is still in use by other-client-1 and stays"), containers())
    other.step("down")
    story.step("down --dry-run", out("RemoveNetwork commons"))
    story.step("down")
