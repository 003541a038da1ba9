"""Log predictions and labels from inside a model server: `Client(model="fraud").log(features={...}, prediction=True)`.

`client.watch` decorates a predict function; `remora.client.asgi` and `remora.client.wsgi` are middleware. All of it needs
httpx and the standard library, nothing else of Remora. Nothing here ever raises into the model, waits for the network, or
grows without bound.
"""

from remora.client.sending import Client

__all__ = ["Client"]
