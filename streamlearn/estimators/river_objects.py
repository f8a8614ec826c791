"""River's objects ⇄ bytes, without pickle.

The bytes are MessagePack: a list of parts, the model first, each of a kind and with its content. What is one
object is one part, and parts refer to each other by their numbers, so a model may be as deep as it likes. The
same model gives the same bytes in any process.

Nothing that is read is executed. A part may name a class, function or method, but only River's own are looked
up, by their modules, and a few containers of Python's. An object is made by its class's `__new__` and given
its attributes; those of compiled classes get theirs as Cython and Rust do it, from plain values.
"""

import collections
import copy
import functools
import random
import statistics
from collections.abc import Iterator
from importlib import import_module
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, NamedTuple

import msgspec
import numpy as np

LIBRARY = "river"

_CONTAINERS: dict[str, Any] = {
    cls.__name__: cls
    for cls in (list, dict, set, collections.OrderedDict, collections.Counter, collections.defaultdict)
}
_BUILT_IN: dict[str, Any] = {
    **{f"builtins.{cls.__name__}": cls for cls in (bool, float, int, list, dict, set)},
    **{f"collections.{cls.__name__}": cls for cls in (collections.Counter, collections.defaultdict)},
    "copy.deepcopy": copy.deepcopy,
}
"""What a model may name beside River's own, such as for the values that a `defaultdict` makes."""
_PLAIN = (type(None), bool, float, str, bytes)
_INT64 = 1 << 63
_COMPILED_FUNCTION = "cython_function_or_method"
_UNPICKLE = "__pyx_unpickle_"
"""What the functions are called by which Cython makes an object of a class, from plain values."""
_SAMPLER = "_rng"
"""A distribution's generator: it is for drawing samples, which no model does, and has no seed."""


