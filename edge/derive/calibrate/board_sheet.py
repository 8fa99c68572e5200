"""The board as a page to print: SVG or PDF, to scale, with a ruler that shows whether the printer kept it."""

from __future__ import annotations

from edge.derive.calibrate.boards import Board, Markers, Paper

Rectangle = tuple[float, float, float, float]
"""x, y, width, height in mm from the sheet's top left."""

_MM = 1000.0
_POINTS_A_MM = 72 / 25.4
_RULER_MM = 100.0
_TEXT_MM = 3.0


def black_rectangles(paper: Paper, board: Board) -> list[Rectangle]:
    """What is printed black of a board in the middle of a sheet: its squares, and the bits of its markers."""
    square, (left, top) = board.square_m * _MM, _corner(paper, board)
    black = [
        (left + column * square, top + row * square, square, square)
        for row in range(board.rows + 1) for column in range(board.columns + 1) if (row + column) % 2 == 0
    ]  # fmt: skip
    if board.markers is not None:
        for i, (column, row) in enumerate(board.white_squares):
            edge = (square - board.markers.side_m * _MM) / 2
            at = (left + column * square + edge, top + row * square + edge)
            black += _marker(board.markers, board.markers.first + i, at)
    return black


def _corner(paper: Paper, board: Board) -> tuple[float, float]:
    """Where the first square begins, mm."""
    square = board.square_m * _MM
    return (paper.width_m * _MM - (board.columns + 1) * square) / 2, (
        paper.height_m * _MM - (board.rows + 1) * square
    ) / 2


def _marker(markers: Markers, number: int, at: tuple[float, float]) -> list[Rectangle]:
    """A marker's black bits and its border, row by row, those side by side as one."""
    bits = int(markers.dictionary[0]) + 2
    bit = markers.side_m * _MM / bits
    out = []
    for row, cells in enumerate(markers.vendor.generateImageMarker(number, bits)):
        first = 0
        for column in range(bits + 1):
            if column == bits or cells[column]:
                if column > first:
                    out.append((at[0] + first * bit, at[1] + row * bit, (column - first) * bit, bit))
                first = column + 1
    return out


def _shapes(paper: Paper, board: Board) -> tuple[list[Rectangle], str, tuple[float, float]]:
    """All that is black, the text, and where it begins."""
    square, (left, top) = board.square_m * _MM, _corner(paper, board)
    line = top + (board.rows + 1) * square + 3.5
    black = [*black_rectangles(paper, board), (left, line, _RULER_MM, 0.4)]
    text = f"this line: {_RULER_MM:.0f} mm, a square: {square:.0f} mm. Print at 100 %"
    return black, text, (left + _RULER_MM + 2, line + 1)


def board_svg(paper: Paper, board: Board) -> bytes:
    """The sheet as SVG, one unit a millimetre; all black is one path, so that no seam shows in it."""
    black, text, (x, y) = _shapes(paper, board)
    w, h = paper.width_m * _MM, paper.height_m * _MM
    path = "".join(f"M{a:.3f} {b:.3f}h{c:.3f}v{d:.3f}h-{c:.3f}z" for a, b, c, d in black)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w:g}mm" height="{h:g}mm" viewBox="0 0 {w:g} {h:g}">'
        f'<rect width="{w:g}" height="{h:g}" fill="#fff"/><path d="{path}"/>'
        f'<text x="{x:.2f}" y="{y:.2f}" font-family="sans-serif" font-size="{_TEXT_MM}">{text}</text></svg>\n'
    ).encode()


def board_pdf(paper: Paper, board: Board) -> bytes:
    """The sheet as PDF 1.4."""
    black, text, (x, y) = _shapes(paper, board)
    s, high = _POINTS_A_MM, paper.height_m * _MM
    draw = [f"{a * s:.3f} {(high - b - d) * s:.3f} {c * s:.3f} {d * s:.3f} re" for a, b, c, d in black]
    written = f"BT /F1 {_TEXT_MM * s:.2f} Tf {x * s:.3f} {(high - y) * s:.3f} Td ({text}) Tj ET"
    content = "\n".join(["0 g", *draw, "f", written]).encode("ascii")
    box = f"{paper.width_m * _MM * s:.3f} {high * s:.3f}"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {box}] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)
