"""Cells that need an exercise which is not begun yet: one line that names it, in place of a traceback."""

import ast
import dis
from types import CodeType

from IPython import get_ipython

LINE = ("This cell waits for the exercise {}: write its answer in place of `raise NotImplementedError()`, run it, and then "
        "run this cell again.")


def wait_for_exercises():
    """From now on a cell that needs an unanswered exercise says in one line which; outside of IPython nothing happens.

    An exercise is unanswered while its function, class or cell holds `raise NotImplementedError()`.
    """
    shell = get_ipython()
    if shell is not None:
        kept = [one for one in shell.ast_transformers if type(one).__name__ != Waiting.__name__]
        shell.ast_transformers[:] = [*kept, Waiting()]


class Waiting(ast.NodeTransformer):
    """Reads each cell before it runs. `waiting`: {name that is not to be had yet: the exercise that it waits for}."""

    def __init__(self):
        self.waiting = {}

    def visit(self, cell):
        """Return the cell as it is, or with its statements replaced by one line if it needs what is not there yet."""
        exercise, definitions, unanswered = None, [], []
        for statement in cell.body:
            loads, stores = _names(statement)
            needs = [self.waiting[name] for name in sorted(loads) if name in self.waiting]
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                definitions.append(statement)
                self._set(statement.name, statement.name if _is_stub(statement) else next(iter(needs), None))
                continue
            if isinstance(statement, ast.Raise) and _is_stub(statement):  # an exercise that is a cell, names = ...
                needs = [" and ".join(unanswered)]
            elif _is_check(statement):
                needs = self._needs_of_check(statement)
            exercise = exercise or next(iter(needs), None)
            unanswered += sorted(stores)
            for name in stores:
                self._set(name, exercise)
        if exercise:
            cell.body = [*definitions, *ast.parse(f"print({LINE.format(exercise)!r})").body]
        return ast.fix_missing_locations(cell)

    def _set(self, name, exercise):
        """From here on the name waits for that exercise; None: it is there."""
        self.waiting.pop(name, None)
        if exercise:
            self.waiting[name] = exercise

    def _needs_of_check(self, statement):
        """A check judges an exercise that is not begun itself; it waits only where an answer calls another exercise."""
        arguments = [node.id for node in statement.value.args if isinstance(node, ast.Name)]
        return [self.waiting[name] for name in arguments if name in self.waiting and name in self.functions()
                and name not in self.waiting[name] and self.waiting[name] not in arguments]

    def functions(self):
        """The names of the notebook that are functions or classes now."""
        shell = get_ipython()
        return {name for name, value in shell.user_ns.items() if callable(value)} if shell else set()


def _names(statement):
    """Names that a statement reads before it sets them, in its functions too, and names that it sets in the notebook."""
    loads, stores = set(), set()

    def look(code):
        for step in dis.get_instructions(code):  # in the order in which they run, near enough
            if step.opname in ("LOAD_NAME", "LOAD_GLOBAL") and step.argval not in stores:
                loads.add(step.argval)
            elif step.opname in ("STORE_NAME", "STORE_GLOBAL") and code is whole:
                stores.add(step.argval)
        for part in code.co_consts:
            if isinstance(part, CodeType):
                look(part)

    whole = compile(ast.Module([statement], type_ignores=[]), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    look(whole)
    return loads, stores


def _is_stub(node):
    """Does it hold `raise NotImplementedError()`?"""
    return any(isinstance(inner, ast.Raise) and isinstance(inner.exc, (ast.Call, ast.Name))
               and getattr(inner.exc, "id", getattr(getattr(inner.exc, "func", None), "id", "")) == "NotImplementedError"
               for inner in ast.walk(node))


def _is_check(statement):
    """Is it a call of one of the checks, tests.test_...(...)?"""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr.startswith("test_")
