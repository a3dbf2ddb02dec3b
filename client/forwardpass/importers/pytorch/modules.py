"""Modules of `torch.nn` as operations with the module's parameters.

The class of a module alone decides how it is read. A module outside the table, and one derived from a class in it,
is traced into its parts, or rejected by name where it is torch's own.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.pytorch.recurrent import RECURRENT_MODULES
from forwardpass.importers.unsupported import UnsupportedError

Call: TypeAlias = Callable[..., Any]
"""Calls an operation by its name in torch, with its arguments."""

_WEIGHT_HOOKS: Final = frozenset({"BasePruningMethod", "WeightNorm", "SpectralNorm"})
"""Hooks that compute a module's weights before it is called."""


def apply_weight_hooks(module: Any) -> None:
    """Run the hooks that compute a module's weights, as a call would.

    Raises:
        UnsupportedError: Another hook may compute anything.
    """
    hooks = list(module._forward_pre_hooks.values())  # noqa: SLF001 - there is no other way to see them
    others = [hook for hook in hooks if not _WEIGHT_HOOKS & {kind.__name__ for kind in type(hook).__mro__}]
    others += module._forward_hooks.values()  # noqa: SLF001
    if others:
        raise UnsupportedError(f"has the hook {others[0]!r}, which may compute anything; remove it first")
    for hook in hooks:
        hook(module, ())


def _linear(call: Call, module: Any, x: TensorRef) -> Any:
    if hasattr(module, "weight_mask"):
        return call("linear", x, module.weight_orig, module.bias, mask=module.weight_mask)
    return call("linear", x, module.weight, module.bias)


def _batch_norm(call: Call, module: Any, x: TensorRef) -> Any:
    running = module.running_mean, module.running_var
    return call("batch_norm", x, *running, module.weight, module.bias, eps=module.eps)


def _layer_norm(call: Call, module: Any, x: TensorRef) -> Any:
    return call("layer_norm", x, module.normalized_shape, module.weight, module.bias, module.eps)


def _rms_norm(call: Call, module: Any, x: TensorRef) -> Any:
    eps = module.eps
    if eps is None:
        import torch

        eps = float(torch.finfo(torch.get_default_dtype() if module.weight is None else module.weight.dtype).eps)
    return call("rms_norm", x, module.normalized_shape, module.weight, eps)


def _embedding(call: Call, module: Any, x: TensorRef) -> Any:
    return call("embedding", x, module.weight, max_norm=module.max_norm)


def _embedding_bag(call: Call, module: Any, x: TensorRef, *others: Any) -> Any:
    return call(
        "embedding_bag",
        x,
        module.weight,
        *others,
        max_norm=module.max_norm,
        mode=module.mode,
        padding_idx=module.padding_idx,
    )


def _group_norm(call: Call, module: Any, x: TensorRef) -> Any:
    return call("group_norm", x, module.num_groups, module.weight, module.bias, module.eps)


def _instance_norm(call: Call, module: Any, x: TensorRef) -> Any:
    own = not module.track_running_stats
    running = () if own else (module.running_mean, module.running_var)
    names = {} if running else {"use_input_stats": True}
    return call("instance_norm", x, *running, weight=module.weight, bias=module.bias, eps=module.eps, **names)


def _bilinear(call: Call, module: Any, x: TensorRef, other: TensorRef) -> Any:
    return call("bilinear", x, other, module.weight, module.bias)


def _attention(call: Call, module: Any, query: Any, key: Any, value: Any, *args: Any, **options: Any) -> Any:
    names = ("key_padding_mask", "need_weights", "attn_mask", "average_attn_weights", "is_causal")
    given = {**dict(zip(names, args, strict=False)), **options}
    own = ("in_proj_weight", "in_proj_bias", "q_proj_weight", "k_proj_weight", "v_proj_weight", "bias_k", "bias_v")
    numbers = {name: getattr(module, name) for name in own}
    return call(
        "multi_head_attention",
        query,
        key,
        value,
        num_heads=module.num_heads,
        batch_first=module.batch_first,
        add_zero_attn=module.add_zero_attn,
        out_proj_weight=module.out_proj.weight,
        out_proj_bias=module.out_proj.bias,
        **numbers,
        **given,
    )


def _encoder_layer(
    call: Call,
    module: Any,
    x: TensorRef,
    src_mask: Any = None,
    src_key_padding_mask: Any = None,
    is_causal: bool = False,
) -> Any:
    """Read a block of self-attention and an MLP, each with a skip and normalized before or after it."""

    def attend(rows: Any) -> Any:
        masks = {"attn_mask": src_mask, "key_padding_mask": src_key_padding_mask, "is_causal": is_causal}
        return _attention(call, module.self_attn, rows, rows, rows, need_weights=False, **masks)[0]

    def feed_forward(rows: Any) -> Any:
        hidden = _linear(call, module.linear1, rows)
        return _linear(call, module.linear2, _function_of(call, module.activation, hidden))

    if module.norm_first:
        x = call("add", x, attend(_normalize(call, module.norm1, x)))
        return call("add", x, feed_forward(_normalize(call, module.norm2, x)))
    x = _normalize(call, module.norm1, call("add", x, attend(x)))
    return _normalize(call, module.norm2, call("add", x, feed_forward(x)))


