"""USDZ, which iPhones and Macs show: a USD layer as text, and the picture, in a ZIP without compression."""

from __future__ import annotations

import io
import re
import zipfile

import numpy as np
import numpy.typing as npt

from edge.derive.formats.tessellated import PLAIN
from edge.derive.gltf import y_up
from edge.derive.mesh import Surface
from edge.derive.model import RoomModel
from edge.derive.objects import in_room, mean_colour, standing
from edge.errors import GeometryError
from edge.geometry.colour import linear
from edge.scene import FoundObject

_ALIGNED_BYTES = 64
_LOCAL_HEADER_BYTES = 30
_EPOCH = (1980, 1, 1, 0, 0, 0)


def _tuples(values: npt.ArrayLike) -> str:
    return ", ".join("(" + ", ".join(f"{v:.6g}" for v in row) + ")" for row in np.asarray(values, dtype=np.float64))


def _name(name: str) -> str:
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return plain if plain[:1].isalpha() else f"_{plain}"


def _mesh(surface: Surface, uv: npt.NDArray[np.float64] | None) -> str:
    material = surface.kind if uv is None else "picture"
    st = ""
    if uv is not None:
        flipped = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)
        st = f'        texCoord2f[] primvars:st = [{_tuples(flipped)}] (interpolation = "vertex")\n'
    points = y_up(surface.vertices)
    normals = np.repeat(y_up(surface.normal)[None], len(points), axis=0)
    return f"""    def Mesh "{_name(surface.name)}" (prepend apiSchemas = ["MaterialBindingAPI"])
    {{
        uniform token subdivisionScheme = "none"
        uniform bool doubleSided = {str(surface.kind == "cut").lower()}
        float3[] extent = [{_tuples([points.min(axis=0), points.max(axis=0)])}]
        int[] faceVertexCounts = [{", ".join("3" for _ in surface.faces)}]
        int[] faceVertexIndices = [{", ".join(str(i) for i in surface.faces.ravel())}]
        point3f[] points = [{_tuples(points)}]
        normal3f[] normals = [{_tuples(normals)}] (interpolation = "vertex")
{st}        rel material:binding = </room/materials/{material}>
    }}
"""


_PICTURE = """        def Material "picture"
        {
            token outputs:surface.connect = </room/materials/picture/surface.outputs:surface>
            def Shader "surface"
            {
                uniform token info:id = "UsdPreviewSurface"
                color3f inputs:diffuseColor = (0, 0, 0)
                color3f inputs:emissiveColor.connect = </room/materials/picture/texture.outputs:rgb>
                float inputs:roughness = 1
                token outputs:surface
            }
            def Shader "st"
            {
                uniform token info:id = "UsdPrimvarReader_float2"
                string inputs:varname = "st"
                float2 outputs:result
            }
            def Shader "texture"
            {
                uniform token info:id = "UsdUVTexture"
                asset inputs:file = @picture.jpg@
                token inputs:sourceColorSpace = "sRGB"
                token inputs:wrapS = "clamp"
                token inputs:wrapT = "clamp"
                float2 inputs:st.connect = </room/materials/picture/st.outputs:result>
                float3 outputs:rgb
            }
        }
"""


def _object(found: FoundObject) -> str:
    points, normals, faces, colours = in_room(found)
    name, points, normals = _name(found.name), y_up(points), y_up(normals)
    return f"""    def Mesh "{name}" (prepend apiSchemas = ["MaterialBindingAPI"])
    {{
        uniform token subdivisionScheme = "none"
        float3[] extent = [{_tuples([points.min(axis=0), points.max(axis=0)])}]
        int[] faceVertexCounts = [{", ".join("3" for _ in faces)}]
        int[] faceVertexIndices = [{", ".join(str(i) for i in faces.ravel())}]
        point3f[] points = [{_tuples(points)}]
        normal3f[] normals = [{_tuples(normals)}] (interpolation = "vertex")
        color3f[] primvars:displayColor = [{_tuples(linear(colours))}] (interpolation = "vertex")
        rel material:binding = </room/materials/{name}>
    }}
"""


def _plain(kind: str) -> str:
    colour = ", ".join(f"{(c / 255) ** 2.2:.4f}" for c in PLAIN[kind])
    return _material(kind, colour, "\n                float inputs:opacity = 0.15" if kind == "cut" else "")


def _material(kind: str, colour: str, opacity: str = "") -> str:
    return f"""        def Material "{kind}"
        {{
            token outputs:surface.connect = </room/materials/{kind}/surface.outputs:surface>
            def Shader "surface"
            {{
                uniform token info:id = "UsdPreviewSurface"
                color3f inputs:diffuseColor = ({colour})
                float inputs:roughness = 0.9{opacity}
                token outputs:surface
            }}
        }}
"""


def _layer(model: RoomModel) -> str:
    texture = model.texture
    uvs = {s.name: None if texture is None else texture.uv.get(s.name) for s in model.surfaces}
    kinds = sorted({s.kind for s in model.surfaces if uvs[s.name] is None})
    materials = (_PICTURE if texture is not None else "") + "".join(_plain(kind) for kind in kinds)
    meshes = "".join(_mesh(s, uvs[s.name]) for s in model.surfaces)
    for found in standing(model.objects):  # displayColor is for programs that show corners' colours, the material else
        meshes += _object(found)
        materials += _material(_name(found.name), ", ".join(f"{c:.4f}" for c in mean_colour(found)))
    return f"""#usda 1.0
(
    defaultPrim = "room"
    metersPerUnit = 1
    upAxis = "Y"
)

def Xform "room" (kind = "component")
{{
{meshes}    def Scope "materials"
    {{
{materials}    }}
}}
"""


def usdz(model: RoomModel) -> bytes:
    """The file: nothing compressed, the layer first, the data of each file at a multiple of 64 bytes.

    Raises:
        GeometryError: the model's outline is none of a room, or its size is not known in metres.
    """
    if model.scale != "metric":
        raise GeometryError("USDZ shows a room at its true size, which is not known; set camera_height_m first")
    files = {"room.usda": _layer(model).encode("ascii")}
    if model.texture is not None:
        files["picture.jpg"] = model.texture.jpeg
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            at = packed.tell() + _LOCAL_HEADER_BYTES + len(name) + 4  # and the extra field's own header
            padding = -at % _ALIGNED_BYTES
            entry.extra = b"\x86\x19" + padding.to_bytes(2, "little") + b"\0" * padding
            archive.writestr(entry, data)
    return packed.getvalue()
