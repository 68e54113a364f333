"""Formats durations, money and counts for people."""

from otel_callbacks.runtime.words import plural

__all__ = ["format_cost", "format_duration", "plural"]


def format_duration(seconds: float) -> str:
    """Returns `820 µs`, `31 ms`, `1.42 s`, `2 min 05 s` or `3 h 07 min`."""
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def format_cost(usd: float) -> str:
    """Returns `$12.34`, `$0.0121`, `<$0.0001` or, for nothing, `$0`."""
    if usd >= 1:
        return f"${usd:,.2f}"
    if 0 < usd < 0.00005:
        return "<$0.0001"
    return f"${usd:.4f}" if usd else "$0"
