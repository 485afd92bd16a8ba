"""The pieces of ``experiments.benchmark``: contestants, their processes, the report."""
