"""Hooks of mkdocs: the build warns, and with --strict fails, where the reference or a link has a hole.

mkdocs checks the links of Markdown pages itself; those of executed tutorials it does not see.
"""

import ast
import logging
import os
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOG = logging.getLogger("mkdocs.hooks.check_pages")
ROOT = Path(__file__).parents[1]


def on_startup(command, dirty) -> None:
    """Let Jupyter find the settings for executing the tutorials."""
    folders = [str(ROOT / ".ci/jupyter"), os.environ.get("JUPYTER_CONFIG_PATH")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, folders))


def on_post_build(config) -> None:
    """Look at the finished site."""
    site = Path(config["site_dir"])
    for name in sorted(public_names() - documented(site / "objects.inv")):
        LOG.warning("reference: %s is public and in no page under docs/api; add its module, or a docstring", name)
    for page, target in broken_links(site):
        LOG.warning("%s: links to %s, which is not there", page.relative_to(site), target)


def public_names() -> set[str]:
    """Where each name of an ``__all__`` is defined, from the imports of that ``__init__`` file."""
    found = set()
    for path in (ROOT / "jaxcop").rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        public = {
            name
            for node in body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for name in ast.literal_eval(node.value)
        }
        homes = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        package = ".".join(path.parent.relative_to(ROOT).parts)
        found |= {homes.get(name, f"{package}.{name}") for name in public}
    return found


def documented(inventory: Path) -> set[str]:
    """The names of a Sphinx inventory: four lines of header, then compressed lines that begin with a name."""
    *_, compressed = inventory.read_bytes().split(b"\n", 4)
    return {line.split(" ", 1)[0] for line in zlib.decompress(compressed).decode().splitlines()}


class _Links(HTMLParser):
    """The targets of ``href`` and ``src``, and the names that links can point to."""

    def __init__(self):
        super().__init__()
        self.targets, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.append(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(site: Path) -> list[tuple[Path, str]]:
    """(page, target) of links within the site to files or anchors that it does not have."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        pages[path] = _Links()
        pages[path].feed(path.read_text(encoding="utf-8"))
    found = []
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            place = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = place / "index.html" if place.is_dir() else place
            anchor = unquote(parts.fragment)
            lost = not place.exists() or (anchor and place in pages and anchor not in pages[place].anchors)
            # The others are the theme's own marks of where it is.
            if lost and not re.fullmatch(r"__\w+|top", anchor):
                found.append((path, target))
    return found
