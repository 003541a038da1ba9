"""The forwarder: bytes between clients and the model, one header added, a copy for the recorder."""

from collector.proxy.options import ProxyOptions, Upstream, parse_upstream
from collector.proxy.server import Proxy, serve

__all__ = ["Proxy", "ProxyOptions", "Upstream", "parse_upstream", "serve"]
