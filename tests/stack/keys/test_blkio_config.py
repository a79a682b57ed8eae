"""`blkio_config`: how much of the disks' time the container has, and how fast it reads and writes."""


def test_rates_are_bytes(key) -> None:
    assert key.value("{weight: 10, device_read_bps: [{path: /dev/a, rate: 1k}], device_write_iops: [{path: /dev/a, rate: 5}]}") == {
        "weight": 10, "device_read_bps": [{"path": "/dev/a", "rate": "1024"}],
        "device_write_iops": [{"path": "/dev/a", "rate": "5"}],
    }  # fmt: skip
    assert key.value("{weight_device: [{path: /dev/a, weight: '20'}]}") == {
        "weight_device": [{"path": "/dev/a", "weight": 20}]
    }
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("{weight: 10, device_read_bps: [{path: a, rate: 1}]}", "{weight: 20, device_read_bps: [{path: b, rate: 2}]}") == {
        "weight": 20, "device_read_bps": [{"path": "a", "rate": "1"}, {"path": "b", "rate": "2"}],
    }  # fmt: skip


def test_a_weight_is_one_that_the_kernel_takes(key) -> None:
    assert key.errors("{weight: 1001}") == [
        "O8-305 `services.web.blkio_config.weight`: must be less than or equal to 1000, found 1001"
    ]
    assert key.acted_on("{weight: 9}") == [
        "stack.yml:4:28: error[O8-305] `services.web.blkio_config.weight`: the kernel takes 10 to 1000, found 9"
    ]


def test_a_rate_is_of_a_list(key) -> None:
    assert key.printed("{device_read_bps: {path: a, rate: 1}}") == """\
error[O8-104]: `services.web.blkio_config.device_read_bps` must be a list of rates, found a mapping
 --> stack.yml:4:37
4 |     blkio_config: {device_read_bps: {path: a, rate: 1}}
  |                                     ^
  = help: put a dash in front of it: it is one item of a list
"""  # fmt: skip
