"""Operations that run twice, so that what they write need not be held in between: less memory for more work.

``repeatable`` says which may, ``schedule`` what a list of runs means, ``problem`` what it costs; ``exact``,
``greedy`` and ``segments`` look for such lists, ``find`` chooses, and ``planned`` puts it on record.
"""
