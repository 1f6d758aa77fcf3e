from promptflow.core import tool


@tool
def write_reply(rules: str, parcel: str = "", mood: dict = None) -> str:
    return f"{parcel or 'No parcel.'} {rules} {(mood or {}).get('mood')}"
