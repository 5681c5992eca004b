"""The forward pass of a run: the model's own, or a compiled one where that was asked for and works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.errors import reason
from anchorlab.models.call import called, logits, logits_of
from anchorlab.models.device import device_of
from anchorlab.notices import notice

#: Fewest steps for which a run on CUDA compiles unasked. Compiling takes the better part of a minute and saves a few
#: milliseconds a step; at 5 ms, 10,000 steps win nearly that minute back. Not measured on a card by us.
PAYS_FROM = 10_000


def compiles(asked: bool | None, device: torch.device, steps: int, *, deterministic: bool, processes: int = 1) -> bool:
    """Whether a run compiles its model.

    Args:
        asked: what the settings say; None to compile on CUDA where that pays.
        device: of the run.
        steps: the run's length.
        deterministic: whether the same bits are wanted each time: the compiler may choose other kernels the next time.
        processes: that share the run; several compile nothing, because each would wait for the slowest.
    """
    if asked is not None:
        if asked and processes > 1:
            notice("compile is left out, because several processes share the run: they compute uncompiled")
        return asked and processes == 1
    return device.type == "cuda" and steps >= PAYS_FROM and not deterministic and processes == 1


class Forward:
    """Calls a model, and nothing else: the model itself stays as it is, with its names, hooks and copies.

    Attributes:
        net: the model, as the accelerator prepared it.
        compiled: whether the forward pass is compiled; False from the moment on that this fails.
    """

    def __init__(
        self, net: nn.Module, *, compiled: bool = False, fixed_size: bool = True, deterministic: bool = False
    ) -> None:
        """A forward pass; nothing is compiled before the first call.

        Args:
            net: the model.
            compiled: whether to compile it.
            fixed_size: whether all batches have the same shapes. On CUDA the whole pass is then captured as one graph,
                which is launched at once; texts have another width in each batch, and kernels for all widths.
            deterministic: on CUDA, whether kernels are chosen by rule, and not by measuring, which may end otherwise.
        """
        self.net = net
        self.compiled = compiled
        self._asked = compiled
        self._tried = not compiled
        self._call: Callable[..., Any] = net
        on_cuda = device_of(net).type == "cuda"
        self._captured = compiled and fixed_size and on_cuda
        if compiled:
            options: dict[str, Any] | None = None
            if on_cuda:
                options = {"triton.cudagraphs": self._captured, "deterministic": deterministic}
            self._call = torch.compile(net, dynamic=not fixed_size, options=options)

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The logits, float32 ``[B, C]``, as ``models.call.logits`` gives them."""
        if not self.compiled:
            return logits(self.net, inputs)
        if self._captured:
            # What the last step left in the graph's memory may be overwritten.
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        # A copy, because the next step writes its logits where these lie.
        return logits_of(called(self._call, inputs, self.net)).to(torch.float32, copy=True)

    def try_out(self, loss: Callable[[], Tensor]) -> None:
        """Before the first step: compiles, and goes on uncompiled where that fails, with a line that says so.

        Both passes are run once, because the backward pass is compiled too. No gradient is kept, and buffers (BatchNorm
        statistics) are as before.

        Args:
            loss: a step's loss by this forward pass, which leaves the random generators as they are.
        """
        if self._tried:
            return
        self._tried = True
        parameters = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        with _kept(self.net):
            try:
                torch.autograd.grad(loss(), parameters, allow_unused=True)
            except Exception as error:  # whatever a compiler raises; a fault of the step itself comes again without it
                self.compiled = self._captured = False
                self._call = self.net
                notice(f"the model cannot be compiled here ({reason(error)}): the run goes on without")

    def close(self) -> None:
        """After the run: gives back the memory of what was compiled and captured.

        Torch keeps eight versions of a forward pass, over all models of a class, and computes any further one
        uncompiled without an error. So the next run of this process begins with none.
        """
        if self._asked:
            torch.compiler.reset()


@contextmanager
def _kept(net: nn.Module) -> Iterator[None]:
    """Inside, buffers may change; they are put back in place."""
    before = [buffer.detach().clone() for buffer in net.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(net.buffers(), before, strict=True):
                buffer.copy_(value)
