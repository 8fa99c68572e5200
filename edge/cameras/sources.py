"""From a description to the source it describes."""

from __future__ import annotations

from edge.cameras.base import CsiSpec, HttpSpec, ReplaySpec, RtspSpec, Source, SourceSpec
from edge.cameras.csi import CsiSource
from edge.cameras.mjpeg import MjpegSource
from edge.cameras.replay import ReplaySource
from edge.cameras.rtsp import RtspSource
from edge.cameras.still import StillSource
from edge.cameras.v4l2 import V4l2Source


def source_from_spec(spec: SourceSpec) -> Source:
    """The source, not yet open."""
    if isinstance(spec, ReplaySpec):
        return ReplaySource(spec)
    if isinstance(spec, RtspSpec):
        return MjpegSource(spec) if spec.url[:4].lower() == "http" else RtspSource(spec)
    if isinstance(spec, HttpSpec):
        return StillSource(spec)
    if isinstance(spec, CsiSpec):
        return CsiSource(spec)
    return V4l2Source(spec)


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
