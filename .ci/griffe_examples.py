"""An extension of griffe: examples of docstrings as code blocks, which Markdown would take for nested quotations."""

import re

import griffe

# From a prompt to the next empty line.
EXAMPLE = re.compile(r"^>>> .*?(?=^\s*$|\Z)", re.MULTILINE | re.DOTALL)


class Examples(griffe.Extension):
    """Fences every example before mkdocstrings renders the docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        """Called for modules, classes, functions and attributes."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(
                lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", obj.docstring.value
            )
