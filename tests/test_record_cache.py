"""What was paid for is not paid for again: counted at a server, never at ourselves."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import closing

import pytest
from counting_server import CountingServer, last
from recording import HEAD, failed, flow, looked, project, rows, run

import flowkit
from flowkit.errors import StoreError

FIVE = """\
inputs: {topic: string}
steps:
  one: {prompt: "Name {{ inputs.topic }}"}
  two: {prompt: "Extend {{ steps.one.output }}"}
  three: {prompt: "Check {{ steps.two.output }}"}
  four: {prompt: "Rewrite {{ steps.three.output }}"}
  five: {prompt: "Rate {{ inputs.topic }}"}
"""


@pytest.fixture
def server():
    with CountingServer() as found:
        yield found


def again(server, path, expected, /, **more):
    """One more run, which costs so many calls."""
    before = server.count
    found = run(path, **more)
    assert server.count - before == expected
    assert found.usage.calls == expected
    return found


# -- what is a hit -------------------------------------------------------------------------------------------


def test_changing_step_four_of_five_costs_one_call(tmp_path, server):
    path = flow(project(tmp_path, server), FIVE)
    first = again(server, path, 5, topic="x")
    second = again(server, path, 0, topic="x")
    assert second.outputs == first.outputs
    assert all(step.cached for step in second.steps.values())
    assert second.cost.known == 0
    path.write_text(path.read_text().replace("Rewrite", "Rewrite well"))
    third = again(server, path, 1, topic="x")
    assert {name for name, step in third.steps.items() if not step.cached} == {"four"}
    assert "Rewrite well" in last(server.bodies[-1])
    again(server, path, 5, topic="other")


def test_an_answer_that_did_not_change_leaves_all_below_a_hit(tmp_path):
    with CountingServer(reply=lambda body: "yes" if "Name" in last(body) else "extended") as server:
        path = flow(project(tmp_path, server), FIVE)
        again(server, path, 5, topic="x")
        path.write_text(path.read_text().replace("Name {{", "Name it: {{"))
        again(server, path, 1, topic="x")


def test_layout_order_of_steps_and_of_parameters_do_not_matter(tmp_path, server):
    path = flow(
        project(tmp_path, server),
        "steps:\n  a:\n    params: {temperature: 0, seed: 1, logit_bias: {'1': 1, '2': 2}}\n    prompt: A\n  b: {prompt: B}\n",
    )
    again(server, path, 2)
    path.write_text(
        'flowkit: 1\n# a comment\nsteps:\n  b:\n    model: m\n    prompt: "B"\n  a: {model: m, prompt: A,'
        " params: {seed: 1, logit_bias: {'2': 2, '1': 1}, temperature: 0}}\n"
    )
    again(server, path, 0)


def test_a_step_may_be_renamed_or_moved_to_another_flow(tmp_path, server):
    path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A}\n")
    again(server, path, 1)
    other = tmp_path / "b.flow.yaml"
    other.write_text(HEAD + "steps:\n  z: {prompt: A}\n")
    again(server, other, 0)


@pytest.mark.parametrize("streamed", [True, False])
def test_streamed_or_not_is_the_same_question(tmp_path, streamed):
    """The piece of a streamed run that comes from the record comes as an event too."""
    with CountingServer() as server:
        path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A}\n")
        again(server, path, 1)

        async def main():
            loaded = flowkit.load(path, runtime=flowkit.Runtime(record=True, cache=True))
            return [event async for event in loaded.stream()]

        pieces = [event.text for event in asyncio.run(main()) if type(event).__name__ == "StepDelta"]
        assert server.count == 1
        assert len(pieces) == 1


def test_another_key_is_the_same_question(tmp_path, server):
    path = flow(
        project(tmp_path, server, provider='api_key_env = "P_KEY"\nheaders = {X-Auth-Token = {env = "P_TOKEN"}}'),
        "steps:\n  a: {prompt: A}\n",
    )
    again(server, path, 1, more={"env": {"P_KEY": "sk-first-key-0123", "P_TOKEN": "tok-first-0123"}})
    again(server, path, 0, more={"env": {"P_KEY": "sk-other-key-4567", "P_TOKEN": "tok-other-4567"}})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("prompt: A", "prompt: A."),
        ("prompt: A", "messages: [{system: Be short.}, {user: A}]"),
        ("temperature: 0", "temperature: 0.1"),
        ("temperature: 0", "temperature: 0, seed: 1"),
        ("model: m", "model: other"),
        ("{n: integer}", "{n: integer, why: string}"),
        ("{n: integer}", "{n: string}"),
    ],
)
def test_what_reaches_the_model_makes_another_question(tmp_path, old, new):
    with CountingServer(
        reply=lambda body: '{"n": 1, "why": ""}' if '"n": {"type": "integer' in json.dumps(body) else '{"n": "1"}'
    ) as server:
        head = "flowkit: 1\n"
        text = "steps:\n  a:\n    model: m\n    params: {temperature: 0}\n    prompt: A\n    output: {n: integer}\n"
        path = flow(project(tmp_path, server, model='[models.other]\nmodel = "p/gpt-2"'), text, head=head)
        again(server, path, 1)
        flow(tmp_path, text.replace(old, new), head=head)
        assert text != text.replace(old, new)
        again(server, path, 1)


def test_another_address_is_another_server(tmp_path, server):
    path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A}\n")
    again(server, path, 1)
    with CountingServer() as other:
        project(tmp_path, other)
        again(other, path, 1)


# -- calls of their own --------------------------------------------------------------------------------------


def test_samples_items_and_rounds_with_the_same_words_are_calls_of_their_own(tmp_path, server):
    text = """\
