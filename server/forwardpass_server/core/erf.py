"""The error function and its complement, which numpy lacks.

Piecewise rational approximations with the coefficients of fdlibm (Sun Microsystems, 1993,
s_erf.c, https://www.netlib.org/fdlibm/s_erf.c), accurate to about one unit in the last place.
"""

from typing import Final

import numpy as np

from forwardpass_server.core.arrays import Array

# Coefficients, lowest power first.
_NEAR_ZERO: Final = (
    (1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
     -5.77027029648944159157e-03, -2.37630166566501626084e-05),
    (1.0, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
     1.32494738004321644526e-04, -3.96022827877536812320e-06),
)  # fmt: skip
_NEAR_ONE: Final = (
    (-2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
     3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02,
     -2.16637559486879084300e-03),
    (1.0, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
     1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02),
)  # fmt: skip
_MIDDLE: Final = (
    (-9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e+01,
     -6.23753324503260060396e+01, -1.62396669462573470355e+02, -1.84605092906711035994e+02,
     -8.12874355063065934246e+01, -9.81432934416914548592e+00),
    (1.0, 1.96512716674392571292e+01, 1.37657754143519042600e+02, 4.34565877475229228821e+02,
     6.45387271733267880336e+02, 4.29008140027567833386e+02, 1.08635005541779435134e+02,
     6.57024977031928170135e+00, -6.04244152148580987438e-02),
)  # fmt: skip
_TAIL: Final = (
    (-9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e+01,
     -1.60636384855821916062e+02, -6.37566443368389627722e+02, -1.02509513161107724954e+03,
     -4.83519191608651397019e+02),
    (1.0, 3.03380607434824582924e+01, 3.25792512996573918826e+02, 1.53672958608443695994e+03,
     3.19985821950859553908e+03, 2.55305040643316442583e+03, 4.74528541206955367215e+02,
     -2.24409524465858183362e+01),
)  # fmt: skip
_ERF_ONE: Final = 8.45062911510467529297e-01  # erf(1), rounded to float32's precision


def erfc(x: Array) -> Array:
    """Return `1 - erf(x)` for each element, in float64, relatively accurate in the tail too."""
    x = x.astype(np.float64, copy=False)
    size = np.abs(x)
    result = np.where(x > 0, 0.0, 2.0)  # right beyond 28, where nothing is left to add
    result[np.isnan(x)] = np.nan

    here = size < 0.84375
    near = x[here]
    correction: Array = near * _ratio(_NEAR_ZERO, near * near)
    # Above a quarter, 1 - x would round; 0.5 - (x - 0.5) does not.
    result[here] = np.where(near < 0.25, 1.0 - (near + correction), 0.5 - ((near - 0.5) + correction))

    here = (size >= 0.84375) & (size < 1.25)
    correction = _ratio(_NEAR_ONE, size[here] - 1.0)
    result[here] = np.where(x[here] > 0, (1.0 - _ERF_ONE) - correction, 1.0 + (_ERF_ONE + correction))

    for coefficients, here in (
        (_MIDDLE, (size >= 1.25) & (size < 1 / 0.35)),
        (_TAIL, (size >= 1 / 0.35) & (size < 28.0)),
    ):
        far = size[here]
        # exp(-far * far) is taken in two factors: the first argument is exact, with 21 bits squared.
        short = (far.view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)
        tail = np.exp(-short * short - 0.5625)
        tail *= np.exp((short - far) * (short + far) + _ratio(coefficients, 1.0 / (far * far))) / far
        result[here] = np.where(x[here] > 0, tail, 2.0 - tail)
    return result


def erf(x: Array) -> Array:
    """Return `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to x, in float64, relatively accurate at 0 too."""
    x = x.astype(np.float64, copy=False)
    result = 1.0 - erfc(x)
    here = np.abs(x) < 0.84375
    near = x[here]
    result[here] = near + near * _ratio(_NEAR_ZERO, near * near)
    return result


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    above, below = (_polynomial(part, x) for part in coefficients)
    return above / below


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Evaluate by Horner's rule."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value
