"""Turn a git diff into files that a reviewer can read, and findings into one ranked list. Knows nothing of models."""

from __future__ import annotations

import re
from typing import Literal, TypedDict

Change = Literal["added", "deleted", "modified", "renamed"]
Severity = Literal["blocker", "major", "minor", "nit"]


class FileDiff(TypedDict):
    """One file of a diff. `patch` has the line number of the new file before each line that it still holds."""

    path: str
    change: Change
    reviewable: bool
    sensitive: bool
    lines: list[int]
    patch: str


class Finding(TypedDict):
    """What a reviewer found in one file."""

    line: int
    severity: Severity
    title: str
    why: str
    fix: str


class Review(TypedDict):
    """The review of one file."""

    findings: list[Finding]


class Placed(TypedDict):
    """A finding with its file."""

    file: str
    line: int
    severity: Severity
    title: str
    why: str
    fix: str


RANK: dict[Severity, int] = {"blocker": 0, "major": 1, "minor": 2, "nit": 3}
SECRETS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bsk-[A-Za-z0-9_-]{32,}")
SENSITIVE = re.compile(
    r"auth|login|passw|secret|token|crypt|cookie|permission|\bsql|execute\(|subprocess|eval\(|pickle|deserial", re.IGNORECASE
)
GENERATED = re.compile(
    r"(^|/)(package-lock\.json|yarn\.lock|pnpm-lock\.yaml|uv\.lock|poetry\.lock|Cargo\.lock|go\.sum|dist/.*|.*\.min\.(js|css))$"
)
HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")
ESCAPE = re.compile(rb"\\([0-7]{3}|.)")


def refuse_secrets(diff: str) -> int:
    """Raise if the diff holds what looks like a key, so that it goes to no model; else return the number of lines looked at."""
    lines = diff.split("\n")
    for number, line in enumerate(lines, 1):
        if SECRETS.search(line):
            raise ValueError(f"line {number} of the diff looks like a secret; take it out (and revoke it) before asking for a review")
    return len(lines)


def split(diff: str) -> list[FileDiff]:
    """Split the output of `git diff` into its files, in its order."""
    parts = re.split(r"^(?=diff --git )", diff.replace("\r\n", "\n"), flags=re.MULTILINE)
    files = [_file(part) for part in parts if part.startswith("diff --git ")]
    if not files and diff.strip():
        raise ValueError("this is no git diff: no line begins with 'diff --git'")
    return files


def rank(files: list[FileDiff], reviews: list[Review | None], risks: list[Placed], confirmed: list[int]) -> list[Placed]:
    """Merge the findings of all files, worst first.

    `reviews` lies beside `files`, None where there is no review; of `risks` only those count whose number, from 1, is in `confirmed`.
    """
    found = [risk for number, risk in enumerate(risks, 1) if number in confirmed]
    taken = {(risk["file"], risk["line"]) for risk in found}
    for file, review in zip(files, reviews, strict=True):
        for finding in review["findings"] if review else []:
            if (file["path"], finding["line"]) not in taken:  # else the security pass told of it, and looked closer
                found.append({"file": file["path"], **finding})
    order = {file["path"]: number for number, file in enumerate(files)}
    return sorted(found, key=lambda f: (RANK[f["severity"]], order.get(f["file"], len(order)), f["line"]))


def _file(part: str) -> FileDiff:
    lines = part.rstrip("\n").split("\n")
    start = next((n for n, line in enumerate(lines) if line.startswith("@@ ")), len(lines))
    header, body = lines[:start], lines[start:]
    change = _change(header)
    path = _path(header)
    numbers, patch = _numbered(body)
    changed = [line for line in body if line[:1] in ("+", "-")]
    return {
        "path": path,
        "change": change,
        "reviewable": bool(numbers) and change != "deleted" and not GENERATED.search(path),
        "sensitive": not GENERATED.search(path) and any(SENSITIVE.search(text) for text in (path, *changed)),
        "lines": numbers,
        "patch": patch,
    }


def _change(header: list[str]) -> Change:
    if any(line.startswith("new file mode") for line in header):
        return "added"
    if any(line.startswith("deleted file mode") for line in header):
        return "deleted"
    return "renamed" if any(line.startswith("rename to ") for line in header) else "modified"


def _path(header: list[str]) -> str:
    """Return the new name, or the old one of a deleted file. The first line is the last resort: spaces make it ambiguous."""
    for mark in ("rename to ", "+++ ", "--- "):
        for line in header:
            name = _unquote(line.removeprefix(mark).rstrip("\t"))
            if line.startswith(mark) and name != "/dev/null":
                return name if mark == "rename to " else name[2:]
    both = header[0].removeprefix("diff --git ")
    return _unquote(both[len(both) // 2 + 1 :])[2:]  # the same name twice, with a space between


def _unquote(name: str) -> str:
    r"""Read a name as git writes it: "d\303\251j\303\240 vu.txt" in quotes, or plain."""
    if not (len(name) > 1 and name[0] == name[-1] == '"'):
        return name
    plain = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}
    raw = ESCAPE.sub(lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3 else plain.get(m[1], m[1]), name[1:-1].encode())
    return raw.decode(errors="replace")


def _numbered(body: list[str]) -> tuple[list[int], str]:
    """Put the line number of the new file before each line that is in it; removed lines have none."""
    numbers: list[int] = []
    shown = []
    number = 0
    for line in body:
        if hunk := HUNK.match(line):
            number = int(hunk[1])
            shown.append(line)
        elif line.startswith(("-", "\\")):
            shown.append(f"       {line}")
        else:
            shown.append(f"{number:6} {line}")
            numbers.append(number)
            number += 1
    return numbers, "\n".join(shown)
