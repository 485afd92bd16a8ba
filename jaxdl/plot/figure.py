"""The figure class of all plots; importing this module imports Matplotlib."""

import io

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A figure that displays itself in a notebook.

    Notebooks normally learn this from pyplot, which is not used here.

    Example:
        >>> NotebookFigure(figsize=(2, 1), dpi=100)._repr_png_()[1:4]
        b'PNG'
    """

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()
