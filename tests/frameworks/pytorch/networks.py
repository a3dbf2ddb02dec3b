"""Architectures as people write them in PyTorch."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """Blocks that add to what they read, with layer normalization before each."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 16, blocks: int = 3) -> None:
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            for _ in range(blocks)
        )
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + functional.dropout(block(x), 0.1, self.training)
        return torch.log_softmax(self.head(functional.relu(x)), dim=-1)


class WideAndDeep(nn.Module):
    """Numbers beside categories that are looked up, each an input of its own; two outputs by name."""

    def __init__(self, numbers: int, groups: int) -> None:
        super().__init__()
        self.sex = nn.Embedding(2, 3)
        self.group = nn.Embedding(groups, 4)
        self.deep = nn.Sequential(nn.Linear(numbers + 7, 16), nn.SiLU(), nn.Linear(16, 8), nn.SiLU())
        self.progression = nn.Linear(8 + numbers, 1)
        self.high = nn.Linear(8, 1)

    def forward(self, numbers: Tensor, sex: Tensor, group: Tensor) -> dict[str, Tensor]:
        deep = self.deep(torch.cat([numbers, self.sex(sex), self.group(group)], dim=1))
        wide = self.progression(torch.cat([numbers, deep], dim=1)).squeeze(1)
        return {"progression": wide, "high": torch.sigmoid(self.high(deep))}


