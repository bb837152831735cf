"""PyTorch's side of the race: a process that stays alive, prepares a layer when it is told to, computes it, and times it.

Requests and replies are JSON objects, one a line, on standard input and output; the first reply, unasked, says which PyTorch
this is. Tensors travel in safetensors files, named `in.*`, `state.*`, `grad_out.output` on the way here, and `inference.*`,
`out.*`, `grad_in.*`, `grad_state.*` on the way back. A reply `{"error": …}` says why a request could not be carried out; the
process goes on. `benches/src/race/torch.rs` is the other side.

    {"do": "prepare", "file": …, "layer": …, "options": {…}, "mode": "train"|"eval", "target_gradient": bool, "reserve": bytes}
    {"do": "threads", "threads": 2}
    {"do": "compute", "file": …}                              every output and gradient, to be compared
    {"do": "time", "direction": …, "calls": n, "warm": bool}  {"seconds": …}
    {"do": "peak", "file": …, …, "direction": …, "threads": 2} {"mb": …}: what "prepare" has, for one call in a process of its own
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

# Whatever else prints, prints to standard error.
REPLIES = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

CONSTRUCTED_WITH_TENSORS = {"CrossEntropyLoss", "BCELoss", "BCEWithLogitsLoss"}
OUTPUTS = {"RNN": ("output", "h_n"), "GRU": ("output", "h_n"), "MaxPool2d": ("output", "indices")}
CALL_ORDER = ("input", "target", "hx")


def reply(**fields: Any) -> None:
    """Sends one line."""
    print(json.dumps(fields), file=REPLIES, flush=True)


try:
    import safetensors.torch
    import torch
except ImportError as missing:
    reply(error=f"{sys.executable} cannot import {missing.name}: {missing}")
    sys.exit(0)


class Layer:
    """A layer and its operands, as the last `prepare` had them."""

    def __init__(self, request: dict[str, Any]) -> None:
        # A file's tensors lie in mapped memory, aligned to nothing.
        tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load_file(request["file"]).items()}
        state = {name.removeprefix("state."): tensor for name, tensor in tensors.items() if name.startswith("state.")}
        self.name = request["layer"]
        in_constructor = state if self.name in CONSTRUCTED_WITH_TENSORS else {}
        self.module = getattr(torch.nn, self.name)(**request["options"], **in_constructor)
        if state and not in_constructor:
            self.module.load_state_dict(state, strict=True, assign=True)
        self.module.train(request["mode"] == "train")
        self.inputs = {name: tensors[f"in.{name}"] for name in CALL_ORDER if f"in.{name}" in tensors}
        for name, tensor in self.inputs.items():
            # A training step has no use for the gradient of a target.
            tensor.requires_grad_(tensor.is_floating_point() and (name != "target" or request["target_gradient"]))
        self.arguments = list(self.inputs.values())
        self.grad_output = tensors["grad_out.output"]
        leaves = {f"grad_in.{name}": tensor for name, tensor in self.inputs.items()}
        leaves |= {f"grad_state.{name}": parameter for name, parameter in self.module.named_parameters()}
        self.leaves = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
        self.graph: torch.Tensor | None = None

    def outputs(self, group: str) -> dict[str, torch.Tensor]:
        """One call's outputs by name."""
        outputs = self.module(*self.arguments)
        named = {"output": outputs} if isinstance(outputs, torch.Tensor) else dict(zip(OUTPUTS[self.name], outputs, strict=True))
        return {f"{group}.{name}": tensor for name, tensor in named.items()}

    def compute(self) -> dict[str, torch.Tensor]:
        """Outputs without and with a graph, and all gradients."""
        with torch.no_grad():
            computed = self.outputs("inference")
        computed |= self.outputs("out")
        gradients = torch.autograd.grad(computed["out.output"], list(self.leaves.values()), self.grad_output)
        computed |= dict(zip(self.leaves, gradients, strict=True))
        dense = {name: tensor.to_dense() if tensor.is_sparse else tensor for name, tensor in computed.items()}
        return {name: tensor.detach().contiguous().clone() for name, tensor in dense.items()}

    def call(self, direction: str) -> Callable[[], Any]:
        """What is timed. What it returns is dropped at once."""
        module, arguments = self.module, self.arguments
        if direction != "backward":
            self.graph = None
            return lambda: module(*arguments)
        if self.graph is None:
            self.graph = self.outputs("out")["out.output"]
        graph, leaves, grad_output = self.graph, list(self.leaves.values()), self.grad_output
        return lambda: torch.autograd.grad(graph, leaves, grad_output, retain_graph=True)

    def time(self, direction: str, calls: int, warm: bool) -> float:
        """The seconds that so many calls take; `warm`: after one that is not timed."""
        call = self.call(direction)
        with torch.set_grad_enabled(direction == "forward"):
            if warm:
                call()
            gc.collect(0)
            gc.disable()
            start = perf_counter()
            for _ in range(calls):
                call()
            seconds = perf_counter() - start
            gc.enable()
        return seconds


