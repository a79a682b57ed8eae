"""Side by side with docker compose, on one machine in one run: `python -m bench --help`.

stacks.py      the stacks of the bars, and the image that ours runs them on
install.py     the program as users have it: from a wheel, in an environment of its own
processes.py   one whole process from start to end, measured
programs.py    ours, `docker compose` and `docker`: what each verb is called there
compare.py     the same work on each in turn
talk.py        a gigabyte by exec, a million log lines
config.py      `config -q` and `check`, which need no engine
memory.py      what idle containers and daemons occupy
idle.py        who wakes up while nothing happens
files.py       ten thousand small files by `cp`
inside.py      create and start without the CLI, by the backend itself (inside_driver.py)
runtimes.py    crun, given the bundles that ours makes there
oci.py         the OCI command line beside runc and crun
leaks.py       what is there after many cycles that was not there before
figures.py     medians, ratios and the table

Ratios are what counts; nothing passes or fails by the clock. Ours runs in a network namespace and a root of its own.
"""
