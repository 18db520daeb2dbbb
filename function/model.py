"""What every model of this function shares: frozen, strict, camelCase outside, no undeclared field.

Invariant: nothing is coerced. The one exception is Protobuf's Struct, which has no integers: 1.0 is read as 1.
"""

import types
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict
from pydantic.alias_generators import to_camel

T = TypeVar("T")
K = TypeVar("K")


class Model(BaseModel):
    """Kubernetes spelling outside, Python spelling inside."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


def whole(value: object) -> object:
    """An integer that arrived as Protobuf's only number, a double, as an integer again; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(whole, json_schema_input_type=int)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
# A JSON list: strict mode would only take a Python tuple here. What is in it stays strict.
Items = Annotated[tuple[T, ...], Strict(False)]  # noqa: FBT003 - pydantic's own signature
Set = Annotated[Items[T], Field(json_schema_extra={"x-kubernetes-list-type": "set"})]


class Fixed(dict[K, T]):
    """A dict that nobody changes, so that it has a hash, and models that hold one may be shared."""

    def __hash__(self) -> int:  # type: ignore[override] # dict says None, which is what this class is there to change
        """Independent of the order, as equality is."""
        return hash(frozenset(self.items()))

    def _refuse(self, *_: object, **__: object) -> None:
        raise TypeError("a Fixed dict does not change")

    __setitem__ = __delitem__ = update = setdefault = pop = popitem = clear = __ior__ = _refuse  # type: ignore[assignment] # on purpose


EMPTY: Any = Fixed()
Map = Annotated[dict[K, T], AfterValidator(Fixed)]


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """What the API server checks beyond OpenAPI: pairs of a CEL rule and what it says when broken."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


def ruled(*rules: tuple[str, str]) -> ConfigDict:
    """The configuration of a model with such rules between its fields."""
    return ConfigDict(json_schema_extra=cel(*rules))


def model_at(model: type[BaseModel], steps: Sequence[int | str]) -> type[BaseModel]:
    """The model that describes the object at `steps` inside `model`, where lists and maps take a step of their own.

    Raises LookupError where there is no object with declared fields.
    """
    here: Any = model
    for step in steps:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = _bare(next((f.annotation for n, f in here.model_fields.items() if step in (n, f.alias)), None))
        else:
            here = _bare(next((a for a in reversed(get_args(here)) if a is not ...), None))
    if isinstance(here, type) and issubclass(here, BaseModel):
        return here
    raise LookupError(steps)


def _bare(annotation: Any) -> Any:
    """An annotation without `Annotated` and without `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(a for a in get_args(annotation) if a is not types.NoneType))
    return annotation
