"""Variants are laid over their steps when they are chosen, and checked when they are not; cache and limits reach the plan."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flowkit import compiler
from flowkit.errors import ConfigError
from flowkit.plan import ChatWork, Plan, PlannedStep
from flowkit.project import Project
from flowkit.spec import LimitsSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowkit.compiler import Checked

HEAD = "flowkit: 1\ndefaults: {model: openai/m}\n"
FLOW = """
steps:
  first: {prompt: one}
  second: {prompt: two}
  reply:
    system: Be kind.
    prompt: "{{ steps.first.output }}"
    params: {temperature: 1, seed: 2}
    variants:
      short: {prompt: "{{ steps.second.output }}", params: {temperature: 0}}
      large: {model: openai/large, examples: [{user: a, assistant: b}]}
"""
INNER = """
steps:
  say: {prompt: low, variants: {loud: {prompt: LOUD}}}
  again: {prompt: low, variants: {loud: {prompt: LOUD}}}
"""


def check(folder: Path, flow: str, variants: Mapping[str, str] | None = None, **files: str) -> Checked:
    """Check a flow beside which there are other flows."""
    for name, text in {"main": flow, **files}.items():
        (folder / f"{name}.flow.yaml").write_text(HEAD + text)
    return compiler.check(folder / "main.flow.yaml", cwd=folder, found=Project(folder), variants=variants or {})


def planned(folder: Path, flow: str, variants: Mapping[str, str] | None = None, **files: str) -> Plan:
    checked = check(folder, flow, variants, **files)
    assert checked.problems == ()
    return checked.valid()


def work(step: PlannedStep) -> ChatWork:
    assert isinstance(step.work, ChatWork)
    return step.work


def asked(plan: Plan) -> dict[str, list[str]]:
    """The messages of each step by path."""
    steps = {path: step.work for path, _, step in plan.walk() if isinstance(step.work, ChatWork)}
    return {path: [m.text.node.text for m in found.messages if m.text] for path, found in steps.items()}


def errors(checked: Checked) -> list[str]:
    """Place and code of each problem."""
    return [f"{p.place.path} {p.place.line}:{p.place.column} {p.code}" for p in checked.problems]


# -- choosing ----------------------------------------------------------------------------------------------


def test_without_a_choice_a_step_is_as_written(tmp_path: Path) -> None:
    reply = planned(tmp_path, FLOW).steps["reply"]
    assert (reply.variants, reply.variant, reply.waits) == (("short", "large"), None, ("first",))
    assert work(reply).params == {"temperature": 1, "seed": 2}


def test_a_variant_replaces_what_it_says_and_keeps_the_rest(tmp_path: Path) -> None:
    plan = planned(tmp_path, FLOW, {"reply": "short"})
    reply = plan.steps["reply"]
    assert (reply.variants, reply.variant) == (("short", "large"), "short")
    assert asked(plan)["reply"] == ["Be kind.", "{{ steps.second.output }}"]
    assert (work(reply).params, work(reply).models) == ({"temperature": 0, "seed": 2}, ("openai/m",))
    large = work(planned(tmp_path, FLOW, {"reply": "large"}).steps["reply"])
    assert (large.models, len(large.examples)) == (("openai/large",), 1)


def test_the_order_is_that_of_what_is_chosen(tmp_path: Path) -> None:
    """What another variant reads is not waited for, but it is an output or none whichever is chosen."""
    written, short = planned(tmp_path, FLOW), planned(tmp_path, FLOW, {"reply": "short"})
    assert (written.steps["reply"].waits, short.steps["reply"].waits) == (("first",), ("second",))
    assert (written.leaves, written.output_type) == (short.leaves, short.output_type)
    assert written.leaves == ("second", "reply")


def test_a_choice_inside_a_sub_flow_is_for_that_step_alone(tmp_path: Path) -> None:
    """Two steps may use one file with different variants."""
    flow = "steps:\n  a: {uses: inner.flow.yaml}\n  b: {uses: inner.flow.yaml}\n"
    found = asked(planned(tmp_path, flow, {"a/say": "loud", "b/again": "loud"}, inner=INNER))
    assert found == {"a/say": ["LOUD"], "a/again": ["low"], "b/say": ["low"], "b/again": ["LOUD"]}


def test_a_choice_reaches_through_sub_flows_and_tools(tmp_path: Path) -> None:
    middle = "description: Say.\nsteps:\n  deep: {uses: inner.flow.yaml}\n"
    flow = "steps:\n  a: {uses: middle.flow.yaml}\n  b: {prompt: b, tools: [middle.flow.yaml]}\n"
    found = asked(planned(tmp_path, flow, {"a/deep/say": "loud", "b/middle/deep/again": "loud"}, middle=middle, inner=INNER))
    assert [path for path, texts in found.items() if texts == ["LOUD"]] == ["a/deep/say", "b/middle/deep/again"]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"reply": "shrt"}, "variant reply=shrt: step 'reply' has no variant 'shrt'; did you mean 'short'?"),
        ({"reply": "other"}, "variant reply=other: step 'reply' has no variant 'other'; it has short, large"),
        ({"repyl": "short"}, "variant repyl=short: flow 'main' has no step 'repyl'; did you mean 'reply'?"),
        (
            {"nowhere": "short"},
            "variant nowhere=short: flow 'main' has no step 'nowhere'; the steps with variants are reply, part/say, part/again",
        ),
        ({"first": "short"}, "variant first=short: step 'first' has no variants; these have some: reply, part/say, part/again"),
        ({"part/sya": "loud"}, "variant part/sya=loud: flow 'main' has no step 'part/sya'; did you mean 'part/say'?"),
        ({"part": "loud"}, "variant part=loud: step 'part' has no variants; these have some: reply, part/say, part/again"),
    ],
)
def test_a_choice_that_leads_nowhere_is_refused(tmp_path: Path, choice: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, FLOW + "  part: {uses: inner.flow.yaml}\n", choice, inner=INNER)
    assert str(caught.value) == said


def test_every_wrong_choice_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, "steps: {a: {prompt: a}}\n", {"a": "x", "b": "y"})
    assert str(caught.value).splitlines() == [
        "variant a=x: step 'a' has no variants; no step has any",
        "variant b=y: flow 'main' has no step 'b'; no step has variants",
    ]


def test_the_mistakes_of_a_file_come_before_those_of_the_choice(tmp_path: Path) -> None:
    """A step that could not be read is no reason to say that it does not exist."""
    checked = check(tmp_path, "steps: {a: {prompt: '{{ inputs.x }}'}}\n", {"b": "y"})
    assert errors(checked) == ["main.flow.yaml 3:32 unknown-field"]


# -- checking ----------------------------------------------------------------------------------------------

WRONG = """
inputs: {kind: enum(a | b)}
steps:
  draft:
    prompt: "{{ inputs.kind }}"
    variants:
      v1: {prompt: "{{ steps.nope.output }}"}
      v2: {prompt: "{{ inputs.kind.x }}"}
      v3: {prompt: "{% if %}"}
      v4: {prompt: "{{ steps.last.output }}"}
      v5: {prompt: "{{ steps.draft.output }}"}
  last: {prompt: "{{ steps.draft.output }}"}
