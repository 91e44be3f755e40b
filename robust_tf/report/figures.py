"""What a section of the report is made of."""

import base64
from dataclasses import dataclass, field

import altair as alt

WIDTH, HEIGHT = 520, 260
# Okabe and Ito's colours, which most colour-blind people tell apart.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A6FDF", "#7F7F7F"]
BELOW = alt.Legend(orient="bottom", columns=1, labelLimit=600)  # a phone has no room beside a chart
BELOW_IN_ROWS = alt.Legend(orient="bottom", columns=4)


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
    """A figure that the runs have no numbers for, and what would make them."""

    title: str
    why: str


def panel(rows, size=64):
    """A chart of pictures, for files: a row for each label, below each picture what is said of it.

    Args:
      rows: (label, [(PNG bytes, what is said, whether that is right)]).
      size: of a picture, in pixels.
    """
    values = [
        {"row": label, "column": i, "image": data_uri("image/png", png), "said": said, "right": bool(right)}
        for label, images in rows
        for i, (png, said, right) in enumerate(images)
    ]
    columns = 1 + max((value["column"] for value in values), default=0)
    position = {
        "x": alt.X("column:O", title=None, axis=None),
        "y": alt.Y("row:N", title=None, sort=None, axis=alt.Axis(domain=False, ticks=False, labelFontSize=12)),
    }
    base = alt.Chart(alt.Data(values=values)).encode(**position)
    images = base.mark_image(width=size, height=size, smooth=False).encode(url="image:N")
    colour = alt.condition("datum.right", alt.value("black"), alt.value("#b3261e"))
    said = base.mark_text(dy=size / 2 + 8, fontSize=11).encode(text="said:N", color=colour)
    sized = (images + said).properties(width=columns * (size + 8), height=len(rows) * (size + 24))
    return sized.configure_view(stroke=None)


def data_uri(kind, content):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def percent(fraction):
    return "" if fraction is None else f"{fraction:.2%}"


def number(value):
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def lines(rows, x, y, colour, *, y_format="%", tooltip=(), step=0.0):
    """A line for each value of `colour`; x, y: (field, title); step: least distance of the ticks of x."""
    scale = alt.Scale(zero=False, nice=False)
    encoding = {
        "x": alt.X(f"{x[0]}:Q", title=x[1], scale=scale, axis=alt.Axis(tickMinStep=step)),
        "y": alt.Y(f"{y[0]}:Q", title=y[1], axis=alt.Axis(format=y_format)),
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


def bars(rows, y, x, colour, x_format="", tooltip=()):
    """Horizontal bars, grouped by y and within it by colour; y, x: (field, title)."""
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            y=alt.Y(f"{y[0]}:N", title=y[1], sort=None),
            yOffset=alt.YOffset(f"{colour}:N", sort=None),
            x=alt.X(f"{x[0]}:Q", title=x[1], axis=alt.Axis(format=x_format)),
            color=alt.Color(f"{colour}:N", title=None, scale=alt.Scale(range=COLOURS), sort=None, legend=BELOW),
            tooltip=[alt.Tooltip(f"{colour}:N"), alt.Tooltip(f"{y[0]}:N"), alt.Tooltip(f"{x[0]}:Q", title=x[1])]
            + [alt.Tooltip(name) for name in tooltip],
        )
        .properties(width=WIDTH, height=alt.Step(12))
    )
