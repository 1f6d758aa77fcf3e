"""Recorded calls in git: kept as text beside the flow, and replayed with neither key nor network."""

from flowkit.cassettes.playing import NotRecorded, Player
from flowkit.cassettes.recording import Recording
from flowkit.cassettes.tapes import FOLDER, Call, Shelf, slug

__all__ = ["FOLDER", "Call", "NotRecorded", "Player", "Recording", "Shelf", "slug"]