"""


@pytest.mark.parametrize("choice", [None, "v1", "v2", "v3", "v4", "v5"])
def test_all_variants_are_checked_whichever_is_chosen(tmp_path: Path, choice: str | None) -> None:
    """Each mistake is one problem at its place, for every choice."""
    found = errors(check(tmp_path, WRONG, {"draft": choice} if choice else None))
    assert [f.removeprefix("main.flow.yaml ").partition(":")[0] for f in found] == ["9", "10", "11", "12", "13"]
    assert [f.split()[-1] for f in found] == ["unknown-step", "no-field", "template-syntax", "cycle", "cycle"]


def test_a_mistake_of_the_step_as_written_stays_one_when_a_variant_is_chosen(tmp_path: Path) -> None:
    flow = "steps:\n  a:\n    prompt: '{{ steps.nope.output }}'\n    variants: {short: {prompt: b}}\n"
    assert errors(check(tmp_path, flow, {"a": "short"})) == ["main.flow.yaml 5:23 unknown-step"]


def test_a_mistake_that_all_variants_share_is_one_problem(tmp_path: Path) -> None:
    flow = "steps:\n  a:\n    prompt: a\n    when: inputs.nope\n    variants: {short: {prompt: b}, long: {prompt: c}}\n"
    assert len(errors(check(tmp_path, flow))) == 1


def test_a_circle_that_needs_no_variant_is_one_problem(tmp_path: Path) -> None:
    flow = (
        "steps:\n  a: {prompt: '{{ steps.b.output }}', variants: {v: {prompt: '{{ steps.c.output }}'}}}\n"
        "  b: {prompt: '{{ steps.a.output }}'}\n  c: {prompt: c}\n"
    )
    assert errors(check(tmp_path, flow)) == ["main.flow.yaml 4:3 cycle"]


def test_two_variants_that_wait_for_each_other_are_refused_together(tmp_path: Path) -> None:
    flow = (
        "steps:\n  a: {prompt: a, variants: {v: {prompt: '{{ steps.b.output }}'}}}\n"
        "  b: {prompt: b, variants: {v: {prompt: '{{ steps.a.output }}'}}}\n"
    )
    assert planned(tmp_path, flow, {"a": "v"}).steps["a"].waits == ("b",)
    assert planned(tmp_path, flow, {"b": "v"}).steps["b"].waits == ("a",)
    assert errors(check(tmp_path, flow, {"a": "v", "b": "v"})) == ["main.flow.yaml 4:29 cycle"]


def test_steps_in_several_circles_are_one_problem(tmp_path: Path) -> None:
    """Circles that share a step are one knot, and the rest of the file is checked."""
    flow = (
        "steps:\n  a: {prompt: '{{ steps.b.output }}'}\n  b: {prompt: '{{ steps.a.output }} {{ steps.c.output }}'}\n"
        "  c: {prompt: '{{ steps.b.output }}'}\n  d: {prompt: '{{ steps.c.output }} {{ steps.nope.output }}'}\n"
    )
    assert errors(check(tmp_path, flow)) == ["main.flow.yaml 4:3 cycle", "main.flow.yaml 7:46 unknown-step"]


def test_what_only_a_variant_reads_is_read(tmp_path: Path) -> None:
    """Neither an input nor a paid step is called unused because another variant is chosen."""
    flow = (
        "inputs: {q: string}\nvalues: {n: 3}\nsteps:\n  a: {prompt: a}\n"
        "  b: {prompt: b, variants: {v: {prompt: '{{ inputs.q }} {{ values.n }} {{ steps.a.output }}'}}}\noutputs: {b: steps.b.output}\n"
    )
    assert planned(tmp_path, flow).steps["b"].waits == ()


# -- cache and limits --------------------------------------------------------------------------------------


def test_the_cache_of_a_step_counts_more_than_that_of_the_file(tmp_path: Path) -> None:
    """It is asked of models only, so neither a function nor a sub-flow takes the default."""
    steps = (
        "steps:\n  a: {prompt: a}\n  b: {prompt: b, cache: false}\n  c: {prompt: c, cache: true}\n  d: {prompt: d, cache: 30s}\n"
        "  e: {set: 1}\n  f: {uses: inner.flow.yaml}\n"
    )
    plan = planned(tmp_path, steps, inner=INNER)
    assert {id_: step.cache for id_, step in plan.steps.items()} == {"a": None, "b": False, "c": True, "d": 30, "e": None, "f": None}
    (tmp_path / "main.flow.yaml").write_text("flowkit: 1\ndefaults: {model: openai/m, cache: 7d}\n" + steps)
    plan = compiler.check(tmp_path / "main.flow.yaml", cwd=tmp_path, found=Project(tmp_path)).valid()
    assert {path: step.cache for path, _, step in plan.walk()} == {
        "a": 604800, "b": False, "c": True, "d": 30, "e": None, "f": None, "f/say": None, "f/again": None,
    }  # fmt: skip


def test_a_variant_keeps_the_cache_of_its_step(tmp_path: Path) -> None:
    flow = "steps:\n  a: {prompt: a, cache: 1h, variants: {v: {prompt: b}}}\n"
    assert planned(tmp_path, flow, {"a": "v"}).steps["a"].cache == 3600


def test_limits_are_exact(tmp_path: Path) -> None:
    """Money is counted in decimals: a tenth is a tenth."""
    plan = planned(tmp_path, "limits: {calls: 3, tokens: 100, cost: 0.1, seconds: 1.5}\nsteps: {a: {prompt: a}}\n")
    assert plan.limits == LimitsSpec(3, 100, Decimal("0.1"), 1.5)
    assert planned(tmp_path, "steps: {a: {prompt: a}}\n").limits == LimitsSpec()
