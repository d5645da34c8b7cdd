"""A report of sentences, tables and figures as Markdown and as one HTML file that needs no network."""

import base64
import json
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jinja2
import numpy as np

from jaxcop.report.tables import Table, to_markdown

PACKAGES = ("jaxcop", "jax", "numpy", "scikit-learn", "xgboost")


class Page(NamedTuple):
    """``notes`` come first, in red with ``alarm``; ``sections`` are sentences by heading."""

    title: str
    lead: str
    notes: tuple[str, ...]
    alarm: bool
    sections: Mapping[str, tuple[str, ...]]
    tables: list[Table]
    settings: list[str]


def markdown(page: Page, pictures: Mapping[str, Path]) -> str:
    """The page with links to the pictures, which are named by their captions."""
    parts = [f"# {page.title}", *(f"**Note.** {note}" for note in page.notes)]
    for heading, sentences in page.sections.items():
        parts += [f"## {heading}", *(f"- {sentence}" for sentence in sentences)]
    parts += ["## Scores", *map(to_markdown, page.tables), "## Figures"]
    parts += [f"![{caption}]({path.name})" for caption, path in pictures.items()]
    parts += ["## Settings", *(f"- {line}" for line in page.settings)]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n"


def html(page: Page, pictures: Mapping[str, Path], is_alarm: Callable[[str], bool]) -> str:
    """The page with the pictures inside; sentences that ``is_alarm`` are red."""
    environment = jinja2.Environment(loader=jinja2.PackageLoader("jaxcop.report", "."), autoescape=True)
    encoded = {caption: base64.b64encode(path.read_bytes()).decode() for caption, path in pictures.items()}
    return environment.get_template("page.html.jinja").render(page=page, pictures=encoded, is_alarm=is_alarm)


def write(
    folder: Path, page: Page, pictures: Mapping[str, Path], is_alarm: Callable[[str], bool], name: str, document: dict
) -> list[Path]:
    """``name`` (the document as JSON), report.md and report.html in ``folder``, where the pictures already are."""
    paths = [folder / name, folder / "report.md", folder / "report.html"]
    paths[0].write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    paths[1].write_text(markdown(page, pictures), encoding="utf-8")
    paths[2].write_text(html(page, pictures, is_alarm), encoding="utf-8")
    return [*paths, *pictures.values()]


def machine() -> dict[str, Any]:
    """Versions and device, as they belong to every result."""
    return {
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "device": str(jax.devices()[0]),
    }


def plain(value) -> Any:
    """``value`` as JSON types; NaN and infinity are null."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def number(value: float, decimals: int = 3) -> str:
    """With a true minus; a dash where nothing was measured."""
    return f"{value:.{decimals}f}".replace("-", "−") if np.isfinite(value) else "–"


def numeric(value) -> float:
    """A number of a JSON file, NaN for null."""
    return float("nan") if value is None else float(value)
