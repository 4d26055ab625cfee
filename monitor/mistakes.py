"""Puts validation errors into words for whoever wrote the file: what was expected, what is there, a cure."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError

_EXPECTED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dataclass_type": "a mapping (key: value)",
    "dict_type": "a mapping (key: value)",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "list_type": "a list",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "some text",
    "too_long": "at most {max_length} of them",
    "string_type": "text",
    "tuple_type": "a list",
}


def explained(error: ValidationError) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(place, message) of each thing that is wrong; a missing key has the place where it belongs."""
    for each in error.errors(include_url=False):
        loc, context, got = each["loc"], each.get("ctx", {}), shown(each["input"])
        if loc and loc[-1] == "[key]":
            loc = loc[:-1]
        match each["type"]:
            case "missing":
                yield loc, f"missing; add `{loc[-1]}: …` here"
            case "too_short":
                # Entries with mistakes aren't counted as entries: only an empty list or mapping is meant.
                if not each["input"]:
                    yield loc, "expected at least one entry"
            case "value_error":
                yield loc, str(context["error"])
            case "literal_error":
                yield loc, f"expected {context['expected']}, got {got}"
            case known if known in _EXPECTED:
                yield loc, f"expected {_EXPECTED[known].format(**context)}, got {got}"
            case _:
                yield loc, each["msg"]


def shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…'"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'window'?`, or everything that it could have been when nothing is close."""
    known = sorted(set(known))
    if close := difflib.get_close_matches(word, known, n=1):
        return f"; did you mean {close[0]!r}?"
    return f"; expected one of {', '.join(known)}" if known else ""


def at(loc: tuple[str | int, ...], message: str) -> ValidationError:
    """A mistake of something inside the value that a validator looks at."""
    return ValidationError.from_exception_data("", [_problem(loc, message)])


def known_keys(kind: type[Any], *others: str) -> WrapValidator:
    """Refuses keys that are no field of the dataclass `kind`, together with whatever else is wrong with it.

    A misspelt key is one mistake, not two: the key that was meant is not reported missing.
    """
    known = keys_of(kind) | set(others)

    def check(value: Any, handler: Callable[[Any], Any]) -> Any:
        unknown = [key for key in value if key not in known] if isinstance(value, Mapping) else []
        meant = {close for key in unknown for close in difflib.get_close_matches(key, known, n=1)}
        problems = [_problem((key,), f"unknown key{did_you_mean(key, known)}") for key in unknown]
        made = None
        try:
            made = handler(value)
        except ValidationError as error:
            problems += [each for each in _problems(error) if not (_missing(each) & meant)]
        if problems:
            raise ValidationError.from_exception_data("", problems)
        return made

    return WrapValidator(check)


def keys_of(kind: type[Any]) -> frozenset[str]:
    """As they stand in the file."""
    return frozenset(_key(field) for field in dataclasses.fields(kind))


def _key(field: dataclasses.Field[Any]) -> str:
    return field.name.rstrip("_")


def _problem(loc: tuple[str | int, ...], message: str) -> InitErrorDetails:
    kind = PydanticCustomError("mistake", "{message}", {"message": message})
    return InitErrorDetails(type=kind, loc=loc, input=None)


def _problems(error: ValidationError) -> Iterator[InitErrorDetails]:
    for each in error.errors(include_url=False):
        if each["type"] == "mistake":
            yield _problem(each["loc"], each["msg"])
        else:
            yield InitErrorDetails(
                type=each["type"], loc=each["loc"], input=each["input"], ctx=each.get("ctx", {})
            )


def _missing(problem: InitErrorDetails) -> set[str | int]:
    return {problem["loc"][-1]} if problem["type"] == "missing" else set()
