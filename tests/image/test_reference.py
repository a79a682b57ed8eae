import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.errors import InvalidInput, Orchestr8Error, Unsupported
from orchestr8.image.reference import Reference, parse_image, parse_new_name


@pytest.mark.parametrize(
    ("text", "path"),
    [("rootfs:/", "/"), ("rootfs:/srv/base", "/srv/base"), ("rootfs:/srv//base/", "/srv/base"), ("rootfs:///", "/")],
)
def test_a_rootfs_reference_is_an_absolute_path(text: str, path: str) -> None:
    assert parse_image(text) == Reference("rootfs", path)


def test_a_reference_prints_as_it_is_written() -> None:
    assert str(parse_image("rootfs:/srv/base")) == "rootfs:/srv/base"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("team/web_2", "docker.io/team/web_2:latest"),
        ("localhost:5000/a/b-c:T_1", "localhost:5000/a/b-c:T_1"),
        ("docker.io/library/nginx:latest", "docker.io/library/nginx:latest"),
        (f"sha256:{'0' * 64}", f"sha256:{'0' * 64}"),
    ],
)
def test_a_name_is_one_of_the_store_and_stands_there_in_full(text: str, name: str) -> None:
    assert parse_image(text) == Reference("", name)
    assert str(parse_image(text)) == name


@pytest.mark.parametrize(
    "text", ["Nginx", "a b", "a:", ":x", "a//b", "-a", "a" * 5000, "a:b:c", "a@sha256:0", "é", "a\n"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not the name of an image") as caught:
        parse_image(text)
    assert caught.value.code == "O8-500"


@pytest.mark.parametrize(("text", "shown"), [("/srv/tree", "/srv/tree"), ("./tree", "/..."), ("~/tree", "/...")])
def test_a_directory_without_its_transport_is_refused_with_how_it_is_written(text: str, shown: str) -> None:
    with pytest.raises(InvalidInput, match="is not the name of an image") as caught:
        parse_image(text)
    assert caught.value.helps == [f"a directory is written with its absolute path: rootfs:{shown}"]


@pytest.mark.parametrize(
    "text", [f"shop@sha256:{'0' * 64}", f"shop:1@sha256:{'0' * 64}", f"sha256:{'0' * 64}", "rootfs:1", "oci:1"]
)
def test_what_names_an_image_and_cannot_be_given_to_one_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be given as a name") as caught:
        parse_new_name(text)
    assert caught.value.code == "O8-500"
    assert caught.value.helps[0] in (
        f"leave the digest out: {text.partition('@')[0]}",
        "take another one: shop/web:1.2",
    )


@pytest.mark.parametrize("text", ["oci:/srv/image", "docker://x", "docker-archive:x.tar"])
def test_other_transports_are_an_error_that_says_what_works(text: str) -> None:
    with pytest.raises(Unsupported) as caught:
        parse_image(text)
    assert caught.value.message == f"image {text}: this transport is not supported yet"
    assert caught.value.code == "O8-501"
    assert "rootfs:/" in caught.value.helps[0]


@pytest.mark.parametrize("text", ["rootfs:", "rootfs:base", "rootfs:./base", "rootfs:/a\0b"])
def test_a_rootfs_path_must_be_absolute(text: str) -> None:
    with pytest.raises(InvalidInput, match="needs an absolute path"):
        parse_image(text)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_image_must_be_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="an image must be named"):
        parse_image(text)


@given(st.text())
def test_any_text_is_a_reference_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(Orchestr8Error):
        reference = parse_image(text)
        assert parse_image(str(reference)) == reference
