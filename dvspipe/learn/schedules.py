"""Learning-rate schedules by name. Two rhythms: after every step, or after every epoch with the training loss."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim import lr_scheduler as torch_schedules


class Schedule:
    """A named schedule. `step()` after every optimiser step, `epoch(loss)` after every epoch.

    one-cycle: warm-up over 30 % of all steps to `lr`, then cosine to almost 0 (Smith 2018).
    cosine: cosine to 0 over all steps. plateau: x 0.1 after 5 epochs without a lower *training* loss (MA-SNN code).
    """

    def __init__(self, name: str, optimiser: Optimizer, lr: float, steps: int) -> None:
        self.per_step: Any = None
        self.per_epoch: Any = None
        if name == "one-cycle":
            self.per_step = torch_schedules.OneCycleLR(optimiser, max_lr=lr, total_steps=steps)
        elif name == "cosine":
            self.per_step = torch_schedules.CosineAnnealingLR(optimiser, T_max=steps)
        elif name == "plateau":
            self.per_epoch = torch_schedules.ReduceLROnPlateau(optimiser, factor=0.1, patience=5)

    def step(self) -> None:
        """Call after every optimiser step."""
        if self.per_step is not None:
            self.per_step.step()

    def epoch(self, train_loss: float) -> None:
        """Call after every epoch."""
        if self.per_epoch is not None:
            self.per_epoch.step(train_loss)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        held = self.per_step or self.per_epoch
        return dict(held.state_dict()) if held is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        held = self.per_step or self.per_epoch
        if held is not None:
            held.load_state_dict(state)
