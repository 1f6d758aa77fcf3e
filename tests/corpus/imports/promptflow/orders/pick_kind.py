from promptflow.core import tool


@tool
def pick_kind(answer: str) -> str:
    """Find the kind in what the model said."""
    kinds = ["parcel", "bill", "praise"]
    return next((kind for kind in kinds if kind in answer.lower()), "other")
