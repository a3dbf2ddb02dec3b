"""Certificates for tests, made when they are needed and never kept."""

import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

import pytest

LOCALHOST: Final = "DNS:localhost,IP:127.0.0.1"
"""The names of this machine in a SAN extension."""
_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost that signs itself; return its path and its key's."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    arguments = ["-x509", "-days", "2", "-subj", "/CN=localhost", "-addext", f"subjectAltName={LOCALHOST}"]
    _openssl("req", *_NEW_KEY, *arguments, "-keyout", key, "-out", certificate)
    return certificate, key


class Certificate(NamedTuple):
    """The contents of a certificate and its key, PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority in a folder.

    Attributes:
        path: The file of its certificate.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.path = folder / "ca.crt"
        _openssl("req", *_NEW_KEY, "-x509", "-days", "2", "-subj", "/CN=ca", "-keyout", self._key, "-out", self.path)

    def issue(self, common_name: str, san: str = "") -> Certificate:
        """Issue a certificate with the names of its SAN extension, if it is to have one."""
        certificate, key, request, extensions = (self._folder / f"own.{end}" for end in ("crt", "key", "csr", "ext"))
        extensions.write_text(f"subjectAltName={san}\n" if san else "basicConstraints=CA:FALSE\n")
        _openssl("req", *_NEW_KEY, "-subj", f"/CN={common_name}", "-keyout", key, "-out", request)
        signed_by = ("-CA", self.path, "-CAkey", self._key, "-CAcreateserial", "-days", "2")
        _openssl("x509", "-req", "-in", request, *signed_by, "-extfile", extensions, "-out", certificate)
        return Certificate(certificate.read_bytes(), key.read_bytes())

    @property
    def _key(self) -> Path:
        return self._folder / "ca.key"


def _openssl(*arguments: str | Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificates, and is not here")
    subprocess.run([openssl, *arguments], check=True, capture_output=True)
