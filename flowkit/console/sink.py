"""Write text to a stream that may break or may not know every character, without breaking a run."""

from __future__ import annotations

from typing import TextIO


class Sink:
    """A writer that falls silent at its first failure and keeps it in `failure`.

    Views are called by the runner itself: a reader that went away (`| head`) or a full disk must not stop calls that are
    being paid for. Who owns the view looks at `failure` when the run is over.
    """

    def __init__(self, writer: TextIO) -> None:
        self._writer = writer
        self.failure: OSError | None = None

    def write(self, text: str) -> None:
        """Write and flush. Characters that the stream cannot encode become escapes."""
        if self.failure is not None:
            return
        try:
            try:
                self._writer.write(text)
            except UnicodeEncodeError:
                name = self._writer.encoding or "ascii"
                self._writer.write(text.encode(name, "backslashreplace").decode(name))
            self._writer.flush()
        except OSError as error:  # EPIPE, ENOSPC, EIO
            self.failure = error
