"""From an icon's SVG body to 64×64 pixels."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

SIZE = 64  # pixels a side, of every drawing
RENDER_SIZE = 192
CONTENT = 58  # of SIZE pixels: every vendor's own margin is cut and this one put in its place


def rasterise(body: str, width: int, height: int) -> np.ndarray:
    """Draw an icon, cut its margins, centre it, and return [SIZE, SIZE, 4] uint8 (RGBA)."""
    import resvg_py  # here, so that nothing else of the recipe needs it

    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{body}</svg>'
    )
    side = RENDER_SIZE
    png = bytes(
        resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True)
    )
    return centre(Image.open(io.BytesIO(png)).convert("RGBA"))


def centre(image: Image.Image) -> np.ndarray:
    """Cut an RGBA image to what it shows, and put that in the middle of an empty square."""
    box = image.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox()
    if box is None:
        raise ValueError("the icon draws nothing")
    cut = image.crop(box)
    scale = CONTENT / max(cut.size)
    size = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
    # Premultiplied ("RGBa"), so that transparent pixels lend no colour to the edges.
    small = cut.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    canvas = Image.new("RGBA", (SIZE, SIZE), (255, 255, 255, 0))
    canvas.paste(small, ((SIZE - size[0]) // 2, (SIZE - size[1]) // 2))
    return np.asarray(canvas)


def on_white(rgba: np.ndarray) -> np.ndarray:
    """Composite [..., 4] uint8 RGBA on white: [..., 3] float32 in [0, 1]."""
    values = rgba.astype(np.float32) / 255
    alpha = values[..., 3:]
    return values[..., :3] * alpha + (1 - alpha)
