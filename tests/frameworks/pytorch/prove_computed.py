"""Modules that compute with what they computed: attention, products, choices, moments, distances.

Each is imported as a module, where its inputs tell their shapes, and from `torch.export`. The difference of the
certificate, in float64, is rounding.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from forwardpass.exporters import numpy_file
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass.spec import digest
from torch import Tensor, nn
from torch.nn import functional

TOLERANCE = 1e-12


class Of(nn.Module):
    """A module whose forward is a function of its parts and its inputs."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleDict(parts)
        self.weights = nn.Parameter(torch.randn(5, 4))

    def forward(self, x: Tensor) -> Any:
        return self.function(self, self.parts["first"](x))


class Lambda(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def of(function: Callable[..., Any], outputs: int = 6, **parts: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Of(function, first=nn.Linear(4, outputs), **parts)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1) / 2).softmax(-1) @ v


class Interaction(nn.Module):
    """Embeddings, their products with each other, and what is below the diagonal, as in DLRM."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(7, 4) for _ in range(3))
        self.last = nn.Linear(3, 1)

    def forward(self, categories: Tensor) -> Any:
        rows = torch.stack([table(categories[:, place]) for place, table in enumerate(self.tables)], 1)
        products = torch.bmm(rows, rows.transpose(1, 2))
        one, other = torch.tril_indices(3, 3, -1)
        return self.last(products[:, one, other]).sigmoid()


class Tokens(nn.Module):
    """Numbers as tokens, one token for the whole, and blocks of attention, as in FT-Transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.first = nn.Parameter(torch.randn(4, 8)), nn.Parameter(torch.randn(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, activation="gelu")
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.last = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Any:
        tokens = torch.cat([self.first.expand(x.shape[0], -1, -1), x.unsqueeze(-1) * self.scale], 1)
        return self.last(self.blocks(tokens)[:, 0])


def _input_written(h: Tensor) -> Tensor:
    h[:, 0] = h[:, 1].exp()
    return h


def _parts_written(_: Any, h: Tensor) -> Tensor:
    found = torch.zeros(h.shape[0], 8, dtype=h.dtype)
    found[:, :6] = h
    found[:, 6] = h.sum(1)
    found[:, [1, 3]] += 2.0
    return found


def _mask_written(_: Any, h: Tensor) -> Tensor:
    h = h.clone()
    h[h < 0] = 0.25
    return h


def _in_place(_: Any, h: Tensor) -> Tensor:
    half = h[:, :3]
    half.mul_(2).clamp_(-1, 1)
    h += half.sum(1, keepdim=True)
    return h


class Members(nn.Module):
    def __init__(self, members: int = 5) -> None:
        super().__init__()
        self.members = nn.ModuleList(nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1)) for _ in range(members))

    def forward(self, x: Tensor) -> Any:
        stacked = torch.stack([member(x) for member in self.members])
        return stacked.mean(0), stacked.std(0), stacked.median(0).values


