"""Codes of what a flow names outside itself: files, other flows, Python."""

from __future__ import annotations

from flowkit.codes.code import Code, Example

_of = Code.of

_CHILD = {"child.flow.yaml": "flowkit: 1\ninputs: {text: string}\nsteps: {say: {set: inputs.text}}\n"}
_SHOP = {"shop.py": "def price(name: str, many: int = 1) -> float:\n    return 2.5 * many\n"}


def _nested() -> dict[str, str]:
    inner = {f"f{n}.flow.yaml": f"flowkit: 1\nsteps: {{next: {{uses: f{n + 1}.flow.yaml}}}}\n" for n in range(25)}
    return inner | {"f25.flow.yaml": "flowkit: 1\nsteps: {end: {set: 1}}\n"}


CODES: tuple[Code, ...] = (
    _of(
        "bad-path",
        "Not a path.",
        'values:\n  notes: {file: "a\\0b.txt"}\nsteps: {reply: {prompt: "{{ values.notes }}"}}',
        Example(
            """
            values:
              notes: {file: notes.txt}
            steps: {reply: {prompt: "{{ values.notes }}"}}
            """,
            {"notes.txt": "a\n"},
        ),
    ),
    _of(
        "duplicate-tool",
        "Two tools of a step have one name.",
        Example(
            """
            steps:
              reply:
                prompt: Where is order 7?
                tools: [shop:find, archive:find]
            """,
            {
                "shop.py": "def find(order: str) -> str:\n    return order\n",
                "archive.py": "def find(order: str) -> str:\n    return order\n",
            },
        ),
        Example(
            """
            steps:
              reply:
                prompt: Where is order 7?
                tools: [shop:find, archive:find_old]
            """,
            {
                "shop.py": "def find(order: str) -> str:\n    return order\n",
                "archive.py": "def find_old(order: str) -> str:\n    return order\n",
            },
        ),
    ),
    _of(
        "file-not-found",
        "A file that is not there.",
        """
        steps:
          part:
            uses: child.flow.yaml
            with: {text: "'a'"}
        """,
        Example(
            """
            steps:
              part:
                uses: child.flow.yaml
                with: {text: "'a'"}
            """,
            _CHILD,
        ),
    ),
    _of(
        "flow-cycle",
        "A flow uses itself, directly or by another.",
        Example(
            """
            steps:
              part:
                uses: child.flow.yaml
                with: {}
            """,
            {"child.flow.yaml": "flowkit: 1\nsteps: {again: {uses: child.flow.yaml}}\n"},
        ),
        Example(
            """
            steps:
              part:
                uses: child.flow.yaml
                with: {text: "'a'"}
            """,
            _CHILD,
        ),
    ),
    _of(
        "flow-depth",
        "Sub-flows of sub-flows, more than 20 deep.",
        Example("steps: {next: {uses: f0.flow.yaml}}", _nested(), words="Twenty-six flows, each a sub-flow of the one before."),
        "steps: {end: {set: 1}}",
    ),
    _of(
        "function-name",
        "Not the name of a Python object.",
        """
        types: {Order: shop..models:Order}
        steps: {reply: {prompt: Which?, output: Order}}
        """,
        Example(
            """
            types: {Order: shop:Order}
            steps: {reply: {prompt: Which?, output: Order}}
            """,
            {"shop.py": "from dataclasses import dataclass\n\n\n@dataclass\nclass Order:\n    name: str\n"},
        ),
    ),
    _of(
        "module-import",
        "A Python module raises an error while it is imported.",
        Example(
            """
            steps:
              cost:
                call: shop:price
            """,
            {"shop.py": "import no_such_module_here\n"},
        ),
        Example(
            """
            steps:
              cost:
                call: shop:price
            """,
            {"shop.py": "def price() -> float:\n    return 2.5\n"},
        ),
    ),
    _of(
        "not-a-file",
        "A folder, or no regular file.",
        Example(
            """
            values:
              notes: {file: notes}
            steps: {reply: {prompt: "{{ values.notes }}"}}
            """,
            {"notes/a.txt": "a\n"},
        ),
        Example(
            """
            values:
              notes: {file: notes/a.txt}
            steps: {reply: {prompt: "{{ values.notes }}"}}
            """,
            {"notes/a.txt": "a\n"},
        ),
    ),
    _of(
        "path-escape",
        "A path that leaves the project.",
        """
        steps:
          part:
            uses: ../child.flow.yaml
        """,
        Example(
            """
            steps:
              part:
                uses: child.flow.yaml
                with: {text: "'a'"}
            """,
            _CHILD,
        ),
    ),
    _of(
        "positional-only",
        "A function takes an argument by position only, and `with` gives names.",
        Example(
            """
            steps:
              cost:
                call: shop:price
                with: {name: "'tea'"}
            """,
            {"shop.py": "def price(name: str, /) -> float:\n    return 2.5\n"},
        ),
        Example(
            """
            steps:
              cost:
                call: shop:price
                with: {name: "'tea'"}
            """,
            {"shop.py": "def price(name: str) -> float:\n    return 2.5\n"},
        ),
    ),
    _of(
        "tool-annotation",
        "A function among the tools does not say of which type an argument is.",
        Example(
            """
            steps:
              reply:
                prompt: Where is order 7?
                tools: [shop:find]
            """,
            {"shop.py": "def find(order):\n    return order\n"},
        ),
        Example(
            """
            steps:
              reply:
                prompt: Where is order 7?
                tools: [shop:find]
            """,
            {"shop.py": "def find(order: str) -> str:\n    return order\n"},
        ),
    ),
    _of(
        "tool-name",
        "A tool has a name that the protocol does not take.",
        Example(
            """
            steps:
              reply:
                prompt: Where is order 7?
                tools: [my search.flow.yaml]
            """,
            {"my search.flow.yaml": "flowkit: 1\nsteps: {a: {set: 1}}\n"},
        ),
        Example(
            """
            steps:
              reply:
                prompt: Where is order 7?
                tools: [my_search.flow.yaml]
            """,
            {"my_search.flow.yaml": "flowkit: 1\nsteps: {a: {set: 1}}\n"},
        ),
    ),
    _of(
        "unknown-function",
        "A Python function that is not in its module.",
        Example(
            """
            steps:
              cost:
                call: shop:prise
                with: {name: "'tea'"}
            """,
            _SHOP,
        ),
        Example(
            """
            steps:
              cost:
                call: shop:price
                with: {name: "'tea'"}
            """,
            _SHOP,
        ),
    ),
    _of(
        "unknown-module",
        "A Python module that is not there.",
        Example(
            """
            steps:
              cost:
                call: shopp:price
                with: {name: "'tea'"}
            """,
            _SHOP,
        ),
        Example(
            """
            steps:
              cost:
                call: shop:price
                with: {name: "'tea'"}
            """,
            _SHOP,
        ),
    ),
    _of(
        "unreadable-file",
        "A file that the system does not let us read.",
        Example(
            "values:\n  notes: {file: " + "n" * 300 + '.txt}\nsteps: {reply: {prompt: "{{ values.notes }}"}}',
            words="`file:` with a name of 304 letters.",
        ),
        Example('values:\n  notes: {file: notes.txt}\nsteps: {reply: {prompt: "{{ values.notes }}"}}', {"notes.txt": "a\n"}),
    ),
)
