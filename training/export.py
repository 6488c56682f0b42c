"""The trained generator as files that leave the notebook."""

import copy
from pathlib import Path

import torch

from common import FaceError, write_beside

OPSET = 18  # the first that PyTorch's exporter writes by itself; runtimes since 2023 know it
ALLOWED = 1e-3  # how far a pixel in [-1, 1] may be from the original's in another runtime: an eighth of a step of 1 in 255


def export_generator(G, z_size, folder):
    """Write the generator as a program that needs none of the notebook's classes, and as plain weights.

    generator.pt2: `torch.export.load("generator.pt2").module()(z)` gives faces in [-1, 1] for any number of z.
    generator.pt: its state_dict, for `load_state_dict` of the same class.

    Args:
        G: the generator (an averaged one is unwrapped); z_size: int; folder: where the two files go.
    Returns: list of the two paths.
    """
    G = copy.deepcopy(getattr(G, "module", G)).cpu().eval().to(memory_format=torch.contiguous_format)
    program = torch.export.export(G, (torch.randn(2, z_size),), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    paths = [Path(folder) / "generator.pt2", Path(folder) / "generator.pt"]
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_program(program, paths[0])
    write_beside(paths[1], lambda file: torch.save(G.state_dict(), file))
    return [str(path) for path in paths]


def save_program(program, path):
    """Write a torch.export program to a file that does not tell where on this machine its code and PyTorch lie."""
    _without_places(program)
    write_beside(path, lambda file: torch.export.save(program, file))


def _without_places(program):
    """Take out PyTorch's notes of which lines of which files, folders and all, each operation came from."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def export_onnx(path, folder):
    """Write a generator.pt2 as generator.onnx, opset 18, for runtimes without PyTorch; the number of z stays free.

    onnxruntime makes faces with it before it is kept, and they must be the original's.

    Args:
        path: of the generator.pt2; folder: where generator.onnx goes.
    Returns: str, its path, with "z" (N, z_size) float32 as its input and "faces" (N, 3, S, S) in [-1, 1] as its output.
    Raises: FaceError, with one line, if onnxscript or onnxruntime is missing, if a layer has no counterpart in ONNX, and
        if a pixel differs by more than ALLOWED; then no file is written.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - PyTorch's exporter needs it, and it brings onnx
    except ImportError as error:
        raise FaceError(f"generator.onnx needs {error.name}: pip install onnxscript onnxruntime") from None
    program = _without_places(torch.export.load(path))
    z = torch.randn(3, program.example_inputs[0][0].shape[1])  # 3: another number than the program was traced with
    with torch.no_grad():
        wanted = program.module()(z)
    try:
        made = torch.onnx.export(program, (z,), dynamo=True, opset_version=OPSET, input_names=["z"], output_names=["faces"],
                                 verbose=False)
    except torch.onnx.OnnxExporterError as error:
        raise FaceError(f"generator.onnx was not written: PyTorch's exporter cannot write {path} for opset {OPSET} "
                        f"({str(error.__cause__ or error).splitlines()[0]}). It may take another release of onnxscript: "
                        "PyTorch 2.6 takes one before 0.3.") from None
    content = made.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    error = abs(session.run(["faces"], {"z": z.numpy()})[0] - wanted.numpy()).max()
    if not error <= ALLOWED:
        raise FaceError(f"generator.onnx was not written: in onnxruntime a pixel differs by {error:.2g} from {path}'s, and "
                        f"{ALLOWED:g} is allowed. It may take another release of onnxscript or onnxruntime.")
    target = Path(folder) / "generator.onnx"
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_beside(target, lambda file: file.write(content))
    return str(target)
