"""The contents of secrets and configs, taken out of a document that a client sent, before anybody stores or shows it."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from orchestr8.errors import InvalidInput
from orchestr8.model.backend import Content
from orchestr8.model.secrecy import MAX_CONTENT


def split_contents(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Content]]:
    """The document with digests where `x-orchestr8.files` had contents, and the contents by digest.

    Digests are computed here: what a client says of a content that it sends is not believed.
    """
    meta = document.get("x-orchestr8")
    files = meta.get("files") if isinstance(meta, Mapping) else None
    if not isinstance(meta, Mapping) or files is None:
        return dict(document), {}
    digests: dict[str, str] = dict(meta.get("contents") or {})
    contents: dict[str, Content] = {}
    for name, text in files.items() if isinstance(files, Mapping) else ():
        content = Content(_decoded(str(name), text), secret=str(name).startswith("secrets."))
        digests[name] = f"sha256:{hashlib.sha256(content.data).hexdigest()}"
        known = contents.get(digests[name])  # a secret and a config may hold the same
        contents[digests[name]] = content if known is None or content.secret else known
    kept = {key: value for key, value in meta.items() if key != "files"}
    return {**document, "x-orchestr8": {**kept, "contents": digests}}, contents


def _decoded(name: str, text: Any) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise InvalidInput(f"x-orchestr8.files.{name}: expected base64") from error
    if len(data) > MAX_CONTENT:
        raise InvalidInput(f"x-orchestr8.files.{name}: at most {MAX_CONTENT:,} bytes fit", code="O8-406")
    return data
