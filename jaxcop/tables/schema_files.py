"""Schemas as files that people edit: JSON, or YAML."""

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from jaxcop.checkpoint import write_whole
from jaxcop.tables import constraints as types
from jaxcop.tables.schema import Column, Schema

FORMAT = "jaxcop-schema-1"


def to_json(schema: Schema) -> dict[str, Any]:
    """As JSON types; fields at their defaults are left out, constraints are text where a text says all of them.

    Raises ValueError for a constraint that is a Python function.
    """
    columns = [
        {f.name: _as_json(getattr(column, f.name)) for f in fields(Column) if getattr(column, f.name) != f.default}
        for column in schema.columns
    ]
    tree: dict[str, Any] = {"format": FORMAT, "columns": columns}
    if schema.constraints:
        tree["constraints"] = [_constraint_tree(each) for each in schema.constraints]
    return tree


def _constraint_tree(each: types.Constraint) -> Any:
    if isinstance(each, types.Custom):
        raise ValueError(
            f"constraint {each.name!r}: expected one that a file can hold, got a Python function; write it as a "
            "Predicate, or leave it out"
        )
    text = types.text(each)
    if not isinstance(each, types.Combinations) and types.constraint(text) == each:
        return text
    chosen = {f.name: _as_json(getattr(each, f.name)) for f in fields(each) if getattr(each, f.name) != f.default}
    return {"type": type(each).__name__.lower(), **chosen}


def _as_json(value):
    return [_as_json(each) for each in value] if isinstance(value, tuple) else value


def _as_tuple(value):
    return tuple(_as_tuple(each) for each in value) if isinstance(value, list) else value


def from_json(tree: Any) -> Schema:
    """What :func:`to_json` returned, edited or not; raises ValueError naming what is wrong."""
    if not isinstance(tree, dict) or tree.get("format") != FORMAT or not isinstance(tree.get("columns"), list):
        raise ValueError(f'schema: expected {{"format": "{FORMAT}", "columns": [...]}}, got something else; infer one')
    constraints = tree.get("constraints", [])
    if not isinstance(constraints, list):
        raise ValueError(f"schema, constraints: expected a list, got {constraints!r}; put a dash before each")
    columns = tuple(_column(number, entry) for number, entry in enumerate(tree["columns"]))
    return Schema(columns, tuple(_constraint(number, entry) for number, entry in enumerate(constraints)))


def _constraint(number: int, entry: Any) -> types.Constraint:
    if isinstance(entry, str):
        return types.constraint(entry)
    where, kinds = f"schema, constraint {number}", {name: t for name, t in types.TYPES.items() if t is not types.Custom}
    if not isinstance(entry, dict) or entry.get("type") not in list(kinds):
        raise ValueError(f"{where}: expected a text or one of {sorted(kinds)} as type, got {entry!r}; correct it")
    chosen = {name: _as_tuple(value) for name, value in entry.items() if name != "type"}
    kind: Any = kinds[entry["type"]]
    known, needed = {f.name for f in fields(kind)}, {f.name for f in fields(kind) if f.default is MISSING}
    if not needed <= set(chosen) <= known:
        raise ValueError(f"{where}: expected {sorted(needed)} and of {sorted(known)}, got {sorted(map(str, chosen))}")
    return kind(**chosen)


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
