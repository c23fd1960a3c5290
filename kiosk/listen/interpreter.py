"""Builds TFLite interpreters: tflite-runtime on Python 3.11, ai-edge-litert on 3.12 and later."""

import sys
from pathlib import Path
from typing import Protocol, TypedDict

import numpy as np
import numpy.typing as npt

if sys.version_info < (3, 12):
    from tflite_runtime.interpreter import Interpreter
else:
    from ai_edge_litert.interpreter import Interpreter

Floats = npt.NDArray[np.float32]


class TensorDetails(TypedDict):
    """What an interpreter says of one tensor."""

    index: int
    shape: npt.NDArray[np.int32]
    dtype: type


class Network(Protocol):
    """The part of an interpreter that we use."""

    def get_input_details(self) -> list[TensorDetails]: ...  # noqa: D102 - TFLite's own names
    def get_output_details(self) -> list[TensorDetails]: ...  # noqa: D102
    def resize_tensor_input(self, index: int, shape: list[int]) -> None: ...  # noqa: D102
    def allocate_tensors(self) -> None: ...  # noqa: D102
    def set_tensor(self, index: int, value: Floats) -> None: ...  # noqa: D102
    def get_tensor(self, index: int) -> Floats: ...  # noqa: D102
    def invoke(self) -> None: ...  # noqa: D102


def interpreter(content: bytes | Path) -> Network:
    """Return an interpreter on one thread for a model's bytes or file; ValueError or RuntimeError when it is not one."""
    network: Network = (
        Interpreter(model_path=str(content), num_threads=1)
        if isinstance(content, Path)
        else Interpreter(model_content=content, num_threads=1)
    )
    return network


class Fixed:
    """A network with one input and one output, whose input shape is set once."""

    def __init__(self, network: Network, shape: tuple[int, ...]) -> None:
        self._network = network
        self._input = network.get_input_details()[0]["index"]
        network.resize_tensor_input(self._input, list(shape))
        network.allocate_tensors()
        self._output = network.get_output_details()[0]["index"]

    def __call__(self, value: Floats) -> Floats:
        """Run once; the result is a copy."""
        self._network.set_tensor(self._input, value)
        self._network.invoke()
        return self._network.get_tensor(self._output)
