"""A figure of the report: a chart, a table or pictures; or a line about what is missing."""

import base64
import hashlib
import io
import re
from dataclasses import dataclass, field

import altair as alt
from PIL import Image

WIDTH, HEIGHT = 520, 260
# Okabe and Ito's colours, which most colour-blind people can tell apart.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A6FDF", "#7F7F7F"]
BELOW = alt.Legend(orient="bottom", columns=1, labelLimit=600)  # a phone has no room beside a chart
BELOW_IN_ROWS = alt.Legend(orient="bottom", columns=4)
LONGEST = 40  # characters of a name in a key: file names have at most 255 bytes, a character up to 4


@dataclass
class Figure:
    """A chart (altair), a table (columns and rows) or pictures (label -> PNG bytes), with a title and a caption.

    key: name of its files.
    """

    key: str
    title: str
    caption: str = ""
    chart: alt.TopLevelMixin | None = None
    columns: tuple = ()
    rows: list = field(default_factory=list)
    pictures: list = field(default_factory=list)


@dataclass
class Missing:
    """A figure without data: its title, and why there is none."""

    title: str
    why: str


def as_key(name):
    """A name as part of a key; a digest tells apart the names that had to change."""
    plain = re.sub(r"[^\w.-]", "-", name)[:LONGEST]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def panel(rows, size=64):
    """A chart of pictures, for files: a row for each label, and a text below each picture.

    Args:
      rows: (label, [(PNG bytes, text, whether the text is right)]); wrong texts are red.
      size: side of a picture, in pixels.
    """
    values = [
        {"row": label, "column": i, "image": data_uri("image/png", png), "text": text, "right": bool(right)}
        for label, images in rows
        for i, (png, text, right) in enumerate(images)
    ]
    columns = 1 + max((value["column"] for value in values), default=0)
    position = {
        "x": alt.X("column:O", title=None, axis=None),
        "y": alt.Y("row:N", title=None, sort=None, axis=alt.Axis(domain=False, ticks=False, labelFontSize=12)),
    }
    base = alt.Chart(alt.Data(values=values)).encode(**position)
    images = base.mark_image(width=size, height=size, smooth=False).encode(url="image:N")
    colour = alt.condition("datum.right", alt.value("black"), alt.value("#b3261e"))
    texts = base.mark_text(dy=size / 2 + 8, fontSize=11).encode(text="text:N", color=colour)
    sized = (images + texts).properties(width=columns * (size + 8), height=len(rows) * (size + 24))
    return sized.configure_view(stroke=None)


def png(image):
    """PNG bytes of an image uint8 [H, W, C], grey or RGB."""
    content = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(content, "PNG")
    return content.getvalue()


def data_uri(kind, content):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def lines(rows, x, y, colour, *, y_format="%", tooltip=(), ticks=()):
    """A line for each value of `colour`; x, y: (field, title); ticks: values of x to mark, () for its choice."""
    scale = alt.Scale(zero=False, nice=False)
    encoding = {
        "x": alt.X(f"{x[0]}:Q", title=x[1], scale=scale, axis=alt.Axis(values=list(ticks) or alt.Undefined)),
        "y": alt.Y(f"{y[0]}:Q", title=y[1], axis=number_axis(y_format)),
        "color": alt.Color(f"{colour}:N", title=None, scale=alt.Scale(range=COLOURS), sort=None, legend=BELOW),
        "tooltip": [
            alt.Tooltip(f"{colour}:N"),
            alt.Tooltip(f"{x[0]}:Q", title=x[1]),
            alt.Tooltip(f"{y[0]}:Q", title=y[1]),
        ]
        + [alt.Tooltip(name) for name in tooltip],
    }
    marked = alt.Chart(alt.Data(values=rows)).mark_line(point=True, clip=True)
    return marked.encode(**encoding).properties(width=WIDTH, height=HEIGHT)


def number_axis(number_format):
    """An axis with numbers in a format of D3, or "" for plain numbers (D3 would write 250 as 2.5e+2 for it)."""
    return alt.Axis(format=number_format or alt.Undefined)


def bars(rows, y, x, colour, x_format="", tooltip=()):
    """Horizontal bars, grouped by y and within it by colour; y, x: (field, title).

    A chart would add up the bars of rows with equal y and colour; stack=None prevents it.
    """
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            y=alt.Y(f"{y[0]}:N", title=y[1], sort=None),
            yOffset=alt.YOffset(f"{colour}:N", sort=None),
            x=alt.X(f"{x[0]}:Q", title=x[1], axis=number_axis(x_format), stack=None),
            color=alt.Color(f"{colour}:N", title=None, scale=alt.Scale(range=COLOURS), sort=None, legend=BELOW),
            tooltip=[alt.Tooltip(f"{colour}:N"), alt.Tooltip(f"{y[0]}:N"), alt.Tooltip(f"{x[0]}:Q", title=x[1])]
            + [alt.Tooltip(name) for name in tooltip],
        )
        .properties(width=WIDTH, height=alt.Step(12))
    )