inputs: {words: list(string)}
steps:
  s: {prompt: Same, samples: 3}
  f: {foreach: inputs.words, prompt: "Say {{ item }}"}
  r: {prompt: Draft, repeat: {max: 4, until: "output == ''"}}
"""
    path = flow(project(tmp_path, server), text)
    words = ["a", "b", "a", "a"]
    first = again(server, path, 3 + 4 + 4, words=words)
    assert again(server, path, 0, words=words).outputs == first.outputs
    again(server, path, 1, words=[*words, "a"])
    path.write_text(path.read_text().replace("samples: 3", "samples: 5"))
    again(server, path, 2, words=words)


def test_the_same_question_of_two_runs_at_once_is_asked_once(tmp_path, server):
    """Whoever asks second waits for the first."""
    path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A}\n")

    async def main():
        async with flowkit.Runtime(record=True, cache=True) as runtime:
            loaded = flowkit.load(path, runtime=runtime)
            return await asyncio.gather(*(loaded.arun() for _ in range(20)))

    found = asyncio.run(main())
    assert server.count == 1
    assert sorted(result.usage.calls for result in found) == [0] * 19 + [1]


def test_event_loops_of_several_threads_share_one_record(tmp_path, server):
    path = flow(project(tmp_path, server), "inputs: {n: integer}\nsteps:\n  a: {prompt: 'A {{ inputs.n }}'}\n")
    runtime = flowkit.Runtime(record=True, cache=True)
    loaded = flowkit.load(path, runtime=runtime)
    server.delay = 0.1
    errors = []

    def work():
        async def main():
            async with runtime:
                async with asyncio.timeout(20):
                    await asyncio.gather(*(loaded.arun(n=n) for n in range(20)))

        try:
            asyncio.run(main())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(rows(tmp_path)[0]) == 80


# -- what is not used ----------------------------------------------------------------------------------------


def test_an_error_is_never_kept_for_an_answer(tmp_path):
    said = [(400, "not today"), "fine"]
    with CountingServer(reply=lambda _: said.pop(0)) as server:
        path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A}\n")
        assert failed(path).kind == "bad_request"
        again(server, path, 1)
        again(server, path, 0)


def test_an_answer_that_was_never_accepted_is_not_used(tmp_path):
    good = False
    with CountingServer(reply=lambda _: '{"n": 1}' if good else "never") as server:
        path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A, output: {n: integer}}\n")
        assert failed(path).kind == "invalid_output"
        assert server.count == 3
        good = True
        again(server, path, 1)
        again(server, path, 0)


def test_an_answer_whose_correction_was_accepted_is_used_with_it(tmp_path):
    with CountingServer(reply=lambda body: '{"n": 1}' if len(body["messages"]) > 1 else "what?") as server:
        path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A, output: {n: integer}}\n")
        again(server, path, 2)
        assert again(server, path, 0).steps["a"].reused == 2


def test_an_answer_that_a_stricter_check_refuses_is_asked_for_anew(tmp_path):
    answers = iter(["7", "8", "9", "9"])
    with CountingServer(reply=lambda _: next(answers)) as server:
        text = "steps:\n  a:\n    prompt: A\n    output: integer\n"
        path = flow(project(tmp_path, server), text)
        again(server, path, 1)
        flow(tmp_path, text + "    checks: [{expr: output > 8}]\n")
        found = again(server, path, 2)
        assert found.outputs == {"a": 9}


def test_the_answer_of_a_simulator_never_serves_a_real_run(tmp_path, server):
    path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A}\n")
    run(path, more={"simulate": True})
    again(server, path, 1)
    assert [found.simulated for found in rows(tmp_path)[0]].count(1) == 1
    assert run(path, more={"simulate": True}).steps["a"].reused == 0


# -- who decides ---------------------------------------------------------------------------------------------


def test_embedded_nothing_is_used_again_until_asked(tmp_path, server):
    path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A}\n  b: {prompt: B, cache: true}\n")
    again(server, path, 2, cache=None)
    again(server, path, 1, cache=None)
    again(server, path, 2, cache=False)
    again(server, path, 0, cache=True)
    again(server, path, 2, cache=None, record=False)


def test_a_step_may_refuse(tmp_path, server):
    path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A, cache: false}\n  b: {prompt: B}\n")
    again(server, path, 2)
    again(server, path, 1)


@pytest.mark.parametrize(("later", "calls"), [(0, 0), (604_799, 0), (604_801, 1), (-86_400, 1), (86_400, 0)])
def test_an_answer_that_is_too_old_or_of_the_future_is_asked_for_anew(tmp_path, server, later, calls):
    path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A, cache: 7d}\n")
    again(server, path, 1, more={"clock": lambda: 1e9})
    again(server, path, calls, more={"clock": lambda: 1e9 + later})


# -- going on ------------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_uses_its_own_answers_whatever_the_rule(tmp_path):
    """`cache: false` speaks of other runs. What it answered before it failed is never asked twice."""
    down = True
    with CountingServer(reply=lambda body: (400, "no") if down and "C" in last(body) else "x") as server:
        path = flow(
            project(tmp_path, server),
            "steps:\n  a: {prompt: A, cache: false, samples: 2}\n  b: {foreach: [1, 1, 2], prompt: 'B {{ item }}'}\n"
            "  c: {prompt: 'C {{ steps.a.output }} {{ steps.b.output }}'}\n",
        )
        assert failed(path, cache=None, id="mine").kind == "bad_request"
        assert server.count == 6
        down = False
        found = again(server, path, 1, cache=None, id="mine")
        assert (found.id, found.steps["a"].reused, found.steps["b"].reused) == ("mine", 2, 3)
        again(server, path, 6, cache=None, id="other")
    runs, calls, attempts = rows(tmp_path)
    assert {row.id: (row.status, row.resumed) for row in runs} == {"mine": ("succeeded", 1), "other": ("succeeded", 0)}
    assert len(attempts) == 13
    assert [call.number for call in calls if call.run == "mine"] == list(range(1, 13))


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_neither_ids_nor_order_nor_going_on_depend_on_the_clock(tmp_path, server, jump):
    """It jumps by a day with each reading."""
    now = 1e9

    def clock():
        nonlocal now
        now += jump
        return now

    path = flow(project(tmp_path, server), FIVE)
    first = again(server, path, 5, id="mine", topic="x", cache=None, more={"clock": clock})
    second = again(server, path, 0, id="mine", topic="x", cache=None, more={"clock": clock})
    assert first.outputs == second.outputs
    again(server, path, 0, topic="x", more={"clock": clock})
    with closing(looked(tmp_path)) as store:
        assert [call.number for call in store.calls("mine")] == list(range(1, 11))
        steps = [call.step for call in store.calls("mine")]
        assert sorted(steps[:5]) == sorted(steps[5:]) == sorted(["one", "five", "two", "three", "four"])
        assert all(0 <= (call.seconds or 0) < 60 for call in store.calls("mine"))


def test_a_run_goes_on_in_one_place_at_a_time(tmp_path):
    """In this process or in another."""
    with CountingServer() as server:
        path = flow(project(tmp_path, server), "steps:\n  a: {prompt: A}\n")
        server.go.clear()

        async def main():
            async with flowkit.Runtime(record=True) as runtime, flowkit.Runtime(record=True) as other:
                first = asyncio.create_task(flowkit.load(path, runtime=runtime).start({}, id="mine").finish())
                await asyncio.to_thread(server.wait_for, 1)
                with pytest.raises(StoreError, match="run mine goes on already"):
                    await flowkit.load(path, runtime=runtime).start({}, id="mine").finish()
                with pytest.raises(StoreError, match="run mine goes on in another process; wait until it ends"):
                    await flowkit.load(path, runtime=other).start({}, id="mine").finish()
                server.go.set()
                await first

        asyncio.run(main())
        assert server.count == 1


# -- secrets -------------------------------------------------------------------------------------------------


def test_no_secret_is_ever_in_the_files(tmp_path):
    """Neither one that is sent, nor one that the server says back."""
    canaries = ["sk-canary-key-0123456789", "hd-canary-header-0123456789", "qu-canary-query-0123456789"]

    def reply(body):
        said = f"you sent {' '.join(canaries)} and {last(body)}"
        return (400, said) if "refuse" in last(body) else said

    with CountingServer(reply=reply) as server:
        folder = project(tmp_path, server, provider='api_key_env = "P_KEY"\nheaders = {X-Secret = {env = "P_HEAD"}}')
        toml = folder / "flowkit.toml"
        toml.write_text(toml.read_text().replace('/v1"', f'/v1?api-key={canaries[2]}"'))
        path = flow(folder, f"steps:\n  a: {{prompt: 'A {canaries[0]}'}}\n  b: {{prompt: 'B {{{{ steps.a.output }}}}'}}\n")
        path.write_text(path.read_text().replace(canaries[0], "{{ inputs.word }}").replace("steps:", "inputs: {word: string}\nsteps:"))
        env = {"P_KEY": canaries[0], "P_HEAD": canaries[1]}
        again(server, path, 2, more={"env": env}, word="x")
        assert failed(path, more={"env": env}, word="refuse").kind == "bad_request"
        data = b"".join(file.read_bytes() for file in (folder / ".flowkit").rglob("*") if file.is_file())
    assert b"you sent" in data
    assert [canary for canary in canaries if canary.encode() in data] == []
