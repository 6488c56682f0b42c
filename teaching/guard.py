"""What is set up in a learner's kernel: this file's text is sent to it, so it imports nothing of the project.

Both are help for honest judging, no wall. Python code in the kernel's process can do anything: patch torch or print, walk
to these functions and change them, start a program that reads the disk. The wall is the container.
"""


def refuse_outside(hidden, allowed):
    """Refuse to open, link or move files under the folders `hidden` that do not lie under one of `allowed` (real paths).

    And let forked processes not fork again, so that a fork bomb grows slowly enough to be noticed. It
    sees what Python does in this process: not what a program started from it does, nor C code.
    """
    import os
    import sys

    def inside(path, folders):
        return any(path == folder or path.startswith(folder + os.sep) for folder in folders)

    kernel = os.getpid()

    def look(event, arguments, watched=frozenset({"open", "os.link", "os.symlink", "os.rename", "os.remove", "os.rmdir"})):
        if event in watched and arguments and isinstance(arguments[0], (str, bytes, os.PathLike)):
            for path in arguments[:2] if event in ("os.link", "os.symlink", "os.rename") else arguments[:1]:
                real = os.path.realpath(os.fsdecode(path))
                if inside(real, hidden) and not inside(real, allowed):
                    raise PermissionError(f"{os.path.basename(real)} lies outside this run's folder: "
                                          "a submission is judged with its own files alone.")
        elif event == "os.fork" and os.getpid() != kernel:
            raise PermissionError("a process that was forked may not fork again.")

    sys.addaudithook(look)


def fresh_checks(source, path):
    """Make the module of checks anew from its text, whatever became of the one before; returns it."""
    import sys
    import types

    from IPython import get_ipython

    shell = get_ipython()
    for hooks in (shell.ast_transformers, shell.input_transformers_post, shell.events.callbacks["pre_execute"],
                  shell.events.callbacks["pre_run_cell"]):
        hooks.clear()  # nobody rewrites the check's cell
    module = sys.modules["problem_unittests"] = types.ModuleType("problem_unittests")
    module.__file__ = path
    exec(compile(source, path, "exec"), module.__dict__)
    return module
