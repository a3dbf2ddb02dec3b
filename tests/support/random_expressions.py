"""Random expressions, as texts that are also Python."""

from hypothesis import strategies as st

NUMBERS = st.sampled_from(["0.5", "1", "2", "3", "0.1", "1.702", "7e-2", "pi", "e"])
UNARY = ["abs", "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf", "erfc", "relu"]
UNARY += ["sigmoid", "softplus"]
COMPARISONS = ["<", "<=", ">", ">=", "==", "!="]


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def between(*symbols: str) -> st.SearchStrategy[str]:
        return st.builds(lambda a, symbol, b: f"({a}) {symbol} ({b})", inner, st.sampled_from(symbols), inner)

    comparison = between(*COMPARISONS)
    condition = (
        comparison
        | st.builds("not {}".format, comparison)
        | st.builds(lambda a, word, b: f"{a} {word} {b}", comparison, st.sampled_from(["and", "or"]), comparison)
    )
    return (
        between("+", "-")
        | between("*", "/")
        | between("**")
        # Without parentheses, precedence decides.
        | st.builds(lambda a, symbol, b: f"{a} {symbol} {b}", inner, st.sampled_from("+-*"), inner)
        | st.builds("-{}".format, inner)
        | st.builds("{}({})".format, st.sampled_from(UNARY[:7]), inner)
        | st.builds("{}({})".format, st.sampled_from(UNARY[7:]), inner)
        | st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner)
        | st.builds("clip({}, {}, {})".format, inner, inner, inner)
        | st.builds("where({}, {}, {})".format, condition, inner, inner)
    )


def texts() -> st.SearchStrategy[str]:
    """Draw an expression over `x` of up to some dozens of parts."""
    return st.recursive(st.just("x") | NUMBERS, _joined, max_leaves=12).filter(lambda text: "x" in _words(text))


def _words(text: str) -> set[str]:
    return set("".join(c if c.isalnum() else " " for c in text).split())
