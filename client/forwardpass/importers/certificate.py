"""The certificate of parity: how closely an imported network agrees with its model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from forwardpass.spec import NetworkSpec, digest

PREFIX: Final = "parity "
"""The prefix of a certificate's keys in the metadata of a network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """The result of comparing a network with the model it was imported from, on the same rows.

    Attributes:
        framework: The framework that computed the model, with its version.
        model: The imported model.
        given_rows: The number of rows that the caller gave.
        random_rows: The number of random rows.
        absolute: The largest absolute difference.
        relative: The largest difference relative to the number of the model, without those that only rounding makes
            larger than the tolerance.
        tolerance: The largest accepted value of `relative`.
        rounded_rows: The number of rows with such differences.
        digest: The digest of the compared network, see `content_digest`.
    """

    framework: str
    model: str
    given_rows: int
    random_rows: int
    absolute: float
    relative: float
    tolerance: float
    rounded_rows: int
    digest: str

    def __str__(self) -> str:
        """Return the certificate as a sentence."""
        rounded = f", in {self.rounded_rows:,} of them by rounding alone" if self.rounded_rows else ""
        return (
            f"{self.framework}, {self.model}: differs by at most {self.absolute:.1e} ({self.relative:.1e} relative, "
            f"{self.tolerance:.0e} allowed) on {self.given_rows:,} given and {self.random_rows:,} random rows{rounded}"
        )

    def covers(self, spec: NetworkSpec) -> bool:
        """Return whether a network is the compared one."""
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
            f"{PREFIX}rounded rows": str(self.rounded_rows),
            f"{PREFIX}digest": self.digest,
        }

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Self | None:
        """Return the certificate in a network's metadata, or None where it is absent or incomplete."""
        try:
            return cls(
                framework=metadata[f"{PREFIX}framework"],
                model=metadata[f"{PREFIX}model"],
                given_rows=int(metadata[f"{PREFIX}given rows"]),
                random_rows=int(metadata[f"{PREFIX}random rows"]),
                absolute=float(metadata[f"{PREFIX}absolute"]),
                relative=float(metadata[f"{PREFIX}relative"]),
                tolerance=float(metadata[f"{PREFIX}tolerance"]),
                rounded_rows=int(metadata.get(f"{PREFIX}rounded rows", 0)),
                digest=metadata[f"{PREFIX}digest"],
            )
        except (KeyError, ValueError):
            return None


def content_digest(spec: NetworkSpec) -> str:
    """Return the digest of what a spec computes and names, without description, metadata, tags and examples."""
    return digest(replace(spec, description="", metadata={}, tags=(), examples=()))
