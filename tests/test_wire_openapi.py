"""Request bodies hold to the published description of chat completions, where that description is at hand."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import calling
import pytest
from described import DESCRIPTION, wrong
from fault_server import well
from running import server, write
from test_example_flows import EXAMPLES, flow_file, given

import flowkit
from flowkit import replies, source
from flowkit.chat import ChatRequest, Message
from flowkit.client import Client
from flowkit.errors import Problems
from flowkit.simulator import Simulator
from flowkit.testing import calls
from flowkit.wire.response import Response

pytestmark = pytest.mark.skipif(
    not DESCRIPTION.exists(), reason=f"no description of the protocol at {DESCRIPTION.name}: it is not part of this repository"
)

#: All that the flows of this file may send at the top level.
KEYS = {
    "model",
    "tools",
    "messages",
    "response_format",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
}

EVERYTHING = """
inputs: {past: list(Message), picture: string}
steps:
  plain:
    messages:
      - system: s
      - history: inputs.past
      - user:
          - text: "look: {{ inputs.picture }}"
          - image_url: "{{ inputs.picture }}"
      - assistant: so?
      - user: go on
    params: {temperature: 0.3, top_p: 0.9, max_tokens: 100, seed: 3, stop: ["\\n\\n", END], presence_penalty: 0.1, frequency_penalty: -0.1}
  typed:
    prompt: "{{ steps.plain.output }}"
    examples: [{user: a, assistant: {kind: bug, n: 1, tags: [x], when: 2026-01-01, deep: {maybe: 0.5}}}]
    output:
      kind: enum(bug | question)
      n: integer(1..5)
      tags: {type: list(string(1..9)), max_items: 3}
      when: date
      deep: {maybe?: number(0..1)}
  wrapped: {prompt: "{{ steps.typed.output }}", output: list(integer | null)}
  choice: {prompt: "{{ steps.wrapped.output }}", output: boolean, checks: [{expr: "output or not output"}]}
"""


class Recording(Simulator):
    """Keeps every body that would have gone out."""

    def __init__(self, said: replies.Replies | None = None) -> None:
        super().__init__(said)
        self.bodies: list[bytes] = []

    async def respond(self, request: ChatRequest, body: bytes) -> Response:
        self.bodies.append(body)
        return await super().respond(request, body)


def check(bodies: list[bytes]) -> None:
    assert bodies
    for body in bodies:
        assert wrong(body) == []
        # The description lets other keys stand beside its own; some servers do not.
        assert set(json.loads(body)) <= KEYS


def test_the_description_can_refuse() -> None:
    assert wrong(b'{"model": "m", "messages": [{"role": "king", "content": "a"}]}')
    assert wrong(b'{"model": "m", "messages": []}')


def test_the_fault_server_fails_a_test_whose_requests_are_not_as_described() -> None:
    with pytest.raises(AssertionError, match="not as described"):
        calling.run(well, ChatRequest("m", (Message("king", "hi"),)))  # type: ignore[arg-type]


def test_a_simulated_server_does_so_through_the_client() -> None:
    async def main() -> None:
        async with Client(server({})) as client:
            await calling.ask(client, calling.endpoint("http://h/v1"), ChatRequest("m", (Message("king", "hi"),)))  # type: ignore[arg-type]

    with pytest.raises(AssertionError, match="not as described"):
        asyncio.run(main())


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_bodies_of_the_examples_are_as_described(folder: Path) -> None:
    problems = Problems()
    file = folder / "replies.yaml"
    recording = Recording(replies.parse_replies(source.parse(file.read_bytes(), path=file, shown=file.name, problems=problems), problems))
    args = json.loads((folder / "expected.json").read_text(encoding="utf-8")).get("args", [])
    flowkit.load(flow_file(folder), simulate=recording).run(given(folder, args))
    check(recording.bodies)


@pytest.mark.parametrize("stream", [False, True])
def test_bodies_with_tools_are_as_described(tmp_path: Path, stream: bool) -> None:
    """Those that offer them, and those that bring back what they gave."""
    text = "steps:\n  a: {prompt: a, tools: ['shop:find', 'shop:count'], output: {n: integer}}\n"
    shop = "def find(order: str, most: int = 3) -> str:\n    'Find.'\n    return order\ndef count() -> int: return 3\n"
    said = replies.replies_of({"a": [calls(("find", {"order": "A"}), ("count", {})), {"n": 3}]})
    recording = Recording(said)
    flow = flowkit.load(write(tmp_path, text, shop__py=shop), simulate=recording)

    async def main() -> None:
        await flow.start({}, stream=stream).finish()

    asyncio.run(main())
    assert [len(json.loads(body)["messages"]) for body in recording.bodies] == [1, 4]
    check(recording.bodies)


@pytest.mark.parametrize("form", ["json_schema", "json_object", "prompt"])
@pytest.mark.parametrize("stream", [False, True])
def test_bodies_of_all_forms_are_as_described(tmp_path: Path, form: str, stream: bool) -> None:
    path = write(tmp_path, EVERYTHING)
    (tmp_path / "flowkit.toml").write_text(f'[models.m]\nmodel = "openai/gpt-test"\nstructured = "{form}"\n')
    recording = Recording()
    flow = flowkit.load(path, simulate=recording)
    inputs = {"past": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "picture": "https://x.example/p.png"}

    async def main() -> None:
        await flow.start(inputs, stream=stream).finish()

    asyncio.run(main())
    assert len(recording.bodies) == 4
    check(recording.bodies)
