"""What imnn_lab shows to its users: public names, with the methods and properties of classes."""

import inspect
from functools import cached_property
from types import ModuleType

import imnn_lab
from imnn_lab import simulate
from imnn_lab.dashboards.page import page
from imnn_lab.estimator import Estimator
from imnn_lab.history import SteeringMark
from imnn_lab.widgets import TrainingWidget

FURTHER = (simulate, Estimator, SteeringMark, TrainingWidget, page)


def public_objects():
    """Return all public classes and functions, by the name under which they are defined."""
    found = {}
    for thing in (*(getattr(imnn_lab, name) for name in imnn_lab.__all__), *FURTHER):
        for one in _of_module(thing) if isinstance(thing, ModuleType) else (thing,):
            if inspect.isclass(one) or inspect.isfunction(one):
                found[f"{one.__module__}.{one.__qualname__}"] = one
    return found


def public_members(cls):
    """Return the public methods and properties of a class, `__call__` included."""
    found = {}
    for owner in reversed(_own_classes(cls)):
        for name, value in vars(owner).items():
            if name.startswith("_") and name != "__call__":
                continue
            if isinstance(value, classmethod | staticmethod):
                value = value.__func__
            if inspect.isfunction(value) or isinstance(value, property | cached_property):
                found[name] = value
    return found


def overridden(cls, name):
    """Return the docstrings of a member in a class and in those it derives from."""
    members = (vars(owner)[name] for owner in _own_classes(cls) if name in vars(owner))
    return [inspect.getdoc(member) for member in members if inspect.getdoc(member)]


def _own_classes(cls):
    return [owner for owner in cls.__mro__ if owner.__module__.startswith("imnn_lab")]


def _of_module(module):
    if hasattr(module, "__all__"):
        return [getattr(module, name) for name in module.__all__]
    public = [value for name, value in vars(module).items() if not name.startswith("_")]
    return [value for value in public if getattr(value, "__module__", None) == module.__name__]
