from promptflow.connections import CustomStrongTypeConnection
from promptflow.core import tool


class Shelf(CustomStrongTypeConnection):
    key: str


@tool
def count(letter: str) -> int:
    return len(letter)
