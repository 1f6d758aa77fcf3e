import json
from promptflow.core import tool


@tool
def read_mood(text: str):
    try:
        return json.loads(text)
    except ValueError as error:
        print("no JSON:", error)
        return {"mood": "calm"}
