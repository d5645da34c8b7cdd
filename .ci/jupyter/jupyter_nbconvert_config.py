"""How tutorials become pages; ``.ci/check_pages.py`` tells Jupyter of this folder."""

# What a command prints arrives in pieces, each of which would be a paragraph of its own. They are joined by default,
# too, but before execution and so in vain.
c.CoalesceStreamsPreprocessor.enabled = True
c.HTMLExporter.default_preprocessors = [
    f"nbconvert.preprocessors.{name}Preprocessor" for name in ("Execute", "CoalesceStreams", "HighlightMagics")
]
