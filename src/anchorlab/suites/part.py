"""The base of the parts of a suite file: unknown keys are refused, and what Python gives them in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from anchorlab.errors import AnchorlabError, unknown
from anchorlab.settings import invalid, made_a_number
from anchorlab.suites.short_forms import as_list


@contextmanager
def refusals_as_value_errors() -> Iterator[None]:
    """Turns an AnchorlabError into the ValueError of a validator; pydantic adds the key."""
    try:
        yield
    except AnchorlabError as error:
        raise ValueError(str(error)) from error


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class _Refusing(ModelMetaclass):
    """As ``Refusing``; ``model_validate``, by which files are read, raises pydantic's error as ever."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **values: Any) -> Any:  # noqa: N805  (of a metaclass)
            try:
                return super().__call__(*args, **values)
            except ValidationError as error:
                first = error.errors()[0]
                if first["type"] == "value_error" and first["loc"]:
                    where = ".".join(map(str, (cls.__name__, *first["loc"])))
                    raise AnchorlabError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error
                raise invalid(cls.__name__, error) from error


class Part(BaseModel, metaclass=_Refusing):
    """A part of the file; an unknown key is refused, and the message names the nearest one.

    Attributes:
        former_keys: maps the former name of a key to the present name; files may use either.
    """

    former_keys: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data = cls._with_present_keys(data)
            for key in data:
                if key not in cls.model_fields:
                    complaint = str(unknown("key", str(key), [*cls.model_fields, *cls.former_keys]))
                    raise PydanticCustomError("unknown_key", "{complaint}", {"complaint": complaint, "key": key})
        return data

    @classmethod
    def _with_present_keys(cls, data: dict[Any, Any]) -> dict[Any, Any]:
        for former, present in cls.former_keys.items():
            if former in data and present in data:
                complaint = f"'{former}' is the former name of '{present}', and both are given: keep '{present}'"
                raise PydanticCustomError("unknown_key", "{complaint}", {"complaint": complaint, "key": former})
        return {cls.former_keys.get(key, key): value for key, value in data.items()}

    @field_validator("*", mode="wrap")
    @classmethod
    def _numbers_are_written_as_such(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        taken = handler(value)
        for given, made in zip(as_list(value), as_list(taken), strict=False):
            if made_a_number(given, made):
                raise ValueError(f"{str(given).lower()} is no number: give one")
        return taken
