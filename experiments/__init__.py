"""The programs: ``python -m experiments`` lists them."""
