"""The course's building blocks, one short program each."""
