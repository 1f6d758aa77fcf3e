from promptflow.contracts.multimedia import Image
from promptflow.core import tool


@tool
def shrink(photo: Image) -> Image:
    return Image(photo[:10])
