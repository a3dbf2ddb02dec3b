"""The certificate of parity: how closely a network computes what the model computed that it was made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from forwardpass.spec import NetworkSpec, digest

PREFIX: Final = "parity "
"""How the keys of a certificate begin among a network's metadata."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """The comparison of a network with the model that it was made of, on the same rows.

    Attributes:
        framework: What computed the model, with its version.
        model: What was imported.
        given_rows: How many of the rows were given.
        random_rows: How many were random.
        absolute: The largest difference of two numbers.
        relative: The largest difference in proportion to the model's number, or where that is smaller, to the
            median size of that output's numbers.
        tolerance: How large `relative` might have been.
        digest: Of what was compared, see `content_digest`.
    """

    framework: str
    model: str
    given_rows: int
    random_rows: int
    absolute: float
    relative: float
    tolerance: float
    digest: str

    def __str__(self) -> str:
        """Return the certificate as a sentence."""
        return (
            f"{self.framework}, {self.model}: differs by at most {self.absolute:.1e} ({self.relative:.1e} relative, "
            f"{self.tolerance:.0e} allowed) on {self.given_rows:,} given and {self.random_rows:,} random rows"
        )

    def covers(self, spec: NetworkSpec) -> bool:
        """Say whether a network is the one that was compared."""
        return content_digest(spec) == self.digest

    def metadata(self) -> dict[str, str]:
        """Return the certificate as entries of a network's metadata."""
        return {
            f"{PREFIX}framework": self.framework,
            f"{PREFIX}model": self.model,
            f"{PREFIX}given rows": str(self.given_rows),
            f"{PREFIX}random rows": str(self.random_rows),
            f"{PREFIX}absolute": repr(self.absolute),
            f"{PREFIX}relative": repr(self.relative),
            f"{PREFIX}tolerance": repr(self.tolerance),
            f"{PREFIX}digest": self.digest,
        }

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Self | None:
        """Return the certificate that a network's metadata has, or None when it has none that is whole."""
        try:
            return cls(
                framework=metadata[f"{PREFIX}framework"],
                model=metadata[f"{PREFIX}model"],
                given_rows=int(metadata[f"{PREFIX}given rows"]),
                random_rows=int(metadata[f"{PREFIX}random rows"]),
                absolute=float(metadata[f"{PREFIX}absolute"]),
                relative=float(metadata[f"{PREFIX}relative"]),
                tolerance=float(metadata[f"{PREFIX}tolerance"]),
                digest=metadata[f"{PREFIX}digest"],
            )
        except (KeyError, ValueError):
            return None


def content_digest(spec: NetworkSpec) -> str:
    """Return the digest of a spec without description, metadata, tags and examples: of all that computes and names."""
    return digest(replace(spec, description="", metadata={}, tags=(), examples=()))
