"""Codes of what is wrong with a file before its keys mean anything: bytes, characters, YAML."""

from __future__ import annotations

from flowkit.codes.code import Code, Example

_of = Code.of
_WHOLE = "flowkit: 1\nsteps: {reply: {model: openai/gpt-4.1-mini, prompt: Hello.}}\n"
_NOTES = 'values: {notes: {file: notes.txt}}\nsteps: {reply: {prompt: "{{ values.notes }}"}}'

CODES: tuple[Code, ...] = (
    _of(
        "bad-indent",
        "A line is indented as no line above.",
        Example(
            """
            steps:
              reply:
                model: fast
               prompt: Hello.
            """,
            alone=True,
        ),
        """
        steps:
          reply:
            prompt: Hello.
        """,
    ),
    _of(
        "bidi-control",
        "Controls that turn the order of what is seen: a reviewer may see another text than the model.",
        "description: a\u202eb",
        'description: "a\\u202eb"',
    ),
    _of(
        "byte-order-mark",
        "A mark of byte order stands inside the file.",
        "description: a\ufeffb",
        "description: ab",
    ),
    _of(
        "control-character",
        "A character that no text file may hold.",
        "description: bell\x07",
        'description: "bell\\x07"',
    ),
    _of(
        "duplicate-anchor",
        "An anchor is set twice.",
        """
        x-one: &a 1
        x-two: &a 2
        """,
        """
        x-one: &a 1
        x-two: &b 2
        """,
    ),
    _of(
        "duplicate-key",
        "A key stands twice in one mapping.",
        """
        name: a
        name: b
        """,
        "name: b",
    ),
    _of(
        "empty-file",
        "Nothing stands in the file.",
        Example(
            "# soon",
            alone=True,
        ),
        Example(
            """
            flowkit: 1
            steps: {reply: {model: openai/gpt-4.1-mini, prompt: Hello.}}
            """,
            alone=True,
        ),
    ),
    _of(
        "file-too-large",
        "The file holds more than 16 MB.",
        Example(_NOTES, {"notes.txt": 16_777_217}, words="A value from a file of 16,777,217 letters."),
        Example(_NOTES, {"notes.txt": "a\n"}),
    ),
    _of(
        "invisible-character",
        "A key holds a character that nobody sees.",
        "na\u200bme: a",
        "name: a",
    ),
    _of(
        "key-not-text",
        "YAML reads the key as something else than text.",
        """
        values:
          marks: {1: good}
        """,
        """
        values:
          marks: {"1": good}
        steps: {reply: {prompt: "{{ values.marks }}"}}
        """,
    ),
    _of(
        "line-separator",
        "A character breaks the line for some readers and not for others.",
        "description: one\u2028two",
        'description: "one\\u2028two"',
    ),
    _of(
        "lone-surrogate",
        "An escape for half of a character.",
        'description: "\\ud83d"',
        'description: "\\U0001F600"',
    ),
    _of(
        "many-documents",
        "A file is one flow.",
        Example(
            """
            flowkit: 1
            steps: {reply: {model: openai/gpt-4.1-mini, prompt: Hello.}}
            ---
            flowkit: 1
            steps: {reply: {model: openai/gpt-4.1-mini, prompt: Hello.}}
            """,
            alone=True,
        ),
        Example(
            """
            flowkit: 1
            steps: {reply: {model: openai/gpt-4.1-mini, prompt: Hello.}}
            """,
            alone=True,
        ),
    ),
    _of(
        "merge-conflict",
        "Git left the marks of a merge conflict.",
        Example(
            """
            flowkit: 1
            <<<<<<< HEAD
            name: a
            =======
            name: b
            >>>>>>> other
            """,
            alone=True,
        ),
        "name: b",
    ),
    _of(
        "merge-key",
        "Merge keys are no part of a flow.",
        """
        x-cold: &cold {temperature: 0}
        steps:
          reply:
            prompt: Hello.
            params:
              <<: *cold
        """,
        """
        x-cold: &cold {temperature: 0}
        steps:
          reply:
            prompt: Hello.
            params: *cold
        """,
    ),
    _of(
        "not-utf8",
        "The file is not UTF-8.",
        Example(
            b"flowkit: 1\ndescription: caf\xe9\n",
        ),
        "description: café",
    ),
    _of(
        "number-too-long",
        "A number of more digits than anything here can count with.",
        Example("x-n: " + "9" * 5000, words="A number of 5,000 digits."),
        'x-n: "99999"',
    ),
    _of(
        "recursive-alias",
        "A value holds itself.",
        "x-loop: &a [*a]",
        "x-loop: &a [1]",
    ),
    _of(
        "tab-indent",
        "A tab indents a line.",
        Example(
            "steps:\n\treply: {prompt: Hello.}",
            alone=True,
        ),
        """
        steps:
          reply: {prompt: Hello.}
        """,
    ),
    _of(
        "too-deep",
        "Mappings and lists stand more than 40 levels deep in each other.",
        Example("x-deep: " + "[" * 41 + "]" * 41, words="`x-deep:` with 41 lists inside each other."),
        "x-deep: [[[]]]",
    ),
    _of(
        "too-many-aliases",
        "Aliases of aliases make the file grow beyond 20,000 nodes.",
        Example(
            "\n".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10) if n else '1, 2, 3'}]" for n in range(6)),
            words="Six lists, each of ten aliases of the one above.",
        ),
        "x-one: &a [1, 2, 3]\nx-two: [*a, *a]",
    ),
    _of(
        "too-many-nodes",
        "The file holds more than 400,000 values.",
        Example("x-many: [" + "1," * 400_001 + "]", words="A list of 400,001 numbers."),
        "x-many: [1, 1]",
    ),
    _of(
        "too-many-problems",
        "More than 200 problems of YAML: the rest of the file is not read.",
        Example("x-tags: [" + "!a 1, " * 201 + "]", words="A list of 201 values with tags.", others=frozenset({"yaml-tag"})),
        "x-tags: [1]",
    ),
    _of(
        "unclosed-quote",
        "A quote is never closed.",
        Example(
            """
            steps:
              reply:
                prompt: "Hello.
            """,
            alone=True,
        ),
        """
        steps:
          reply:
            prompt: "Hello."
        """,
    ),
    _of(
        "unknown-alias",
        "An alias of an anchor that does not stand above.",
        """
        steps:
          reply:
            prompt: *hello
        """,
        """
        x-hello: &hello Hello.
        steps:
          reply:
            prompt: *hello
        """,
    ),
    _of(
        "unknown-escape",
        "Double quotes do not know this escape.",
        Example(
            'steps:\n  reply:\n    prompt: "match \\d"',
            alone=True,
        ),
        "steps:\n  reply:\n    prompt: 'match \\d'",
    ),
    _of(
        "unquoted-text",
        "A text that YAML reads as something else.",
        Example(
            """
            inputs: {q: string}
            steps:
              reply:
                prompt: {{ inputs.q }}
            """,
            alone=True,
        ),
        """
        inputs: {q: string}
        steps:
          reply:
            prompt: "{{ inputs.q }}"
        """,
    ),
    _of(
        "yaml-directive",
        "YAML directives are no part of a flow.",
        Example(
            """
            %YAML 1.2
            ---
            flowkit: 1
            steps: {reply: {model: openai/gpt-4.1-mini, prompt: Hello.}}
            """,
            alone=True,
        ),
        Example(
            """
            ---
            flowkit: 1
            steps: {reply: {model: openai/gpt-4.1-mini, prompt: Hello.}}
            """,
            alone=True,
        ),
    ),
    _of(
        "yaml-syntax",
        "This is not YAML.",
        Example(
            """
            flowkit: 1
            steps: {reply: {prompt: Hello.}
            """,
            alone=True,
        ),
        "steps: {reply: {prompt: Hello.}}",
    ),
    _of(
        "yaml-tag",
        "Tags could build anything, so a flow has none.",
        "description: !env HOME",
        "description: HOME",
    ),
)
