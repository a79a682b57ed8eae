"""`cap_add`: rights that the program has beyond the usual ones."""


def test_names_stay_as_they_are_written_each_once(key) -> None:
    assert key.value("[NET_ADMIN, CAP_SYS_TIME, all, NET_ADMIN]") == ["NET_ADMIN", "CAP_SYS_TIME", "all"]
    assert key.values("[]") == [None]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[CHOWN]", "[KILL, CHOWN]") == ["CHOWN", "KILL"]


def test_the_kernel_knows_them(key) -> None:
    assert key.acted_on("[net_admin, ALL]") == []
    assert key.acted_on("[NET_ADMN]") == [
        "stack.yml:4:15: error[O8-305] `services.web.cap_add[0]`: there is no capability `NET_ADMN`"
    ]


def test_one_alone_is_a_list_too(key) -> None:
    assert key.printed("NET_ADMIN") == """\
error[O8-104]: `services.web.cap_add` must be a list of capabilities, found the text `NET_ADMIN`
 --> stack.yml:4:14
4 |     cap_add: NET_ADMIN
  |              ^^^^^^^^^
  = help: write [NET_ADMIN]
"""  # fmt: skip
