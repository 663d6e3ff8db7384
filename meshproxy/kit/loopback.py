"""Who may speak to a listener on loopback through a browser: nobody from elsewhere.

Such a listener is out of reach from outside, but a browser on the machine reaches loopback for any page. A page whose
name was rebound to 127.0.0.1 betrays itself by its Host (DNS rebinding), a page that posts across origins by its Origin
(CSRF).
"""

from __future__ import annotations

import re

# An address of 127.0.0.0/8 in the Host is no name that anybody could rebind; sidecars that share a machine have
# several of them.
_LOCAL = re.compile(rb"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)


def is_local(authority: bytes) -> bool:
    """`localhost`, a loopback address or `[::1]`, with or without port."""
    return _LOCAL.fullmatch(authority) is not None


def is_own_origin(origin: bytes) -> bool:
    """No Origin (not a browser), or one of a page that this machine's loopback served."""
    if not origin:
        return True
    scheme, separator, authority = origin.partition(b"://")
    return bool(separator) and scheme in (b"http", b"https") and is_local(authority)
