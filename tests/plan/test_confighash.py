import dataclasses

from orchestr8.model.ids import ContainerName, ServiceName
from orchestr8.model.specs import ContainerSpec, Dependency, HealthcheckSpec, ServiceSpec
from orchestr8.plan.confighash import config_hash

WEB = ServiceSpec(name=ServiceName("web"), container=ContainerSpec(image="rootfs:/"))


def with_container(**changes: object) -> ServiceSpec:
    return dataclasses.replace(WEB, container=dataclasses.replace(WEB.container, **changes))  # type: ignore[arg-type]


def test_the_hash_is_versioned_and_stays_the_same_over_releases() -> None:
    """A change of this value re-creates every container of every user at their next `up`."""
    assert config_hash(WEB) == "1:c192386c62d01ccda9bfa26bac3f3172c4f0f55bacf3435e64a7aea0f231f66d"
    assert (
        config_hash(with_container(command=("a",), environment=(("A", "1"),)))
        == "1:bb92671350c75677665c6d562a3df671fe9e9ad35a309915f61c40ba5b3d69fa"
    )


def test_replicas_and_dependencies_stay_out() -> None:
    other = dataclasses.replace(WEB, replicas=5, depends_on=(Dependency(service=ServiceName("db")),))
    assert config_hash(other) == config_hash(WEB)


def test_every_setting_counts() -> None:
    hashes = {
        config_hash(each)
        for each in (
            WEB,
            with_container(image="rootfs:/b"),
            with_container(command=()),
            with_container(environment=(("A", "1"),)),
            with_container(stop_timeout_s=11.0),
            with_container(healthcheck=HealthcheckSpec(test=("CMD", "x"))),
            with_container(healthcheck=HealthcheckSpec(test=("CMD", "x"), retries=4)),
            with_container(contents=(("secrets.key", "sha256:1"),)),
            with_container(contents=(("secrets.key", "sha256:2"),)),
            dataclasses.replace(WEB, container_name=ContainerName("front")),
        )
    }
    assert len(hashes) == 10


def test_where_settings_stand_stays_out() -> None:
    assert config_hash(with_container(origins=(("image", "stack.yml:3"),))) == config_hash(WEB)


def test_a_setting_at_its_default_is_as_good_as_not_given() -> None:
    assert config_hash(with_container(stop_timeout_s=10.0, stop_signal="SIGTERM")) == config_hash(WEB)


def test_whole_numbers_hash_alike_whatever_their_type() -> None:
    assert config_hash(with_container(stop_timeout_s=20)) == config_hash(with_container(stop_timeout_s=20.0))
