"""The host's accent, in a tone that can be read on both schemes' cards."""

from __future__ import annotations

# Of the tokens in dashboard.css.
_LIGHT_CARD, _DARK_CARD = (255, 255, 255), (27, 27, 32)
_AA = 4.6
_STEPS = 20

Colour = tuple[int, int, int]


def fit_accent(accent: str) -> str:
    """Return rules of CSS that set the accent, such as ``"#4f46e5"``."""
    colour = _parse(accent)
    light = _fit(colour, _LIGHT_CARD, (0, 0, 0))
    dark = _fit(colour, _DARK_CARD, (255, 255, 255))
    return (
        f":root{{--accent:{_write(light)}}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{--accent:{_write(dark)}}}}}\n"
    )


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    parts = [c / 255 for c in colour]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _fit(colour: Colour, card: Colour, towards: Colour) -> Colour:
    """Mix in black or white, as little as makes the colour readable."""
    for step in range(_STEPS + 1):
        mixed = _mix(colour, towards, step / _STEPS)
        if contrast(mixed, card) >= _AA:
            return mixed
    return towards


def _mix(one: Colour, other: Colour, part: float) -> Colour:
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _parse(text: str) -> Colour:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _write(colour: Colour) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)
