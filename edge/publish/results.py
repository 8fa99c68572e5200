"""A result as the messages that say it. A new noun is a row here and one in `edge.perception.readers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from edge.derive.heat_loss.estimate import implausible, why_not
from edge.derive.heat_loss.settings import Settings
from edge.mqtt.topics import Kind, Topics
from edge.publish import compose, heat_loss, pictures, rooms
from edge.publish.compose import Source
from edge.publish.outbox import Maker
from edge.publish.rooms import SceneOptions
from edge.scene import DepthMap, FoundObject, Frame, Lighting, RoomLayout, Task

Messages = list[tuple[Kind, Maker]]
"""What goes on which topic; made, and encoded, on the publishing thread."""

KINDS: dict[Task, tuple[Kind, ...]] = {
    "depth": ("depth", "depth_image", "depth_view"),
    "layout": ("layout", "room"),
    "lighting": ("lighting",),
}
"""The topics that a task's results may go on."""


class ResultMessages:
    """Turns values into messages; remembers what was sent of each camera's room, so that it is sent when it changed."""

    def __init__(
        self,
        topics: Topics,
        *,
        depth_image: bool = True,
        depth_view_every_s: float | None = None,
        heat_losses: Mapping[str, Settings] | None = None,
        scene: SceneOptions | None = None,
        objects: Callable[[str], Sequence[FoundObject]] = lambda camera: (),
    ) -> None:
        """What is published beside what always is.

        Args:
            topics: the device's.
            depth_image: whether the depth picture is, not only its statistics.
            depth_view_every_s: shortest time between two depth maps in colours, of each camera; None: none.
            heat_losses: by camera, what its room borders on, where that is known.
            scene: what the room's model has; None: as by default.
            objects: what was reconstructed of a camera, to stand in its room's model.
        """
        self._topics, self._depth_image, self._scene, self._objects = topics, depth_image, scene, objects
        self._view_every_s = depth_view_every_s
        self._viewed_s: dict[str, float] = {}
        self._rooms: dict[str, RoomLayout] = {}
        self._heat_losses = dict(heat_losses or {})
        self._told: dict[tuple[str, heat_loss.Trouble], str | None] = {}
        """By camera and what is wrong with its heat loss now: why there is none."""
        self._lights: dict[str, Lighting] = {}
        self._rows: dict[type, Callable[..., Messages]] = {
            DepthMap: self._depth,
            RoomLayout: self._layout,
            Lighting: self._lighting,
        }

    def of(self, value: DepthMap | RoomLayout | Lighting, frame: Frame, source: Source, latency_s: float) -> Messages:
        """The messages of one value, inferred from `frame` by `source`, so long after its capture."""
        return self._rows[type(value)](value, frame, source, latency_s)

    def ask_for_view(self, camera: str) -> None:
        """Send the camera's next depth map in colours too, if any are; callable from any thread."""
        self._viewed_s.pop(camera, None)

    def send_rooms_again(self) -> None:
        """Send every room with the next layout, whether it changed or not."""
        self._rooms.clear()

    def send_room_again(self, camera: str) -> None:
        """Send that of one camera with its next layout; callable from any thread."""
        self._rooms.pop(camera, None)

    def _depth(self, depth: DepthMap, frame: Frame, source: Source, latency_s: float) -> Messages:
        topic = self._topics.of("depth_image", camera=frame.camera) if self._depth_image else None
        messages: Messages = [("depth", partial(compose.depth_message, frame, depth, source, latency_s, topic))]
        if topic:
            messages.append(("depth_image", partial(compose.depth_picture, frame, depth, source)))
        if self._is_view_due(frame):
            messages.append(("depth_view", partial(pictures.depth_view, frame, depth, source)))
        return messages

    def _is_view_due(self, frame: Frame) -> bool:
        at_s, last_s = frame.captured_monotonic_s, self._viewed_s.get(frame.camera)
        if self._view_every_s is None or (last_s is not None and at_s - last_s < self._view_every_s):
            return False
        self._viewed_s[frame.camera] = at_s
        return True

    def _layout(self, layout: RoomLayout, frame: Frame, source: Source, latency_s: float) -> Messages:
        messages: Messages = [("layout", partial(compose.layout_message, frame, layout, source, latency_s))]
        if not rooms.same_room(self._rooms.get(frame.camera), layout):
            self._rooms[frame.camera] = layout
            light = self._lights.get(frame.camera)
            objects = tuple(self._objects(frame.camera))
            messages.append(("room", partial(rooms.room_model, frame, layout, source, light, self._scene, objects)))
            messages += self._heat_loss(layout, frame, source)
        return messages

    def _heat_loss(self, layout: RoomLayout, frame: Frame, source: Source) -> Messages:
        """The room's heat loss, or why there is none; what is wrong is told when it begins, or becomes another."""
        settings = self._heat_losses.get(frame.camera)
        if settings is None:
            return []
        messages: Messages = []
        reason, strange = why_not(layout), None
        if reason is None:
            messages.append(("heat_loss", partial(heat_loss.of_layout, frame, layout, source, settings)))
            strange = implausible(layout, settings)
        troubles: dict[heat_loss.Trouble, str | None] = {
            "heat_loss_unavailable": reason,
            "heat_loss_implausible": strange,
        }
        for kind, said in troubles.items():
            key = frame.camera, kind
            if said is None:
                self._told.pop(key, None)
            elif key not in self._told or self._told[key] != reason:
                self._told[key] = reason  # and not `said`: the numbers in it vary with every room
                messages.append(("bridge_event", partial(heat_loss.event, kind, frame, source, said)))
        return messages

    def _lighting(self, lighting: Lighting, frame: Frame, source: Source, latency_s: float) -> Messages:
        if self._lights.setdefault(frame.camera, lighting) is lighting:
            self._rooms.pop(frame.camera, None)  # its model was sent without light
        self._lights[frame.camera] = lighting
        return [("lighting", partial(compose.lighting_message, frame, lighting, source, latency_s))]
