"""Which answers of a class are near-copies of each other: pairs for a person to look at, never a verdict.

An answer is taken as its syntax tree, in which the learner's own names, all constants, comments, docstrings and annotations
do not count, so that renaming and reformatting hide nothing. Its fragments are the runs of LONG nodes in a row. What all
write alike (the scaffold, the formula of the hint) says nothing, so a fragment that d of n answers share weighs
log2((n + 1) / (d + 1)), and two answers are alike by the weight that they share over the weight of both.

Short answers meet by chance, and so do idioms. Therefore an exercise counts by how few have such an answer: if c others of
the n are as near to one of the two, it says log2(n / (c + 2)) bits. The exercises' bits are summed, and a pair is told when
they are more than it takes to pick one pair out of all, log2(n (n - 1) / 2). By this sum two exercises never make a pair,
three that nobody else has do, and of those that many have it takes more.

What this does not find: one or two exercises copied alone, a copy that was written anew line by line, and an answer that
half the class copied. And it finds what is no copy: two who learned from one page on the web write alike as well.
"""

import ast
import collections
import math
import re
import warnings

import numpy as np
from IPython.core.inputtransformer2 import TransformerManager

LONG = 5  # nodes in a fragment
FEWEST = 5  # answers to an exercise; with fewer, nobody knows what is rare
ALIKE = 0.8  # share of the weight of both, from which on two answers are near
MOST = 100_000  # characters of an answer that is compared


def near_copies(answers):
    """Look for pairs of learners whose answers are alike.

    answers: {exercise: {name: source}}, the unanswered left out.
    Returns: a list of pairs, most telling first, each {"names": (one, other), "bits": float, "exercises": [{"id", "alike":
    0 to 1, "bits", "answers": (source, source)}]}; and a list of (exercise, name, reason): what could not be compared.
    """
    found, left_out = collections.defaultdict(list), []
    for exercise, sources in answers.items():
        read = {}
        for name, source in sources.items():
            try:
                read[name] = fragments(source)
            except ValueError as error:
                left_out.append((exercise, name, str(error)))
        for one, other, alike, bits in _near(read):
            found[one, other].append({"id": exercise, "alike": alike, "bits": bits,
                                      "answers": (sources[one], sources[other])})
    pairs = [{"names": names, "bits": sum(each["bits"] for each in exercises), "exercises": exercises}
             for names, exercises in found.items()]
    learners = len(set().union(*answers.values()))
    chance = math.log2(max(1, learners * (learners - 1) / 2))
    return sorted((pair for pair in pairs if pair["bits"] > chance), key=lambda pair: -pair["bits"]), left_out


def _near(read):
    """Yield (name, name, alike, bits) for each two answers to one exercise, {name: set of fragments}, that are near."""
    names = sorted(read)
    n = len(names)
    if n < FEWEST:
        return
    column = {fragment: i for i, fragment in enumerate(sorted(set().union(*read.values())))}
    has = np.zeros((n, len(column)), np.float32)
    for row, name in enumerate(names):
        has[row, [column[fragment] for fragment in read[name]]] = 1
    both = (has * np.log2((n + 1) / (has.sum(0) + 1))) @ has.T
    own = both.diagonal()
    alike = both / np.maximum(own[:, None] + own[None, :] - both, 1e-6)
    near = np.triu(alike >= ALIKE, 1)
    others = (near | near.T).sum(1)  # how many answers are near to each
    for i, j in zip(*np.nonzero(near), strict=True):
        yield names[i], names[j], float(alike[i, j]), math.log2(n / (max(others[i], others[j]) + 1))


def fragments(source):
    """The fragments of an answer, a set of (text, how often it came before). Raises ValueError for what is no Python."""
    if len(source) > MOST:
        raise ValueError(f"it is longer than {MOST:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in a learner's strings
            tree = ast.parse(_python(source))
        nodes = list(_nodes(tree, _own_names(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError("it is no Python that can be read") from None
    runs = (" ".join(nodes[start:start + LONG]) for start in range(max(1, len(nodes) - LONG + 1)))
    seen = collections.Counter()
    numbered = set()
    for run in runs:
        numbered.add((run, seen[run]))
        seen[run] += 1
    return numbered


def _python(source):
    """A cell as Python: its %magics and !commands as calls, a %%magic on top left out."""
    return TransformerManager().transform_cell(re.sub(r"\A\s*%%.*\n", "", source))


def _own_names(tree):
    """The names that the answer gives itself: what it assigns, defines, imports under, and takes as arguments."""
    own = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.alias) and node.asname:
            own.add(node.asname)
    return own


def _nodes(node, own):
    """The tree's nodes in the order of the source, as words: what they are, and the names that are not the answer's own."""
    if isinstance(node, ast.Constant):
        yield type(node.value).__name__
        return
    if isinstance(node, ast.Name | ast.Attribute | ast.arg | ast.keyword):
        name = {ast.Name: "id", ast.Attribute: "attr"}.get(type(node), "arg")
        name = getattr(node, name)
        yield f"{type(node).__name__}:{'' if name in own or name is None else name}"
    elif not isinstance(node, ast.expr_context | ast.Module):
        yield type(node).__name__
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            is_words = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)  # a docstring, or "..."
            if isinstance(child, ast.AST) and not is_words:
                yield from _nodes(child, own)
