"""What one request may bring, whatever the model takes."""

MAX_ELEMENTS = 4_194_304
"""Elements of all tensors of one request together."""

MAX_HELD = 65_536
"""Tensors, sequences and maps inside the sequences and maps of one request: each takes hundreds of bytes, if empty."""

MAX_DEPTH = 32
"""Objects and lists inside each other, the body itself counted."""

MAX_LISTS = 262_144
"""Lists and objects of a body that is read value by value, to name its faults: nobody else is answered meanwhile."""

MAX_INTEGER_DIGITS = 20
"""Digits of an integer literal: 2**64 has 20."""

MAX_NUMBER_CHARS = 1_100
"""Characters of any number literal: enough to write every float64, and every point halfway between two, in full."""

MAX_ID_CHARS = 128
"""Characters of a request's own ``id``."""

MAX_NAMED = 100
"""Faults of one kind that an answer lists for one tensor, or one object: a refusal must not outgrow its request."""

MAX_RAGGED_ELEMENTS = 65_536
"""So many elements of lists that fit no shape are looked at: each costs a tuple of its own, and the body is refused."""
