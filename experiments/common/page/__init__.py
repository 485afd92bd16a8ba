"""The page of a run: ``report.html``, one file that shows what a run left in its folder."""
