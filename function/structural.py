"""Structural OpenAPI v3, as the API server takes it in a CRD, from the pydantic models.

Invariant: no `$ref`, no `anyOf`, no `title`, a description for every field, and no default where the size profile or
the platform decides, because the API server would write it into the claim.
"""

import ast
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import PydanticJsonSchemaWarning

from function.model import Model

Schema = dict[str, Any]
KEPT = (
    "enum", "pattern", "maxLength", "minLength", "maxItems", "minItems",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations",
)  # fmt: skip


def of(model: type[BaseModel]) -> Schema:
    """The structural schema of a model's object, fields in the model's order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)  # an empty Map is no default to declare
        schema = model.model_json_schema()
    owners = {cls.__name__: cls for cls in _subclasses(Model)}
    return _node(schema, schema.get("$defs", {}), owners, model.__name__)


def _node(
    given: Mapping[str, Any], known: Mapping[str, Schema], owners: Mapping[str, type[Model]], owner: str = ""
) -> Schema:
    if "$ref" in given:
        name = given["$ref"].rpartition("/")[2]
        return _node(known[name], known, owners, name)
    if "anyOf" in given:
        (only,) = (choice for choice in given["anyOf"] if choice.get("type") != "null")
        return _node({**only, **{key: value for key, value in given.items() if key in KEPT}}, known, owners)
    kind = given.get("type", "string")
    node: Schema = {"type": kind}
    if owner:
        node["description"] = " ".join((owners[owner].__doc__ or "").split())
    node |= {key: given[key] for key in KEPT if key in given}
    node |= {
        said: given[key]
        for key, said in (("ge", "minimum"), ("le", "maximum"), ("minimum", "minimum"), ("maximum", "maximum"))
        if key in given
    }
    if given.get("default") not in (None, "", [], {}) or given.get("default") is False:
        node["default"] = given["default"]
    if kind == "array":
        node["items"] = _node(given["items"], known, owners)
    if "patternProperties" in given:
        ((_, values),) = given["patternProperties"].items()
        node["additionalProperties"] = _node(values, known, owners)
        node["maxProperties"] = node.pop("maxLength")
    if "properties" in given:
        said = _descriptions(owners[owner])
        node["required"] = given.get("required", [])
        node["properties"] = {
            name: _sorted(_node(field, known, owners) | {"description": said[name]})
            for name, field in given["properties"].items()
        }
        if not node["required"]:
            del node["required"]
    return _sorted(node)


def _sorted(node: Schema) -> Schema:
    """What a reader wants to see first, first."""
    first, last = ("type", "description", "default", "enum"), ("required", "items", "properties")
    middle = (key for key in node if key not in first and key not in last)
    return {key: node[key] for key in (*first, *middle, *last) if key in node}


def _subclasses(cls: type[Model]) -> Iterator[type[Model]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def _descriptions(model: type[Model]) -> dict[str, str]:
    """The string below each field of a class, by the field's outside name."""
    said: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, Model):
            said |= _strings(cls.__module__).get(cls.__name__, {})
    return {field.alias or name: said[name] for name, field in model.model_fields.items()}


@cache
def _strings(module: str) -> dict[str, dict[str, str]]:
    """The strings below the fields of every class in a module."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_below(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _below(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, after in zip(node.body, node.body[1:], strict=False):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())
