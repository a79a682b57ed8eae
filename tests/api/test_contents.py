"""Contents leave a document at the border, and are known by digest afterwards."""

import hashlib
from base64 import b64encode

import pytest

from orchestr8.api.contents import split_contents
from orchestr8.errors import InvalidInput
from orchestr8.model.backend import Content


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_contents_go_and_digests_that_are_true_come_in_their_place() -> None:
    files = {"secrets.a": b64encode(b"hidden").decode(), "configs.b": b64encode(b"open").decode()}
    meta = {"files": files, "contents": {"secrets.a": "sha256:of-something-else", "secrets.c": "sha256:known"}, "x": 1}
    document, contents = split_contents({"name": "shop", "x-orchestr8": meta})
    assert document == {
        "name": "shop",
        "x-orchestr8": {
            "x": 1,
            "contents": {"secrets.a": sha(b"hidden"), "secrets.c": "sha256:known", "configs.b": sha(b"open")},
        },
    }
    assert contents == {
        sha(b"hidden"): Content(b"hidden", secret=True),
        sha(b"open"): Content(b"open", secret=False),
    }


def test_what_is_a_secret_somewhere_is_one_everywhere() -> None:
    for order in (("secrets.a", "configs.b"), ("configs.b", "secrets.a")):
        files = {name: b64encode(b"same").decode() for name in order}
        assert split_contents({"x-orchestr8": {"files": files}})[1] == {sha(b"same"): Content(b"same", secret=True)}


@pytest.mark.parametrize("document", [{}, {"x-orchestr8": {}}, {"x-orchestr8": "text"}])
def test_a_document_without_any_stays_as_it_is(document: dict[str, object]) -> None:
    assert split_contents(document) == (document, {})


@pytest.mark.parametrize("text", ["***", 5, None, "YQ", b64encode(b"x" * ((1 << 20) + 1)).decode()])
def test_what_is_no_content_is_refused_by_name(text: object) -> None:
    with pytest.raises(InvalidInput, match=r"x-orchestr8\.files\.secrets\.a"):
        split_contents({"x-orchestr8": {"files": {"secrets.a": text}}})
