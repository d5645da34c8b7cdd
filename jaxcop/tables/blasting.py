"""The vocabulary of bench blasts for ``harmonise``: units, derived quantities, bands, plausibility rules.

B burden, S spacing, H bench height, T stemming, D hole diameter, A mesh area (S times B); X50 median fragment size, XB
in-situ block size, PF powder factor, E Young's modulus, FI fragmentation index, ssB and ss50 specific surfaces. Rules:
Zhao (2025), section 2.2.
"""

UNITS = {
    **dict.fromkeys(("B", "S", "H", "T", "D", "X50", "XB"), "m"),
    "A": "m^2",
    "PF": "kg/m^3",
    "E": "GPa",
    "ssB": "1/m",
    "ss50": "1/m",
}
"""Units of a harmonised table; ratios and FI have none."""

DERIVATIONS = (
    ("X50", "6 / ss50"),
    ("B", "6 / ssB"),
    ("B", "sqrt(A / `S/B`)"),
    ("S", "sqrt(A * `S/B`)"),
    ("S", "`S/B` * B"),
    ("S/B", "S / B"),
    ("H/B", "H / B"),
    ("T/B", "T / B"),
    ("B/D", "B / D"),
    ("FI", "XB / X50"),
)
"""Columns and formulas for ``harmonise.derive(..., skip_absent=True)``.

``B = 6 / ssB`` is the rule of the report, where B is the burden. The specific surface of a cube of side L is 6 / L:
where ssB is that of the in-situ blocks, rename it and derive ``XB = 6 / ssB`` instead.
"""

FI_BANDS = {"edges": (4, 8), "edge_in": ("above", "below")}
"""FI < 4, 4 <= FI <= 8, FI > 8, for ``harmonise.add_bands``."""

# The bounds beyond which blastfrag 0.4.0 takes a value for an error of units or entry, wider than published blasts.
PLAUSIBLE = {
    "S/B from 0.5 to 3": "0.5 <= `S/B` <= 3",
    "H/B from 0.5 to 15": "0.5 <= `H/B` <= 15",
    "B/D from 5 to 80": "5 <= `B/D` <= 80",
    "T/B from 0.1 to 8": "0.1 <= `T/B` <= 8",
    "PF from 0.05 to 3 kg/m3": "0.05 <= PF <= 3",
    "XB from 0.005 to 10 m": "0.005 <= XB <= 10",
    "E from 0.5 to 150 GPa": "0.5 <= E <= 150",
    "X50 from 0.001 to 5 m": "0.001 <= X50 <= 5",
    "burden at most the spacing": "`S/B` >= 1",
    "stemming at most the bench height": "`T/B` <= `H/B`",
    "fragments no larger than blocks": "X50 <= XB",
    "FI is XB / X50": "abs(FI - XB / X50) <= 1e-9 * FI",
}
"""Ranges and relations for ``harmonise.check``."""