def _encoder(
    call: Call,
    module: Any,
    x: TensorRef,
    mask: Any = None,
    src_key_padding_mask: Any = None,
    is_causal: Any = None,
) -> Any:
    for layer in module.layers:
        x = _encoder_layer(call, layer, x, mask, src_key_padding_mask, bool(is_causal))
    return x if module.norm is None else _normalize(call, module.norm, x)


def _normalize(call: Call, module: Any, x: TensorRef) -> Any:
    return MODULES[type(module).__name__](call, module, x)


def _function_of(call: Call, function: Any, x: TensorRef) -> Any:
    """Apply an activation that is a module or a function of torch."""
    name = getattr(function, "__name__", None)
    return call(name, x) if name is not None else MODULES[type(function).__name__](call, function, x)


def _conv(call: Call, module: Any, x: TensorRef) -> Any:
    padding = module.padding
    if module.padding_mode != "zeros":
        x = call("pad", x, list(module._reversed_padding_repeated_twice), module.padding_mode)  # noqa: SLF001 - as it does
        padding = 0
    name = f"conv{len(module.kernel_size)}d"
    return call(name, x, module.weight, module.bias, module.stride, padding, module.dilation, module.groups)


def _conv_transpose(call: Call, module: Any, x: TensorRef, output_size: Any = None) -> Any:
    more = module.output_padding
    if output_size is not None:
        axes = len(module.kernel_size)
        known = zip(
            list(output_size)[-axes:],
            x.shape[1:],
            module.stride,
            module.padding,
            module.dilation,
            module.kernel_size,
            strict=True,
        )
        more = [
            wanted - ((size - 1) * stride - 2 * pad + gap * (length - 1) + 1)
            for wanted, size, stride, pad, gap, length in known
        ]
    name, arguments = f"conv_transpose{len(module.kernel_size)}d", (module.stride, module.padding, more)
    return call(name, x, module.weight, module.bias, *arguments, module.groups, module.dilation)


def _named(name: str, *attributes: str) -> Callable[..., Any]:
    """Return the reader of a module that is one operation, with these attributes as its arguments."""

    def apply(call: Call, module: Any, x: TensorRef) -> Any:
        return call(name, x, *(getattr(module, attribute) for attribute in attributes))

    return apply


def _named_pair(name: str, *attributes: str) -> Callable[..., Any]:
    """Return the reader of a module of two inputs."""

    def apply(call: Call, module: Any, x1: TensorRef, x2: TensorRef) -> Any:
        return call(name, x1, x2, *(getattr(module, attribute) for attribute in attributes))

    return apply


def _same(call: Call, module: Any, x: TensorRef) -> TensorRef:
    return x


def _pools() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for axes in (1, 2, 3):
        found[f"MaxPool{axes}d"] = _named(
            f"max_pool{axes}d", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"
        )
        averaged = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
        found[f"AvgPool{axes}d"] = _named(f"avg_pool{axes}d", *averaged)
        found[f"AdaptiveMaxPool{axes}d"] = _named(f"adaptive_max_pool{axes}d", "output_size", "return_indices")
        found[f"AdaptiveAvgPool{axes}d"] = _named(f"adaptive_avg_pool{axes}d", "output_size")
    return found


MODULES: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "Linear": _linear,
        "NonDynamicallyQuantizableLinear": _linear,
        **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"), _batch_norm),
        **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), _conv),
        **dict.fromkeys(("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"), _conv_transpose),
        "LayerNorm": _layer_norm,
        "RMSNorm": _rms_norm,
        "GroupNorm": _group_norm,
        **dict.fromkeys(("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"), _instance_norm),
        "Bilinear": _bilinear,
        "CosineSimilarity": _named_pair("cosine_similarity", "dim", "eps"),
        "PairwiseDistance": _named_pair("pairwise_distance", "norm", "eps", "keepdim"),
        "MultiheadAttention": _attention,
        "TransformerEncoderLayer": _encoder_layer,
        "TransformerEncoder": _encoder,
        **RECURRENT_MODULES,
        "Embedding": _embedding,
        "EmbeddingBag": _embedding_bag,
        **dict.fromkeys(("Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"), _same),
        "FeatureAlphaDropout": _same,
        "Flatten": _named("flatten", "start_dim", "end_dim"),
        "Unflatten": _named("unflatten", "dim", "unflattened_size"),
        **{name: _named(name.lower()) for name in ("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Softsign", "Tanh")},
        **{name: _named(name.lower()) for name in ("Sigmoid", "LogSigmoid", "Hardsigmoid", "Hardswish", "Tanhshrink")},
        "LeakyReLU": _named("leaky_relu", "negative_slope"),
        "PReLU": _named("prelu", "weight"),
        "RReLU": _named("rrelu", "lower", "upper"),
        "ELU": _named("elu", "alpha"),
        "CELU": _named("celu", "alpha"),
        "GELU": _named("gelu", "approximate"),
        "Softplus": _named("softplus", "beta", "threshold"),
        "Hardtanh": _named("hardtanh", "min_val", "max_val"),
        "Hardshrink": _named("hardshrink", "lambd"),
        "Softshrink": _named("softshrink", "lambd"),
        "Threshold": _named("threshold", "threshold", "value"),
        "Softmax": _named("softmax", "dim"),
        "LogSoftmax": _named("log_softmax", "dim"),
        "Softmin": _named("softmin", "dim"),
        "GLU": _named("glu", "dim"),
        **_pools(),
    }
)
"""The reader of each module by its class; it gets a function that calls operations, the module, and its inputs."""
