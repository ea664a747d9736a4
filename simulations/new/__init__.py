"""What `fedrec new` writes: a file a kind of plug-in, which works as it stands, and its test.

The originals are modules like all others, checked and tested as they are. In a copy the plug-in's own name stands for
`new_strategy`, `NewStrategy` and `NEW_STRATEGY` (and likewise of the other kinds), and its module lies beside its test.
"""
