"""Recorded calls in git: kept as text beside the flow, and replayed with neither key nor network."""

from flowkit.cassettes.playing import NotRecorded, Player
from flowkit.cassettes.recording import Recording, Tape
from flowkit.cassettes.tapes import FOLDER, REPEAT, Call, Shelf, slug

__all__ = ["FOLDER", "REPEAT", "Call", "NotRecorded", "Player", "Recording", "Shelf", "Tape", "slug"]
