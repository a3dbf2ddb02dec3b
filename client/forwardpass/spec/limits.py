"""The limits of the size of a spec. Declared sizes are checked before anything of that size is allocated."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The largest accepted sizes.

    Attributes:
        max_layers: Layers of a network.
        max_width: Inputs of a network, and nodes or inputs of a layer.
        max_held: Values of one row that a network holds at once, some of them waiting for a later layer.
        max_products: Multiplications of one row in all convolutions of a network.
        max_network_bytes: Bytes of a file, of a JSON text, and of all weights and biases together.
        max_header_bytes: Bytes of a safetensors file's header: everything but the tensors.
        max_examples: Examples of a network.
        max_name_length: Characters of a name, label, tag, unit or metadata key.
        max_text_length: Characters of a description or metadata value.
        max_tags: Tags of a network.
        max_metadata: Metadata entries of a network.
        max_containers: Lists and objects in a JSON text.
        max_categories: Categories of all categories of a network together.
    """

    max_layers: int = 256
    max_width: int = 65_536
    max_held: int = 524_288
    max_products: int = 2_147_483_648
    max_network_bytes: int = 285_212_672
    max_header_bytes: int = 16_777_216
    max_examples: int = 1_000
    max_name_length: int = 128
    max_text_length: int = 10_000
    max_tags: int = 64
    max_metadata: int = 64
    max_containers: int = 262_144
    max_categories: int = 65_536

    @property
    def max_parameters(self) -> int:
        """The most weights and biases, in float32, the smaller of the two dtypes."""
        return self.max_network_bytes // 4

    @property
    def max_objects(self) -> int:
        """The most objects of a JSON text, or of a safetensors header, that keeps to the other limits.

        A layer is one, and may have one each for its activation, that one's parameters, its weights by name, and in a
        header for four tensors; an example is one or three, and each input, group of inputs and output one.
        """
        return 9 * self.max_layers + 3 * self.max_examples + 2 * self.max_width + 64


DEFAULT_LIMITS: Final = Limits()
"""256 layers of 65,536 nodes; 272 MiB of content, which are 71 million parameters in float32."""
