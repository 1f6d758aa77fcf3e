"""Turn the images of a Markdown text into parts of a message. Reads local images through the function that it is given."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_IMAGE = re.compile(r"!\[[^\]\n]*\]\((\{\{.*?\}\}|[^)\s]+)\)")


def parts(text: str, local: Callable[[str], str]) -> Any:
    """Return the text as it is, or as a list of texts and images. `local` gives the address of an image of the folder, or nothing."""
    found: list[dict[str, str]] = []
    at = 0
    for image in _IMAGE.finditer(text):
        address = image[1] if image[1].startswith(("{{", "http://", "https://", "data:")) else local(image[1])
        if not address:
            continue
        if before := text[at : image.start()].strip():
            found.append({"text": before})
        found.append({"image_url": address})
        at = image.end()
    if not found:
        return text
    if after := text[at:].strip():
        found.append({"text": after})
    return found
