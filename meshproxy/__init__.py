"""The sidecar: an asyncio proxy beside every application. `proxy/stack.py` is the file to read first."""

__version__ = "0.1.0"
