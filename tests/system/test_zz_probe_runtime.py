import pytest, signal
from tests.system.runtime_fixtures import *
pytestmark=[pytest.mark.system, pytest.mark.anyio]
async def test_a(runtime):
    print(await runtime.output("sh","-c","id; ls -l /proc/1/fd /proc/self/fd; ps; cat /proc/self/status | grep -E 'Cap|Sec|Sig'; cat /proc/1/status | grep -E 'Cap|Sec|Sig'; ls -l /proc/1/exe; stat -c '%a %u %t:%T' /dev/null; stat -L -c '%a %n %d %i' /proc/self/fd/0 /dev/null /proc/kcore"))
    print(runtime.said())
async def test_b(runtime):
    b=await runtime.run("sleep","1000")
    await b.kill(15)
    print(await b.wait(), runtime.said())
