"""What is known of a TensorRT plan: all that it depends on, and what became of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, ConfigDict

from edge.errors import PlanError
from edge.inference.manifest import Manifest, Precision
from edge.inference.options import BuildOptions
from edge.inference.trt.platform import Platform

State = Literal["built", "accepted", "rejected"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def canonical(self) -> bytes:
        """The same values give the same bytes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


class PlanKey(_Part):
    """All that a plan depends on."""

    onnx_sha256: str
    precision: Precision
    sdk: str
    sdk_version: str
    compute_capability: str
    device: str
    driver: str
    max_batch: int
    opt_batch: int
    level: int
    workspace_mib: int
    dla_core: int | None
    compatibility: str

    @classmethod
    def of(cls, manifest: Manifest, precision: Precision, platform: Platform, options: BuildOptions) -> PlanKey:
        """The key of the plan that these ask for."""
        built_with = asdict(options)
        del built_with["timeout_s"]
        return cls(
            onnx_sha256=manifest.file_of(precision).sha256,
            precision=precision,
            **_platform_fields(platform),
            **built_with,
        )

    @property
    def digest(self) -> str:
        """Hex sha256: the plan's file name."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @property
    def platform(self) -> Platform:
        """Where it runs."""
        return Platform(self.sdk, self.sdk_version, self.compute_capability, self.device, self.driver)

    def on(self, platform: Platform) -> PlanKey:
        """The key of the same plan for another machine."""
        return self.model_copy(update=_platform_fields(platform))


class PlanRecord(_Part):
    """What is known of a plan."""

    schema_: Literal["edge.plan/1"] = "edge.plan/1"
    model: str
    model_version: str
    interface: str
    """Digest of the manifest's input and output: two models with the same one can stand in for each other."""
    key: PlanKey
    plan_sha256: str
    plan_bytes: int
    seconds: float
    """How long it took to build."""
    built_at: str
    """RFC 3339, UTC."""
    state: State = "built"
    golden: dict[str, float] | None = None
    """By ONNX output, how far it was from the golden output when it was accepted."""
    why: str = ""
    """Why it was rejected."""


def interface_of(manifest: Manifest) -> str:
    """Digest of what a model takes and gives."""
    taken = {"input": manifest.input.model_dump(mode="json"), "output": manifest.output.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(taken, sort_keys=True).encode()).hexdigest()


def _platform_fields(platform: Platform) -> dict[str, str]:
    return {
        "sdk": platform.sdk,
        "sdk_version": platform.version,
        "compute_capability": platform.compute_capability,
        "device": platform.device,
        "driver": platform.driver,
    }


def mismatch(name: str, have: PlanKey, asked: PlanKey) -> PlanError:
    """A plan is there, of something else."""
    if have.onnx_sha256 != asked.onnx_sha256:
        reason, what = "changed-model", "it was built from another version of the model"
    elif (have.sdk, have.sdk_version) != (asked.sdk, asked.sdk_version):
        reason, what = "version", f"it is of {have.platform.title}, here is {asked.platform.title}"
    elif have.platform != asked.platform:
        reason, what = "device", f"it is of {have.platform}, here is {asked.platform}"
    else:
        differing = [f for f in PlanKey.model_fields if getattr(have, f) != getattr(asked, f)]
        reason, what = "options", f"it was built with another {', '.join(differing)}"
    return PlanError(reason, f"{name}: the plan that is there is not used: {what}; run `edge engines build {name}`")
