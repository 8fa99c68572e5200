"""The recipe: one model, all that `fit` needs to make it but the data folders' places."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from edge.inference.manifest import InputSpec, ModelTask
from training.config.data import AugmentConfig, DataConfig
from training.config.losses import (
    BoundaryLossConfig,
    DepthLossConfig,
    HorizonDepthLossConfig,
    JointLossConfig,
    LightingLossConfig,
    LossConfig,
    ObjectsLossConfig,
    SelfDepthLossConfig,
)
from training.config.nets import (
    CompletionConfig,
    FastDepthConfig,
    FcrnConfig,
    HorizonNetConfig,
    JointConfig,
    Monodepth2Config,
    NetConfig,
    ObjectsConfig,
)
from training.config.optim import OptimConfig
from training.config.search import SearchChoices, SearchRange
from training.config.values import Section

LearningTask = ModelTask | Literal["self_depth"]
"""What is learnt: a noun, or depth from footage without labels."""
_TASK_NETS: dict[LearningTask, set[str]] = {
    "depth": {"fcrn", "fast_depth", "monodepth2"},
    "self_depth": {"fcrn", "monodepth2"},
    "layout": {"horizonnet"},
    "lighting": {"mobilenet_sh", "completion"},
    "joint": {"joint"},
    "objects": {"objects"},
}
_TASK_LOSS: dict[LearningTask, type[LossConfig]] = {
    "depth": DepthLossConfig,
    "self_depth": SelfDepthLossConfig,
    "layout": BoundaryLossConfig,
    "lighting": LightingLossConfig,
    "joint": JointLossConfig,
    "objects": ObjectsLossConfig,
}


def loss_section(task: LearningTask, head: str | None = None) -> type[LossConfig]:
    """What the `loss` section of this task's recipe is; `head`: the layout network's."""
    return HorizonDepthLossConfig if (task, head) == ("layout", "horizon_depth") else _TASK_LOSS[task]


class Recipe(Section):
    """One model: what it is, what it takes, what it learns from and how."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    version: str
    task: LearningTask
    licence: str = "Apache-2.0"
    source: str | None = Field(default=None, description="URL of published weights, in place of a recipe trained here")
    net: NetConfig
    input: InputSpec
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = Field(default={}, validate_default=True, description="the weights that this task reads")
    optim: OptimConfig
    tune: dict[str, SearchRange | SearchChoices] = Field(
        default={}, description="what `tune` varies: dotted key (optim.lr) -> low, high, log; or choices"
    )

    @field_validator("net")
    @classmethod
    def _network_of_the_task(cls, net: NetConfig, info: ValidationInfo) -> NetConfig:
        task = info.data.get("task")
        if task is not None and net.net not in _TASK_NETS[task]:
            raise ValueError(f"task {task} takes net: one of {sorted(_TASK_NETS[task])}, not {net.net}")
        return net

    @field_validator("loss", mode="before")
    @classmethod
    def _loss_of_the_task(cls, loss: Any, info: ValidationInfo) -> Any:
        if "task" not in info.data or "net" not in info.data:
            return DepthLossConfig()  # any will do: the recipe is refused already
        task, head = info.data["task"], getattr(info.data["net"], "head", None)
        section = loss_section(task, head)
        unread = [str(key) for key in loss if key not in section.model_fields] if isinstance(loss, dict) else []
        if unread:
            reader = f"task {task} with net.head {head}" if head else f"task {task}"
            facts = {"reader": reader, "unread": ", ".join(unread), "reads": ", ".join(section.model_fields)}
            raise PydanticCustomError("unread_weight", "{reader} does not read {unread}", facts)
        return section.model_validate(loss)

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if isinstance(self.net, CompletionConfig | JointConfig | ObjectsConfig) and not self.input.mask_channel:
            raise ValueError(f"the {self.net.net} network reads the mask: set input.mask_channel: true")
        if isinstance(self.net, JointConfig) and (
            any(self.input.mean) or min(self.input.std) != 1 or max(self.input.std) != 1
        ):
            raise ValueError("the joint network normalises its input itself: leave out input.mean and input.std")
        if self.task == "self_depth" and getattr(self.net, "activation", "log") != "log":
            raise ValueError("self_depth learns ln(metres): set net.activation: log")
        if self._halves_evenly and (self.input.width_px % 32 or self.input.height_px % 32):
            raise ValueError(
                f"the {self.net.net} network adds or joins maps of 1/2 to 1/32 of the picture: make input.width_px and "
                f"input.height_px multiples of 32, not {self.input.width_px}x{self.input.height_px}"
            )
        return self

    @property
    def noun(self) -> ModelTask:
        """What the network answers: depth is depth, however it was learnt."""
        return "depth" if self.task == "self_depth" else self.task

    @property
    def _halves_evenly(self) -> bool:
        """Whether the picture's sides must be multiples of 32 px."""
        with_skips = isinstance(self.net, FcrnConfig) and self.net.skips
        return with_skips or isinstance(self.net, FastDepthConfig | Monodepth2Config | HorizonNetConfig | JointConfig)
