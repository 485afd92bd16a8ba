"""Ways to compute the same convolution, and the rule that picks one (:mod:`.rule`)."""
