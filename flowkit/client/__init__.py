"""Chat completions over HTTP. The only room that knows httpx; a responder may stand in the place of all servers."""

from flowkit.client.asking import Client, Responder

__all__ = ["Client", "Responder"]
