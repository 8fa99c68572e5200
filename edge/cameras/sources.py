"""From a description to the source it describes."""

from __future__ import annotations

from edge.cameras.base import ComposedSpec, CsiSpec, HttpSpec, ReplaySpec, RtspSpec, Source, SourceSpec
from edge.cameras.csi import CsiSource
from edge.cameras.decoder import decoder_is_there, why_unusable
from edge.cameras.hardware import HardwareSource
from edge.cameras.replay import ReplaySource
from edge.cameras.rtsp import RtspSource
from edge.cameras.v4l2 import V4l2Source


def source_from_spec(spec: SourceSpec) -> Source:
    """The source, not yet open. What not every camera needs is imported by those that do: it takes memory in each."""
    if isinstance(spec, ComposedSpec):
        from edge.cameras.composed import ComposedSource

        return ComposedSource(spec, source_from_spec)
    if isinstance(spec, ReplaySpec):
        return ReplaySource(spec)
    if isinstance(spec, RtspSpec) and spec.url[:4].lower() == "http":
        from edge.cameras.mjpeg import MjpegSource

        return MjpegSource(spec)
    if isinstance(spec, RtspSpec):
        return _stream(spec)
    if isinstance(spec, HttpSpec):
        from edge.cameras.still import StillSource

        return StillSource(spec)
    if isinstance(spec, CsiSpec):
        return CsiSource(spec)
    return V4l2Source(spec)


def _stream(spec: RtspSpec) -> Source:
    """Decoded by what this machine has for it, else by the CPU, which then says why."""
    if spec.decoder == "cpu" or (spec.decoder == "auto" and not decoder_is_there()):
        return RtspSource(spec)
    why = why_unusable()
    if why is None:
        return HardwareSource(spec)
    source = RtspSource(spec)
    source.degraded = (f"the CPU decodes: {why}",)
    return source


def open_source(spec: SourceSpec) -> Source:
    """The source, open; the caller closes it.

    Raises:
        CameraError: it cannot be opened.
    """
    source = source_from_spec(spec)
    try:
        source.open()
    except BaseException:
        source.close()
        raise
    return source
