"""Schemas as files that people edit: JSON, or YAML."""

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from jaxcop.checkpoint import write_whole
from jaxcop.tables.schema import Column, Schema

FORMAT = "jaxcop-schema-1"


def to_json(schema: Schema) -> dict[str, Any]:
    """As JSON types; fields at their defaults are left out."""
    columns = [
        {f.name: _as_json(getattr(column, f.name)) for f in fields(Column) if getattr(column, f.name) != f.default}
        for column in schema.columns
    ]
    return {"format": FORMAT, "columns": columns}


def _as_json(value):
    return list(value) if isinstance(value, tuple) else value


def from_json(tree: Any) -> Schema:
    """What :func:`to_json` returned, edited or not; raises ValueError naming what is wrong."""
    if not isinstance(tree, dict) or tree.get("format") != FORMAT or not isinstance(tree.get("columns"), list):
        raise ValueError(f'schema: expected {{"format": "{FORMAT}", "columns": [...]}}, got something else; infer one')
    return Schema(tuple(_column(number, entry) for number, entry in enumerate(tree["columns"])))


def _column(number: int, entry: Any) -> Column:
    known = {f.name for f in fields(Column)}
    needed = {f.name for f in fields(Column) if f.default is MISSING}
    if not isinstance(entry, dict) or not needed <= set(entry) <= known:
        found = sorted(map(str, entry)) if isinstance(entry, dict) else repr(entry)
        raise ValueError(f"schema, column {number}: expected {sorted(needed)} and of {sorted(known)}, got {found}")
    chosen: dict[str, Any] = dict(entry)
    if isinstance(chosen.get("categories"), list):
        chosen["categories"] = tuple(chosen["categories"])
    return Column(**chosen)


def write_schema(path: str | Path, schema: Schema, *, overwrite: bool = False) -> None:
    """Write ``schema`` as JSON, or as YAML where the name ends in .yaml or .yml; whole or not at all."""
    path = Path(path)
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: expected a new file, got one that exists; pass overwrite=True or another path")
    tree = to_json(schema)
    text = (
        _yaml().safe_dump(tree, sort_keys=False, allow_unicode=True) if _is_yaml(path) else json.dumps(tree, indent=1)
    )
    write_whole(path, lambda temporary: Path(temporary).write_text(text.rstrip() + "\n", encoding="utf-8"))


def read_schema(path: str | Path) -> Schema:
    """Read what :func:`write_schema` wrote and people edited; raises ValueError naming what is wrong."""
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: expected a schema file, got a folder, a pipe or a device; check the path")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(
            f"{path}: expected a schema file, got none to read ({error.strerror}); check the path"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected a schema in UTF-8, got other bytes; save it as UTF-8") from None
    parse = _parse_yaml if _is_yaml(path) else json.loads
    try:
        tree = parse(text)
    except Exception as error:  # each parser has errors of its own
        if isinstance(error, ValueError) and str(error).startswith("YAML"):
            raise
        reason = str(error)[:200]
        raise ValueError(
            f"{path}: expected a schema as JSON or YAML, got what cannot be parsed ({reason}); correct it"
        ) from None
    return from_json(tree)


def _parse_yaml(text: str) -> Any:
    yaml = _yaml()
    # A few aliases of aliases are billions of values once they are shown; a schema needs none.
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
        raise ValueError("YAML: expected no aliases (*name) in a schema, got some; write the values out")
    return yaml.safe_load(text)


def _is_yaml(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml")


def _yaml():
    try:
        import yaml
    except ImportError:
        raise ValueError('YAML: expected PyYAML, got none; pip install "jaxcop[cli]", or name a .json file') from None
    return yaml
