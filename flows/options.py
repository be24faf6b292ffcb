"""The options of a flow, declared once for the command line, Prefect's parameters, their checks and the help.

    class RiskScenariosOptions(Options):
        market: str | None = Field(None, description="market to simulate (default: the newest snapshot's)")
        paths: Annotated[int, Whole(1, 10_000_000)] = Field(10_000, description="simulated paths")

A field `from_block` is `--from-block` on the command line and `from_block` in Prefect's form. A truth value is a flag
without a value, a list takes one value or more, and `Flag` adds what only the command line needs.
"""

from __future__ import annotations

import difflib
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from flows.arguments import Unreadable, block, moment, number, real
from flows.errors import WrongOption


@dataclass(frozen=True, slots=True)
class Flag:
    """What only the command line needs: other names, a placeholder, the group in the help, a flag that undoes it.

    `off`: a second flag that undoes this flag, and its help. `empty`: a list may be given without a value.
    """

    names: tuple[str, ...] = ()
    metavar: str | None = None
    group: str = ""
    off: tuple[str, str] | None = None
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` to `most`, both included; without an upper bound where `most` is None."""

    least: int = 0
    most: int | None = None

    def read(self, value: Any) -> int:
        """The number, from text too. Raises `Unreadable`."""
        try:
            found = number(value)
        except Unreadable:
            found = -1
        if found < self.least or (self.most is not None and found > self.most):
            bounds = f"of at least {self.least:,}" if self.most is None else f"from {self.least:,} to {self.most:,}"
            raise Unreadable(f"expected a whole number {bounds}, found {value!r:.60}")
        return found

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        within = core_schema.int_schema(ge=self.least, le=self.most)
        return core_schema.no_info_before_validator_function(self.read, within)


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `least` to `most` in `unit`, both included, or without `least` where that is `open`."""

    least: float
    most: float
    unit: str = "a number"
    open: bool = False

    def read(self, value: Any) -> float:
        """The number, from text too. Raises `Unreadable`."""
        try:
            found = real(value)
        except Unreadable:
            found = self.least - 1
        if not self.least <= found <= self.most or (self.open and found == self.least):
            begin, end = ("above", "and up to") if self.open else ("from", "to")
            raise Unreadable(
                f"expected {self.unit} {begin} {self.least:,g} {end} {self.most:,.10g}, found {value!r:.60}"
            )
        return found

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        bounds = {"gt": self.least} if self.open else {"ge": self.least}
        within = core_schema.float_schema(le=self.most, allow_inf_nan=False, **bounds)
        return core_schema.no_info_before_validator_function(self.read, within)


AnyBlock = Annotated[int | str, BeforeValidator(block)]
"""latest, safe, finalized, or a number."""
Moment = Annotated[
    int,
    BeforeValidator(moment),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
    Flag(metavar="DATE"),
]
"""Seconds UTC, given as such or as a date."""
Attempts = Annotated[int, Whole(1, 100), Field(description="tries of each request")]
Every = Annotated[
    Annotated[float, Number(1, 7 * 86_400, "seconds")] | None,
    Flag(metavar="SECONDS"),
    Field(description="repeat: a round at every multiple of SECONDS, until Ctrl-C or SIGTERM (default: run once)"),
]


class Options(BaseModel):
    """Base of the options of a flow; each flow has one subclass, which `flows.registry` names.

    It stands in a module that imports none of what a run needs, see `flows.registry.Registered`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    excluding: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of fields that may not be given together."""

    @model_validator(mode="after")
    def _one_at_most(self) -> Self:
        for first, second in self.excluding:
            if all(getattr(self, name) != type(self).model_fields[name].default for name in (first, second)):
                raise ValueError(f"{flag_of(self, first)} cannot be given together with {flag_of(self, second)}")
        return self

    @classmethod
    def of(cls, flow: str, given: Mapping[str, Any]) -> Self:
        """Options from a mapping; a name may be the field's or that of its flag (`from` for `--from`).

        Raises `WrongOption` in one line: which option of `flow`, what was expected, what was found.
        """
        fields = {name.lstrip("-").replace("-", "_"): field for field in cls.model_fields for name in names(cls, field)}
        fields |= {field: field for field in cls.model_fields}
        unknown = sorted(given.keys() - fields.keys())
        if unknown:
            raise WrongOption(f"{flow} has no parameter {', '.join(unknown)}; known: {', '.join(ordered(cls))}")
        found = {fields[name]: value for name, value in given.items()}
        for name, value in found.items():
            if isinstance(value, str) and is_list(cls.model_fields[name]):
                found[name] = [value]
        try:
            return cls.model_validate(found)
        except ValidationError as exc:
            raise WrongOption(f"{flow}: {explained(cls, exc, lambda name: name)}") from None

    def chosen(self) -> dict[str, Any]:
        """What differs from the defaults, by field."""
        fields = type(self).model_fields
        return {name: value for name, value in self if value != fields[name].default}


class OptionParser(ArgumentParser):
    """The command line of a flow's options; a wrong option prints one line on stderr and ends with exit code 2."""

    def __init__(self, options: type[Options], prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description)
        self.options = options
        groups: dict[str, Any] = {"": self}
        for name in ordered(options):
            flag = flag_in(options.model_fields[name])
            if flag.group not in groups:
                groups[flag.group] = self.add_argument_group(flag.group)
            self._declare(groups[flag.group], name)

    def parse_args(self, args: Sequence[str] | None = None, namespace: None = None) -> Options:  # type: ignore[override]
        """The options that `args` give. Raises `SystemExit`: 2 for a wrong option, 0 after `--help`."""
        given, unknown = self.parse_known_args(args)
        if unknown:
            self.error(self._unknown(unknown[0]))
        try:
            return self.options.model_validate(vars(given))
        except ValidationError as exc:
            self.error(explained(self.options, exc, lambda name: flag_of(self.options, name)))

    def error(self, message: str) -> NoReturn:
        """Print one line on stderr and end with exit code 2."""
        text = " ".join(message.removeprefix("argument ").split())
        self.exit(2, f"{self.prog}: {text}; --help explains each option\n")

    def _unknown(self, word: str) -> str:
        known = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        if not word.startswith("-"):
            return f"expected an option such as {known[1]}, found {word!r:.60}"
        near = difflib.get_close_matches(word, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"there is no option {word:.60} ({hint}known: {', '.join(known)})"

    def _declare(self, group: Any, name: str) -> None:
        field = self.options.model_fields[name]
        flag, shown = flag_in(field), names(self.options, name)
        about: dict[str, Any] = {"dest": name, "default": SUPPRESS, "help": help_of(field)}
        if field.annotation is bool:
            group.add_argument(*shown, action="store_true", **about)
            if flag.off:
                back, why = flag.off
                group.add_argument(back, action="store_false", dest=name, default=SUPPRESS, help=why)
            return
        if is_list(field):
            about["nargs"] = "*" if flag.empty else "+"
        choices = choices_of(field.annotation)
        group.add_argument(*shown, metavar=flag.metavar or (f"{{{','.join(choices)}}}" if choices else None), **about)


def signature(options: type[Options], **more: Parameter) -> Signature:
    """The options as the signature of a function, from which Prefect makes a form; `more` parameters come last."""
    fields = options.model_fields
    parameters = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=fields[name].get_default(call_default_factory=True),
            annotation=Annotated[fields[name].annotation, *fields[name].metadata]
            if fields[name].metadata
            else fields[name].annotation,
        )
        for name in ordered(options)
    ]
    return Signature([*parameters, *more.values()], return_annotation=str)


def ordered(options: type[Options]) -> list[str]:
    """The fields in the order of the help: those of no group first."""
    return sorted(options.model_fields, key=lambda name: bool(flag_in(options.model_fields[name]).group))


def names(options: type[Options], name: str) -> tuple[str, ...]:
    """The flags of a field on the command line."""
    return flag_in(options.model_fields[name]).names or (f"--{name.replace('_', '-')}",)


def flag_of(options: Options | type[Options], name: str) -> str:
    """The first flag of a field."""
    return names(options if isinstance(options, type) else type(options), name)[0]


def flag_in(field: FieldInfo) -> Flag:
    """The field's `Flag`, or the default one."""
    return next((mark for mark in field.metadata if isinstance(mark, Flag)), Flag())


def help_of(field: FieldInfo) -> str:
    """The description with the default added, unless the description has it."""
    text, default = field.description or "", field.default
    if "(default" in text or default is None or default is False or default == []:
        return text.replace("%", "%%")
    shown = " ".join(map(str, default)) if isinstance(default, list) else f"{default}"
    return f"{text} (default: {shown})".replace("%", "%%")


def is_list(field: FieldInfo) -> bool:
    """Whether the field takes several values."""
    return any(get_origin(kind) is list for kind in _kinds(field.annotation))


def choices_of(annotation: Any) -> list[str]:
    """The words that a field, or each entry of its list, may have; empty where any is allowed."""
    for kind in _kinds(annotation):
        if get_origin(kind) is list:
            return choices_of(get_args(kind)[0])
        if get_origin(kind) is Literal:
            return list(map(str, get_args(kind)))
    return []


def explained(options: type[Options], exc: ValidationError, called: Callable[[str], str]) -> str:
    """What is wrong with which option, in one line."""
    lines: dict[str, str] = {}
    for error in exc.errors(include_url=False):
        name = str(error["loc"][0]) if error["loc"] else ""
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, Unreadable) or not name:
            text = str(cause or error["msg"])
        else:
            text = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            text = text if "found" in text else f"{text}, found {error['input']!r:.60}"
        lines.setdefault(name, f"{called(name)}: {text}" if name else text)
    return "; ".join(lines.values())


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The annotation, or the members of a union, without what annotates them."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        return tuple(kind for member in get_args(annotation) for kind in _kinds(member))
    return (annotation,)