class Columns(nn.Module):
    """Numbers and categories in one tensor, distinguished by their columns."""

    def __init__(self, numbers: int, categories: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.table = nn.Embedding(categories, 3)
        self.bag = nn.EmbeddingBag(categories, 2, mode="sum")
        self.out = nn.Linear(numbers + 3 * 2 + 2 + 2 * categories, 1)

    def forward(self, x: Tensor) -> Tensor:
        categories = x[:, self.numbers :].long()
        seen = functional.one_hot(categories, self.table.num_embeddings).flatten(1)
        parts = [x[:, : self.numbers], self.table(categories).flatten(start_dim=1), self.bag(categories), seen]
        return self.out(torch.cat(parts, 1))


class Heads(nn.Module):
    """One trunk and several heads, returned as a tuple."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(inputs, 12), nn.BatchNorm1d(12), nn.Hardswish())
        self.label = nn.Linear(12, classes)
        self.amount = nn.Linear(12, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.trunk(x)
        return self.label(h).softmax(1), self.amount(h), h.mean(dim=1, keepdim=True)


class Pooled(nn.Module):
    """An image of 8 by 8 points: pooled in both directions, transposed, normalized by channel."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.rows = nn.AvgPool1d(2, stride=1)
        self.normal = nn.BatchNorm1d(4)
        self.slopes = nn.PReLU(4)
        self.out = nn.Linear(16 + 7 * 8 + 8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        image = x.view(-1, 8, 8)
        small = self.slopes(self.normal(self.pool(image.unsqueeze(1)).squeeze(1)))
        along = self.rows(image.transpose(1, 2)).reshape(x.size(0), -1)
        return self.out(torch.cat([small.flatten(1), along, functional.adaptive_max_pool1d(image, 1)[:, :, 0]], 1))


class Gates(nn.Module):
    """Functions and arithmetic without modules: gates, bounds, powers, a constant matrix, halves that change places."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.gate = nn.Linear(inputs, 16)
        self.scale = nn.Parameter(torch.randn(8))
        self.matrix = nn.Parameter(torch.randn(8, 8) / 3)
        self.register_buffer("order", torch.tensor([7, 6, 5, 4, 3, 2, 1, 0]))
        self.out = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.gate(x).chunk(2, dim=-1)
        h = value * torch.sigmoid(1.702 * gate) + self.scale
        h = h / (1 + h.pow(2)).sqrt() - torch.minimum(h, value) / 3
        first, second = h.split([3, 5], dim=1)
        h = torch.maximum(h, torch.cat([second, first], dim=1)) @ self.matrix.t()
        h = h.clamp(-4, 4)[:, self.order].mul_(2) + functional.softplus(h)
        h += (1 - gate).tanh()
        return self.out(h * torch.rsqrt(h.square().mean(-1, keepdim=True) + 1e-6))


class Shared(nn.Module):
    """One layer used three times, whose weights lead back too."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.into = nn.Linear(inputs, 6)
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        h = self.into(x)
        for _ in range(3):
            h = functional.elu(self.layer(h)) + h
        return functional.linear(h, self.into.weight.t())


class Checked(nn.Module):
    """A condition on a shape, which only `torch.export` can follow."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, 8)
        self.out = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.inner.in_features:
            raise ValueError("rows of another width")
        h = nn.functional.group_norm(x, 1) if x.shape[1] > 100 else self.inner(x)
        return self.out(torch.tanh(h))


def mlp(inputs: int, outputs: int, *last: nn.Module) -> nn.Sequential:
    """A perceptron."""
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, outputs), *last)


def normalized(inputs: int, outputs: int) -> nn.Sequential:
    """A perceptron with batch normalization and dropout."""
    return nn.Sequential(
        *(nn.Linear(inputs, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3)),
        *(nn.Linear(16, 8), nn.LeakyReLU(0.2), nn.BatchNorm1d(8, affine=False), nn.AlphaDropout(0.1)),
        *(nn.Linear(8, outputs), nn.Sigmoid()),
    )


ACTIVATIONS: tuple[Any, ...] = (
    *(nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.PReLU(), nn.RReLU(), nn.ELU(0.5), nn.SELU(), nn.CELU(2.0)),
    *(nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.Softplus(2.0, 5.0), nn.Softsign()),
    *(nn.Tanh(), nn.Sigmoid(), nn.Hardsigmoid(), nn.Hardtanh(-2.0, 0.5), nn.Hardswish(), nn.LogSigmoid()),
    *(nn.Tanhshrink(), nn.Hardshrink(), nn.Softshrink(), nn.Threshold(0.1, -0.5), nn.Softmax(1), nn.LogSoftmax(1)),
    *(nn.Softmin(1), nn.RMSNorm(6), nn.PReLU(6)),
)


class Activations(nn.Module):
    """Every activation module beside the others, each of a layer of its own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(inputs, 6) for _ in ACTIVATIONS)
        self.functions = nn.ModuleList(ACTIVATIONS)
        self.out = nn.Linear(6 * len(ACTIVATIONS), outputs)

    def forward(self, x: Tensor) -> Tensor:
        parts = [function(layer(x)) for layer, function in zip(self.layers, self.functions, strict=True)]
        return self.out(torch.cat(parts, dim=1))


class Digits(nn.Module):
    """The network of PyTorch's basic MNIST example, for images of 8 by 8 points."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.fc1 = nn.Linear(64, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv1(x))
        x = functional.relu(self.conv2(x))
        x = self.dropout1(functional.max_pool2d(x, 2))
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        return functional.log_softmax(self.fc2(x), dim=1)


def convolutions() -> nn.Sequential:
    """Convolutions over one to three axes: padded by all modes, strided, dilated, grouped, depthwise, normalized."""
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding="same", padding_mode="reflect"), nn.BatchNorm2d(4)),
        *(nn.ReLU6(), nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4, bias=False), nn.Tanh(), nn.Conv2d(8, 6, 1)),
        *(nn.Unflatten(1, (2, 3)), nn.Conv3d(2, 3, (2, 3, 3), padding=(1, 0, 1), dilation=(1, 1, 2)), nn.SiLU()),
        *(nn.Flatten(2), nn.Conv1d(3, 2, 3, padding=2, padding_mode="circular"), nn.AdaptiveAvgPool1d(1)),
        *(nn.Flatten(), nn.Linear(2, 10)),
    )
