from promptflow.connections import CustomConnection
from promptflow.core import tool


@tool
def weigh(text: str, connection: CustomConnection) -> int:
    return len(text)
