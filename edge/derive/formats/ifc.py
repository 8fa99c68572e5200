"""IFC4, for building information models: the room as a space, its walls, doors and windows. Needs the extra `ifc`.

A camera sees walls from inside alone: their thickness is assumed, and says so in the property set `Edge_Assumed`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.derive.mesh import Array, Edge
from edge.derive.model import RoomModel
from edge.derive.openings import Opening
from edge.errors import GeometryError

WALL_THICKNESS_M = 0.1
_CLASSES = {"door": "IfcDoor", "window": "IfcWindow"}


class _Builder:
    """Entities of one file."""

    def __init__(self) -> None:
        try:
            import ifcopenshell
            import ifcopenshell.guid
        except ImportError as error:
            raise GeometryError("IFC needs ifcopenshell: pip install 'edge-reconstruction[ifc]'") from error
        self.file: Any = ifcopenshell.file(schema="IFC4")
        self._new_id = ifcopenshell.guid.new

    def add(self, kind: str, **values: Any) -> Any:
        return self.file.create_entity(kind, **values)

    def rooted(self, kind: str, **values: Any) -> Any:
        return self.add(kind, GlobalId=self._new_id(), **values)

    def point(self, *at: float) -> Any:
        return self.add("IfcCartesianPoint", Coordinates=tuple(float(v) for v in at))

    def direction(self, *to: float) -> Any:
        return self.add("IfcDirection", DirectionRatios=tuple(float(v) for v in to))

    def placed(self, at: npt.ArrayLike, along: npt.ArrayLike = (1.0, 0.0)) -> Any:
        x = self.direction(*np.append(along, 0.0))
        axes = self.add(
            "IfcAxis2Placement3D", Location=self.point(*np.asarray(at)), Axis=self.direction(0, 0, 1), RefDirection=x
        )
        return self.add("IfcLocalPlacement", RelativePlacement=axes)

    def body(self, context: Any, corners: Array, height: float) -> Any:
        """A shape: an outline of the plan, pulled up."""
        points = [self.point(*p) for p in corners]
        outline = self.add("IfcPolyline", Points=(*points, points[0]))
        profile = self.add("IfcArbitraryClosedProfileDef", ProfileType="AREA", OuterCurve=outline)
        axes = self.add("IfcAxis2Placement3D", Location=self.point(0, 0, 0))
        solid = self.add(
            "IfcExtrudedAreaSolid",
            SweptArea=profile,
            Position=axes,
            ExtrudedDirection=self.direction(0, 0, 1),
            Depth=height,
        )
        shape = self.add(
            "IfcShapeRepresentation",
            ContextOfItems=context,
            RepresentationIdentifier="Body",
            RepresentationType="SweptSolid",
            Items=(solid,),
        )
        return self.add("IfcProductDefinitionShape", Representations=(shape,))

    def say(self, product: Any, name: str, values: dict[str, Any]) -> None:
        """A property set of one product."""
        kinds = {float: "IfcReal", str: "IfcLabel", bool: "IfcBoolean"}
        properties = [
            self.add("IfcPropertySingleValue", Name=key, NominalValue=self.file.create_entity(kinds[type(v)], v))
            for key, v in values.items()
        ]
        found = self.rooted("IfcPropertySet", Name=name, HasProperties=tuple(properties))
        self.rooted("IfcRelDefinesByProperties", RelatedObjects=(product,), RelatingPropertyDefinition=found)


def ifc(model: RoomModel) -> bytes:
    """The file, as STEP text.

    Raises:
        GeometryError: ifcopenshell is not there, or the room's size is not known in metres.
    """
    if model.scale != "metric":
        raise GeometryError("IFC is in metres, which this room is not; set camera_height_m first")
    b = _Builder()
    axes = b.add("IfcAxis2Placement3D", Location=b.point(0, 0, 0))
    context = b.add(
        "IfcGeometricRepresentationContext",
        ContextType="Model",
        CoordinateSpaceDimension=3,
        Precision=1e-5,
        WorldCoordinateSystem=axes,
    )
    units = [b.add("IfcSIUnit", UnitType=t, Name=n) for t, n in _UNITS]
    project = b.rooted(
        "IfcProject",
        Name=model.camera,
        RepresentationContexts=(context,),
        UnitsInContext=b.add("IfcUnitAssignment", Units=tuple(units)),
    )
    site = b.rooted("IfcSite", Name="Site", ObjectPlacement=b.placed((0, 0, 0)))
    building = b.rooted("IfcBuilding", Name="Building", ObjectPlacement=b.placed((0, 0, 0)))
    storey = b.rooted("IfcBuildingStorey", Name="Storey", ObjectPlacement=b.placed((0, 0, 0)))
    space = b.rooted(
        "IfcSpace",
        Name=model.camera,
        ObjectPlacement=b.placed((0, 0, 0)),
        Representation=b.body(context, model.polygon, model.ceiling_height),
    )
    for whole, part in ((project, site), (site, building), (building, storey), (storey, space)):
        b.rooted("IfcRelAggregates", RelatingObject=whole, RelatedObjects=(part,))
    walls = {edge.side: _wall(b, context, edge, model) for edge in model.walls}
    filled = [_opening(b, context, o, walls[o.wall]) for o in model.openings if o.wall in walls]
    products = (*walls.values(), *(f for f in filled if f is not None))
    b.rooted("IfcRelContainedInSpatialStructure", RelatedElements=products, RelatingStructure=storey)
    return str(b.file.to_string()).encode()


_UNITS = (
    ("LENGTHUNIT", "METRE"),
    ("AREAUNIT", "SQUARE_METRE"),
    ("VOLUMEUNIT", "CUBIC_METRE"),
    ("PLANEANGLEUNIT", "RADIAN"),
)


def _wall(b: _Builder, context: Any, edge: Edge, model: RoomModel) -> Any:
    """From its inner face outwards; x along it."""
    t = WALL_THICKNESS_M
    corners = np.array([[0, 0], [edge.length, 0], [edge.length, -t], [0, -t]])  # the room is on the left
    wall = b.rooted(
        "IfcWall",
        Name=edge.name,
        ObjectPlacement=b.placed(np.append(edge.start, 0.0), (edge.end - edge.start) / edge.length),
        Representation=b.body(context, corners, model.ceiling_height),
    )
    said: dict[str, Any] = {"WallThicknessAssumed": True, "WallThicknessMetres": t}
    sure = model.confidence_of(edge)
    b.say(wall, "Edge_Assumed", said if sure is None else said | {"LayoutConfidence": float(sure)})
    return wall


def _opening(b: _Builder, context: Any, opening: Opening, wall: Any) -> Any | None:
    """The hole in the wall, and the door or window in it; of a passage the hole alone; of unknown height nothing."""
    if opening.sill is None or opening.height is None:
        return None
    t, width = WALL_THICKNESS_M, opening.width
    corners = np.array([[0, 0], [width, 0], [width, -t], [0, -t]])
    along = np.subtract(opening.end, opening.start) / width
    at = np.append(opening.start, opening.sill)
    hole = b.rooted(
        "IfcOpeningElement",
        Name=opening.kind,
        ObjectPlacement=b.placed(at, along),
        Representation=b.body(context, corners, opening.height),
    )
    b.rooted("IfcRelVoidsElement", RelatingBuildingElement=wall, RelatedOpeningElement=hole)
    if opening.kind not in _CLASSES:
        return None
    filling = b.rooted(
        _CLASSES[opening.kind],
        Name=opening.kind,
        ObjectPlacement=b.placed(at, along),
        Representation=b.body(context, corners * (1, 0.5), opening.height),
        OverallHeight=float(opening.height),
        OverallWidth=float(width),
    )
    b.rooted("IfcRelFillsElement", RelatingOpeningElement=hole, RelatedBuildingElement=filling)
    return filling
