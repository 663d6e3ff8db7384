"""Certificates for mTLS between the sidecars, by the `openssl` program: a root, and one for each service account."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from deploy.demo.child import Child
from deploy.demo.pods import NAMESPACE

DAYS = "30"

# A configuration of its own, so that the machine's has no say.
_CONFIG = """\
[req]
prompt = no
distinguished_name = name
[name]
O = meshproxy demo
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = critical, URI:spiffe://cluster.local/ns/{namespace}/sa/{account}
"""


def is_possible() -> bool:
    """Whether this machine has the program."""
    return shutil.which("openssl") is not None


async def make(directory: Path, accounts: set[str]) -> None:
    """Make DIRECTORY/ACCOUNT with the files of an --identity-dir for each account. Raises DemoError."""
    root = Maker(directory, "root")
    await root.openssl("req", "-x509", "-new", "-extensions", "root", "-days", DAYS, *root.key(), "-out", "tls.crt")
    await asyncio.gather(*(_issue(directory, account, root.place) for account in sorted(accounts)))


async def _issue(directory: Path, account: str, root: Path) -> None:
    maker = Maker(directory, account)
    await maker.openssl("req", "-new", *maker.key(), "-out", "tls.csr")
    signer = [
        "-CA",
        str(root / "tls.crt"),
        "-CAkey",
        str(root / "tls.key"),
        "-set_serial",
        f"0x{account.encode().hex()}",
    ]
    extensions = ["-extfile", str(maker.config), "-extensions", "leaf"]
    await maker.openssl("x509", "-req", "-days", DAYS, *signer, *extensions, "-in", "tls.csr", "-out", "tls.crt")
    shutil.copy(root / "tls.crt", maker.place / "ca.crt")


class Maker:
    """Runs the program for one identity, in the identity's own directory."""

    __slots__ = ("config", "name", "place")

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.place = directory / name
        self.place.mkdir(mode=0o700)
        self.config = self.place / "openssl.cnf"
        self.config.write_text(_CONFIG.format(namespace=NAMESPACE, account=name))

    def key(self) -> list[str]:
        """Arguments for a new key."""
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        return ["-config", str(self.config), *new, "-keyout", str(self.place / "tls.key")]

    async def openssl(self, *arguments: str) -> None:
        placed = [str(self.place / word) if word in ("tls.crt", "tls.csr") else word for word in arguments]
        await Child(f"openssl for {self.name}", ["openssl", *placed], self.place / "openssl.log").finish()
