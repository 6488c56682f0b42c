"""For the tests: a real Jupyter kernel that cells are run in, and what they showed."""

import os
from pathlib import Path

from jupyter_client import KernelManager

ROOT = Path(__file__).resolve().parent.parent


class Ran:
    """What a cell showed: text, error (None or its lines), displays as they are at the end, result, messages: how many."""

    def __init__(self):
        self.text, self.error, self.displays, self.messages, self.result = "", None, {}, 0, None


class Kernel:
    """A kernel in a folder of its own, which finds the project's modules."""

    def __init__(self, folder, epochs, faces):
        self.manager = KernelManager(kernel_name="python3")
        environment = os.environ | {"PYTHONPATH": str(ROOT), "FACE_DATA": faces, "FACE_EPOCHS": str(epochs),
                                    "OMP_NUM_THREADS": "1"}
        self.manager.start_kernel(cwd=str(folder), env=environment)
        self.connect()

    def connect(self):
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def start(self, code):
        self.message, self.ran = self.client.execute(code), Ran()

    def look(self, seconds=120):
        """Take the kernel's next message into self.ran. Returns whether the cell goes on."""
        message = self.client.get_iopub_msg(timeout=seconds)
        if message["parent_header"].get("msg_id") != self.message:
            return True
        kind, content = message["msg_type"], message["content"]
        self.ran.messages += 1
        if kind == "stream":
            self.ran.text += content["text"]
        elif kind == "error":
            self.ran.error = content["traceback"]
        elif kind == "execute_result":
            self.ran.result = content["data"]
        elif kind in ("display_data", "update_display_data"):
            name = content.get("transient", {}).get("display_id", len(self.ran.displays))
            assert kind == "display_data" or name in self.ran.displays
            self.ran.displays[name] = content["data"]
        return not (kind == "status" and content["execution_state"] == "idle")

    def finish(self):
        while self.look():
            pass
        return self.ran

    def run(self, *sources):
        """Run cells; all must end well. Returns what the last one showed."""
        for source in sources:
            self.start(source)
            assert self.finish().error is None, "\n".join(self.ran.error)
        return self.ran

    def fail(self, source):
        """Run a cell that must end in an error. Returns the error's lines."""
        self.start(source)
        assert self.finish().error is not None
        return self.ran.error

    def restart(self):
        self.client.stop_channels()
        self.manager.restart_kernel(now=True)
        self.connect()

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
