"""Whole stories, told from outside: commands as a user types them, and checks of what then is so.

scenario.py   steps, and what is shown when one fails
checks.py     the vocabulary of what can be asked: states, logs, pages, files
engine.py     one engine of the test's own, and the program that speaks with it
oci_peers.py  runc and crun, given the bundles that ours are given
network.py    a network namespace of the test's own
pace.py       how much slower than usual this machine is
vm.py         the tests on a stock kernel with unified cgroup v2
programs/     images of Debian's packages, and a stack of each that `tests/programs` tells a story of
residue.py    what an engine left behind: nothing, or a list

Knows orchestr8 only as its users do: by its command line and by what the kernel shows. `tests` uses it, and `bench`.
"""