def sizes() -> tuple[int, int]:
    """The largest that this process has ever been in memory, and its pages of files there now, in KiB."""
    with open("/proc/self/status", encoding="utf-8") as status:
        told = {name: value.split() for name, _, value in (line.partition(":") for line in status)}
    files = [int(told[name][0]) for name in ("RssFile", "RssShmem") if name in told]
    return int(told["VmHWM"][0]), sum(files)


def peak(request: dict[str, Any]) -> float:
    """How far this process grows over a call, in MB, without pages of files: `benches/src/race/memory.rs` measures the same."""
    torch.set_num_threads(request["threads"])
    # What autograd sets up and imports when it is first given an output's gradient, some 35 MB, is no call's.
    one = torch.ones(1, requires_grad=True)
    torch.autograd.grad(one * one, one, torch.ones(1))
    layer = Layer(request)
    try:
        with open("/proc/self/clear_refs", "w", encoding="utf-8") as forget:
            forget.write("5")
    except OSError:
        pass  # What was larger before, remains.
    before, files = sizes()
    with torch.set_grad_enabled(request["direction"] != "inference"):
        results = layer.outputs("out")
        if request["direction"] == "backward":
            results = torch.autograd.grad(results["out.output"], list(layer.leaves.values()), layer.grad_output)
    after, files_after = sizes()
    del results
    return max(0, after - before - max(0, files_after - files)) * 1024 / 1e6


def peak_of_fork(request: dict[str, Any]) -> None:
    """Lets a process of its own, which has computed nothing before, reply with the peak of a call."""
    child = os.fork()
    if child == 0:
        try:
            reply(mb=peak(request))
        except Exception as error:  # As in `main`, which this process never comes back to.
            reply(error=f"{type(error).__name__}: {error}")
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        reply(error=f"the process that was to be measured ended with status {status}")


def reserve(size: int) -> None:
    """Makes the allocator hold so much memory that was written to before: where nothing is given back, it stays."""
    if size:
        torch.empty(size, dtype=torch.uint8).fill_(1)


def carry_out(request: dict[str, Any], layer: Layer | None) -> Layer | None:
    """Carries out a request and replies; the layer that is prepared from then on."""
    match request["do"]:
        case "prepare":
            del layer
            reserve(request["reserve"])
            layer = Layer(request)
            reply()
        case "threads":
            torch.set_num_threads(request["threads"])
            reply()
        case "compute":
            safetensors.torch.save_file(layer.compute(), request["file"])
            reply()
        case "time":
            reply(seconds=layer.time(request["direction"], request["calls"], request["warm"]))
        case "peak":
            peak_of_fork(request)
        case other:
            reply(error=f"there is no request {other!r}")
    return layer


def main() -> None:
    """Serves until standard input ends."""
    capability = torch.backends.cpu.get_cpu_capability()
    reply(torch=torch.__version__.split("+")[0], python=sys.version.split()[0], capability=capability)
    layer = None
    for line in sys.stdin:
        try:
            layer = carry_out(json.loads(line), layer)
        except Exception as error:  # Whatever PyTorch raises belongs to the request, not to the process.
            reply(error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
