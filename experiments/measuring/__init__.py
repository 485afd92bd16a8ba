"""The parts of ``experiments.benchmark``: contestants, their processes, the report."""