class NotStorable(TypeError):
    """A model holds something that is neither plain nor River's."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the model holds {what}, which no snapshot can: River's own classes and plain values are stored;"
            " take another model, or parameters without it"
        )


def dumps(model: Any) -> bytes:
    """Write a model.

    Raises
    ------
    NotStorable
        It holds something of another library, or code that has no name.
    """
    return _Writer().dumps(model)


def loads(data: bytes) -> Any:
    """Read what `dumps` has written.

    Raises
    ------
    ValueError
        The bytes cannot be read.
    NotStorable
        They name what is not River's.
    """
    return _Reader(data).read()


class _Writer:
    def __init__(self) -> None:
        self._values: list[Any] = []
        self._number_of: dict[int, int] = {}

    def dumps(self, model: Any) -> bytes:
        self._refer(model)
        parts = []
        for value in self._values:  # grows as parts refer to others
            parts.append(self._describe(value))
        return msgspec.msgpack.encode(parts)

    def _refer(self, value: Any) -> Any:
        """Return what stands for a value in a part: itself where it is plain, else the number of its part."""
        kind = type(value)
        if kind in _PLAIN or (kind is int and -_INT64 <= value < _INT64):
            return value
        number = self._number_of.setdefault(id(value), len(self._values))
        if number == len(self._values):
            self._values.append(value)  # as long as it is kept, no other object has its `id`
        return [number]

    def _refer_all(self, values: Any) -> list[Any]:
        return [self._refer(value) for value in values]

    def _describe(self, value: Any) -> list[Any]:
        kind: Any = type(value)
        if kind is int:
            return ["int", str(value)]
        if kind is tuple or kind is frozenset:
            return [kind.__name__, self._refer_all(_sort(value) if kind is frozenset else value)]
        if kind is collections.deque:
            return ["deque", value.maxlen, self._refer_all(value)]
        if kind in _CONTAINERS.values():
            factory = getattr(value, "default_factory", None)
            return [kind.__name__, self._refer(factory), self._refer_items(value)]
        if isinstance(value, np.ndarray | np.generic):
            if value.dtype.kind not in "biuf":
                raise NotStorable(f"an array of {value.dtype}")
            return ["array", value.dtype.str, np.shape(value), isinstance(value, np.generic), value.tobytes()]
        if kind is random.Random:
            version, words, gauss = value.getstate()
            return ["Random", version, np.array(words, dtype="<u4").tobytes(), gauss]
        if kind is statistics.NormalDist:
            return ["NormalDist", value.mean, value.stdev]
        if kind is functools.partial:
            return ["partial", *self._refer_all((value.func, value.args, value.keywords))]
        if isinstance(value, MethodType | BuiltinMethodType):
            return ["method", self._refer(value.__self__), value.__name__]
        if isinstance(value, type | FunctionType) or kind.__name__ == _COMPILED_FUNCTION:
            return ["name", *_name(value)]
        return self._describe_compiled(value) if _is_compiled(kind) else self._describe_object(value)

    def _refer_items(self, value: Any) -> list[Any]:
        if isinstance(value, dict):
            return self._refer_all(part for pair in value.items() for part in pair)
        return self._refer_all(_sort(value) if isinstance(value, set) else value)

    def _describe_object(self, value: Any) -> list[Any]:
        kind: Any = type(value)
        items = self._refer_items(value) if isinstance(value, dict | list | set) else None
        attributes: dict[str, Any] = {
            name: self._refer(part)
            for name, part in _list_attributes(value)
            if not (name == _SAMPLER and _has_sampler(kind))
        }
        return ["object", *_name(kind), items, attributes]

    def _describe_compiled(self, value: Any) -> list[Any]:
        make, arguments, *rest = value.__reduce_ex__(2)
        state = self._refer(rest[0] if rest else None)
        name = _name(type(value))
        if make.__name__ == "__newobj__":  # Rust's classes
            return ["compiled", *name, "", "", self._refer_all(arguments[1:]), state]
        return ["compiled", *name, *_name(make), self._refer_all(arguments[1:]), state]


class _Reader:
    """Makes all objects empty, then fills them: so they may refer to each other in circles."""

    def __init__(self, data: bytes) -> None:
        try:
            self._parts = msgspec.msgpack.decode(data, type=list[list[Any]])
        except msgspec.DecodeError as error:
            raise ValueError(f"a model cannot be read: {error}") from error
        self._made: dict[int, Any] = {}

    def read(self) -> Any:
        try:
            for number in range(len(self._parts)):
                self._get([number])
            for number, (kind, *content) in enumerate(self._parts):
                self._fill(self._made[number], kind, content)
            for number, (kind, *content) in enumerate(self._parts):
                if kind == "compiled" and content[-1] is not None:
                    self._made[number].__setstate__(self._get(content[-1]))
            return self._made[0]
        except (LookupError, AttributeError, RecursionError) as error:
            raise ValueError(f"a model cannot be read: {error}") from error

    def _get(self, value: Any) -> Any:
        """Return what stands behind a reference; an object may still be empty."""
        if type(value) is not list:
            return value
        (number,) = value
        if number not in self._made:
            kind, *content = self._parts[number]
            self._made[number] = self._make(kind, content)
        return self._made[number]

    def _get_all(self, values: list[Any]) -> list[Any]:
        return [self._get(value) for value in values]

    def _make(self, kind: str, content: list[Any]) -> Any:
        """Make an object; what other objects may change is empty."""
        if kind in _CONTAINERS:
            return _CONTAINERS[kind]()
        match kind, content:
            case "int", [text]:
                return int(text)
            case "tuple", [values]:
                return tuple(self._get_all(values))
            case "frozenset", [values]:
                return frozenset(self._get_all(values))
            case "deque", [length, _]:
                return collections.deque(maxlen=length)
            case "array", [dtype, shape, is_scalar, data]:
                array = np.frombuffer(data, np.dtype(dtype)).reshape(shape).copy()
                return array[()] if is_scalar else array
            case "Random", [version, words, gauss]:
                generator = random.Random()  # noqa: S311
                generator.setstate((version, tuple(np.frombuffer(words, "<u4").tolist()), gauss))
                return generator
            case "NormalDist", [mean, deviation]:
                return statistics.NormalDist(mean, deviation)
            case "partial", [function, arguments, keywords]:
                # Its keywords are a dictionary that is not filled yet.
                _, _, pairs = self._parts[keywords[0]]
                names, values = pairs[::2], self._get_all(pairs[1::2])
                return functools.partial(
                    self._get(function), *self._get(arguments), **dict(zip(names, values, strict=True))
                )
            case "method", [owner, name]:
                return getattr(self._get(owner), name)
            case "name", [module, name]:
                return _find(module, name)
            case "object", [module, name, _, _]:
                cls = _find(module, name)
                return cls.__new__(cls)
            case "compiled", [module, name, maker_module, maker, arguments, _]:
                cls = _find(module, name)
                if not maker:
                    return cls.__new__(cls, *self._get_all(arguments))
                if not maker.startswith(_UNPICKLE):
                    raise NotStorable(f"{maker_module}.{maker}")
                return _find(maker_module, maker)(cls, *self._get_all(arguments))
        raise ValueError(f"a model has a part of the kind {kind!r}")

    def _fill(self, value: Any, kind: str, content: list[Any]) -> None:
        cls: Any = type(value)
        if kind == "deque":
            value.extend(self._get_all(content[1]))
        elif kind in _CONTAINERS:
            factory, items = content
            _fill_items(value, self._get_all(items))
            if kind == "defaultdict":
                value.default_factory = self._get(factory)
        elif kind == "object":
            _, _, items, attributes = content
            _fill_items(value, self._get_all(items or []))
            if _has_sampler(cls):
                object.__setattr__(value, _SAMPLER, random.Random(0))  # noqa: S311
            for name, part in attributes.items():
                object.__setattr__(value, name, self._get(part))


def _fill_items(container: Any, items: list[Any]) -> None:
    if isinstance(container, dict):
        # A class of River's own may do something else with an item; an OrderedDict has to know the order.
        is_ordered = isinstance(container, collections.OrderedDict)
        put = collections.OrderedDict.__setitem__ if is_ordered else dict.__setitem__
        for key, value in zip(items[::2], items[1::2], strict=True):
            put(container, key, value)
    elif isinstance(container, set):
        container.update(items)
    elif items:
        list.extend(container, items)


class _Name(NamedTuple):
    module: str
    name: str


def _name(value: Any) -> _Name:
    """Return by what a class or function can be found again.

    Raises
    ------
    NotStorable
        It cannot, or is not River's.
    """
    name = _Name(str(value.__module__), str(value.__qualname__))
    if _find(*name) is not value:
        raise NotStorable(".".join(name))
    return name


@functools.lru_cache(maxsize=4096)
def _find(module: str, name: str) -> Any:
    if f"{module}.{name}" in _BUILT_IN:
        return _BUILT_IN[f"{module}.{name}"]
    if module.partition(".")[0] != LIBRARY:
        raise NotStorable(f"{module}.{name}")
    value: Any = import_module(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    if str(getattr(value, "__module__", "")).partition(".")[0] != LIBRARY:
        raise NotStorable(f"{module}.{name}")
    return value


@functools.cache
def _is_compiled(cls: Any) -> bool:
    """Whether objects of a class have a state beside the attributes that Python sees."""
    return bool(cls.__reduce__ is not object.__reduce__) or hasattr(cls, "__setstate__")


@functools.cache
def _has_sampler(cls: Any) -> bool:
    return issubclass(cls, import_module(f"{LIBRARY}.proba.base").Distribution)


def _list_attributes(value: Any) -> Iterator[tuple[str, Any]]:
    cls: Any = type(value)
    for name in _list_slots(cls):
        if hasattr(value, name):
            yield name, getattr(value, name)
    yield from getattr(value, "__dict__", {}).items()


@functools.cache
def _list_slots(cls: Any) -> tuple[str, ...]:
    names: list[str] = []
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _sort(values: Any) -> list[Any]:
    """Return a set's values in an order that is the same in any process."""
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)
