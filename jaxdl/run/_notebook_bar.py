"""A progress bar for notebooks, as one output of a cell that is updated in place."""

import html


class NotebookBar:
    """A bar in a cell's output: HTML, and plain text where that is not shown.

    It has the parts of a tqdm bar that :class:`jaxdl.run.progress.ProgressBar` uses. Unlike tqdm's
    own bar for notebooks it needs no widgets: a saved notebook shows how far the run came.

    Attributes:
        desc: what stands beside the bar.
        n, total: steps done, of how many.

    Example:
        >>> NotebookBar("loss 0.5", 1, 3).text
        ' 33% loss 0.5'
    """

    ncols = None  # as wide as the page

    def __init__(self, desc: str, n: int, total: int) -> None:
        self.desc, self.n, self.total = desc, n, total
        self.leave = True
        self._shown = None

    @property
    def text(self) -> str:
        """The bar as text."""
        return f"{self.n / self.total:4.0%} {self.desc}"

    @property
    def markup(self) -> str:
        """The bar as HTML."""
        return (
            '<div style="font-family:monospace">'
            f'<progress value="{self.n}" max="{self.total}" style="width:10em"></progress> '
            f"{html.escape(self.text.strip())}</div>"
        )

    def refresh(self) -> None:
        """Draws the bar, in place of what was drawn before."""
        from IPython.display import display

        bundle = {"text/plain": self.text, "text/html": self.markup}
        if self._shown is None:
            self._shown = display(bundle, raw=True, display_id=True)
        else:
            self._shown.update(bundle, raw=True)

    def close(self) -> None:
        """Leaves the bar as it is."""