class Fields(nn.Module):
    """Categories of several fields in one table, each field with an offset, as in models of clicks."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(15, 4), nn.Linear(4, 1)
        self.register_buffer("offsets", torch.tensor([0, 3, 8]))

    def forward(self, categories: Tensor) -> Any:
        rows = self.table(categories + self.offsets)
        return self.last(rows.sum(1) ** 2 - (rows**2).sum(1))


class Codes(nn.Module):
    """The nearest vector of a codebook, and the numbers of an element that is looked up by an input."""

    def __init__(self) -> None:
        super().__init__()
        self.codes, self.register = nn.Embedding(5, 4), nn.Parameter(torch.randn(5, 3))

    def forward(self, x: Tensor) -> Any:
        nearest = torch.cdist(x, self.codes.weight).argmin(1)
        return self.codes(nearest), self.register[nearest]


ROWS = torch.rand(3, 4, dtype=torch.float64)
CASES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "dot interaction of embeddings": (Interaction, torch.randint(0, 7, (3, 3))),
    "fields in one table": (Fields, torch.stack([torch.arange(3), torch.arange(3) + 1, torch.arange(3)], 1)),
    "categories from 1": (
        lambda: nn.Sequential(Lambda(lambda x: x.long() - 1), nn.Embedding(6, 2), nn.Flatten()),
        torch.arange(1, 7).reshape(3, 2),
    ),
    "a codebook": (Codes, ROWS),
    "buckets": (
        of(
            lambda _, h: functional.one_hot(
                torch.bucketize(h, torch.tensor([-0.5, 0, 0.5], dtype=torch.float64)), 4
            ).to(h.dtype)
        ),
        ROWS,
    ),
    "the weights of the largest": (
        of(lambda _, h: h.view(-1, 3, 2).gather(1, h[:, :3].max(1)[1][:, None, None].expand(-1, 1, 2)).squeeze(1)),
        ROWS,
    ),
    "elements at constant places": (
        of(lambda _, h: h.gather(1, torch.tensor([[3, 0, 3]]).expand(h.shape[0], -1))),
        ROWS,
    ),
    "a table at the dtype and device of the rows": (
        of(lambda _, h: torch.where(h > 0, 1, 0).to(h.dtype) + torch.ones(1).to(h.device).to(h.dtype)),
        ROWS,
    ),
    "parts that are written": (of(_parts_written), ROWS),
    "an input that is written": (lambda: nn.Sequential(Lambda(_input_written), nn.Linear(4, 2)), ROWS),
    "what a mask chooses is written": (of(_mask_written), ROWS),
    "a tensor that is changed in place, and its views": (of(_in_place), ROWS),
    "losses of each row": (
        of(
            lambda _, h: torch.stack(
                [
                    functional.mse_loss(h, h.flip(1), reduction="none").sum(1),
                    functional.smooth_l1_loss(h, h.sin(), reduction="none", beta=0.5).sum(1),
                    functional.binary_cross_entropy_with_logits(h, h.sigmoid(), reduction="none").sum(1),
                ],
                1,
            )
        ),
        ROWS,
    ),
    "images of other sizes": (
        of(
            lambda _, h: torch.cat(
                [
                    functional.interpolate(h.view(-1, 2, 4, 4), size=(7, 3), mode=mode).flatten(1)
                    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
                ],
                1,
            ),
            32,
        ),
        ROWS,
    ),
    "pixels and channels": (
        of(
            lambda own, h: torch.cat(
                [
                    own.parts["up"](h.view(-1, 8, 2, 2)).flatten(1),
                    own.parts["down"](h.view(-1, 2, 4, 4)).flatten(1),
                    own.parts["mix"](h.view(-1, 8, 2, 2)).flatten(1),
                ],
                1,
            ),
            32,
            up=nn.PixelShuffle(2),
            down=nn.PixelUnshuffle(2),
            mix=nn.ChannelShuffle(2),
        ),
        ROWS,
    ),
    "windows": (
        of(
            lambda _, h: torch.cat(
                [
                    h.unfold(1, 4, 3).flatten(1),
                    functional.unfold(h.view(-1, 2, 4, 4), 3, padding=1, stride=2).flatten(1),
                ],
                1,
            ),
            32,
        ),
        ROWS,
    ),
    "triangles and diagonals": (
        of(
            lambda _, h: torch.cat(
                [
                    h.view(-1, 3, 3).tril(-1).flatten(1),
                    h.view(-1, 3, 3).triu().flatten(1),
                    h.view(-1, 3, 3).diagonal(1, 1, 2),
                    h.diff(dim=1),
                    h.fliplr(),
                ],
                1,
            ),
            9,
        ),
        ROWS,
    ),
    "messages along edges": (
        of(
            lambda _, h: torch.zeros(h.shape[0], 3, 2, dtype=torch.float64).index_add(
                1, torch.tensor([2, 0, 2]), h.view(-1, 3, 2)
            )
        ),
        ROWS,
    ),
    "the order of elements": (
        of(
            lambda _, h: torch.cat(
                [
                    h.cummax(1).values,
                    h.kthvalue(2, 1, True).values,
                    h.quantile(0.3, 1, True),
                    h.aminmax(dim=1).max[:, None],
                ],
                1,
            )
        ),
        ROWS,
    ),
    "instances of images": (
        of(lambda own, h: own.parts["norm"](h.view(-1, 2, 3, 3)), 18, norm=nn.InstanceNorm2d(2, affine=True)),
        ROWS,
    ),
    "bags with padding": (
        lambda: nn.Sequential(nn.EmbeddingBag(9, 4, mode="mean", padding_idx=0), nn.Linear(4, 2)),
        torch.tensor([[0, 1, 2], [3, 0, 0], [4, 5, 6]]),
    ),
    "products over axes, angles and steps": (
        of(
            lambda own, h: torch.cat(
                [
                    torch.tensordot(h[:, :4], own.weights, ([1], [1])),
                    torch.atan2(h, h.flip(1)),
                    torch.heaviside(h, torch.zeros(1, dtype=torch.float64)),
                    h.round(decimals=2),
                    torch.special.entr(h.sigmoid()),
                    h.new_ones(h.shape[0], 2) * 3,
                ],
                1,
            )
        ),
        ROWS,
    ),
    "outputs in lists and dicts": (of(lambda _, h: {"heads": [h.sin(), h.cos()], "last": h.squeeze()}), ROWS),
    "a transformer over features": (Tokens, ROWS),
    "members of an ensemble along the first axis": (Members, ROWS),
    "attention by hand": (of(lambda _, h: _attention(h.view(-1, 3, 2), h.view(-1, 3, 2) + 1, h.view(-1, 3, 2))), ROWS),
    "scaled_dot_product_attention": (
        of(
            lambda _, h: functional.scaled_dot_product_attention(
                *(h.view(-1, 1, 3, 2) * n for n in (1, 2, 3)), is_causal=True
            )
        ),
        ROWS,
    ),
    "MultiheadAttention, places first": (
        of(
            lambda own, h: own.parts["mix"](*[h.view(-1, 3, 4).transpose(0, 1)] * 3)[0].mean(0),
            12,
            mix=nn.MultiheadAttention(4, 2),
        ),
        ROWS,
    ),
    "einsum of experts": (
        of(lambda _, h: torch.einsum("be,beo->bo", h.softmax(1), torch.stack([h, h * 2] * 3, 1))),
        ROWS,
    ),
    "einsum of weights": (of(lambda own, h: torch.einsum("bik,oi->bok", h.view(-1, 4, 2), own.weights), 8), ROWS),
    "weights of each place": (
        of(lambda own, h: torch.bmm(h.view(-1, 5, 1).transpose(0, 1), own.weights[:, None]).transpose(0, 1), 5),
        ROWS,
    ),
    "a bilinear layer": (of(lambda own, h: own.parts["pair"](h, h.tanh()), pair=nn.Bilinear(6, 6, 2)), ROWS),
    "distances to centres": (of(lambda own, h: -torch.cdist(h, own.weights), 4), ROWS),
    "radial basis": (of(lambda own, h: torch.exp(-(torch.cdist(h, own.weights) ** 2)), 4), ROWS),
    "cosine similarity": (of(lambda _, h: functional.cosine_similarity(h, h.flip(1) + 1, dim=1)), ROWS),
    "vectors of length one": (
        of(lambda _, h: functional.normalize(h, dim=1) * functional.normalize(h, p=1, dim=1)),
        ROWS,
    ),
    "pairwise distance": (of(lambda _, h: functional.pairwise_distance(h, h.sin())), ROWS),
    "running sums and products": (of(lambda _, h: torch.cat([h.cumsum(1), h.sigmoid().cumprod(1)], 1)), ROWS),
    "variance, unbiased and not": (
        of(lambda _, h: (h - h.mean(1, True)) / (h.var(1, keepdim=True, unbiased=False) + h.std(1, keepdim=True))),
        ROWS,
    ),
    "logsumexp": (of(lambda _, h: h.logsumexp(1, keepdim=True) + h.log_softmax(1)), ROWS),
    "a threshold": (of(lambda _, h: ((h**2).mean(1) > 0.1).float() + (h > h.mean(1, keepdim=True)).sum(1)), ROWS),
    "a choice": (of(lambda _, h: torch.where((h > 0) & ~(h > 0.5), h, h.flip(1) * 2)), ROWS),
    "a masked softmax": (of(lambda _, h: h.masked_fill(h < h.mean(1, keepdim=True), float("-inf")).softmax(1)), ROWS),
    "missing numbers": (of(lambda _, h: torch.where(torch.isnan(h), torch.zeros_like(h), h).nan_to_num(1.0)), ROWS),
    "whole numbers": (
        of(lambda _, h: torch.floor(h) + torch.round(h * 3) + torch.remainder(h, 0.7) + torch.trunc(h)),
        ROWS,
    ),
    "angles": (of(lambda _, h: h.tanh().acos() + h.atan() + h.tanh().asin() + h.asinh()), ROWS),
    "the largest place": (of(lambda _, h: h.argmax(1)), ROWS),
    "the largest three": (of(lambda _, h: h.topk(3, 1).values), ROWS),
    "quotients and powers": (of(lambda _, h: h / (h.abs() + 1).flip(1) + h.exp() ** h.tanh()), ROWS),
    "group and instance normalization": (
        of(
            lambda own, h: own.parts["one"](own.parts["two"](h.view(-1, 4, 2))),
            8,
            one=nn.InstanceNorm1d(4),
            two=nn.GroupNorm(2, 4),
        ),
        ROWS,
    ),
    "bags of one size": (
        lambda: nn.Sequential(nn.EmbeddingBag(9, 4, mode="mean"), nn.Linear(4, 2)),
        torch.randint(0, 9, (3, 5)),
    ),
    "a normalizing root": (of(lambda own, h: own.parts["norm"](h), norm=nn.RMSNorm(6)), ROWS),
    "padding": (of(lambda _, h: functional.pad(h, (1, 2), value=0.5).cumsum(1)), ROWS),
}


def programs(module: nn.Module, rows: Tensor) -> list[Any]:
    """Return the module itself, and what torch.export makes of it for any number of rows or for that of the example."""
    some = ({0: torch.export.Dim("rows")},)
    exported = torch.export.export(module, (rows,), dynamic_shapes=None if rows.is_floating_point() else some)
    return [module, exported]


@pytest.mark.parametrize(("make", "rows"), CASES.values(), ids=CASES)
def test_a_module_that_computes_with_what_it_computed(make: Callable[[], nn.Module], rows: Tensor) -> None:
    torch.manual_seed(0)
    module = make().double().eval()
    worst = []
    for place, program in enumerate(programs(module, rows)):
        try:
            imported = import_model(program)
        except UnsupportedModelError as error:
            assert place == 0, error
            assert "the shapes of its inputs cannot be determined" in str(error)
            continue
        worst.append(imported.certificate.relative)
        assert digest(numpy_file.read(numpy_file.write(imported.spec))) == digest(imported.spec)
    print(f"{max(worst):.1e}")
    assert max(worst) <= TOLERANCE


def test_a_constant_query_of_attention() -> None:
    """Of any number of rows; for one number of them, constants of all rows mix with the heads."""
    seeds = of(
        lambda own, h: own.parts["mix"](own.weights.repeat(h.shape[0], 1, 1), *[h.view(-1, 2, 4)] * 2)[0],
        8,
        mix=nn.MultiheadAttention(4, 2, batch_first=True),
    )
    module = seeds().double().eval()
    with pytest.raises(UnsupportedModelError, match="export the module for any number of rows, by `dynamic_shapes`"):
        import_model(torch.export.export(module, (ROWS,)))
    program = torch.export.export(module, (ROWS,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    assert import_model(program).certificate.relative <= TOLERANCE


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile], ids=["DataParallel", "torch.compile"])
def test_a_wrapper_is_the_module_inside(wrap: Callable[[nn.Module], Any]) -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)).double()
    assert import_model(wrap(module)).certificate.relative <= TOLERANCE
