"""Random furnished rooms, rendered: pictures with exact depth, layout and light."""

from training.data.synthetic.clips import render_clip
from training.data.synthetic.horizon import openings_of
from training.data.synthetic.rendered import RenderedRooms, split_of
from training.data.synthetic.sheet import contact_sheet
from training.data.synthetic.synthesis import synthesize
from training.data.synthetic.walks import synthesize_walks

__all__ = ["RenderedRooms", "contact_sheet", "openings_of", "render_clip", "split_of", "synthesize", "synthesize_walks"]
