"""Does the mechanism keep what it claims? A lower bound on epsilon from one run, and direct checks beside it.

`one_run` turns guesses about canary users into the bound, `canaries` makes these users, `noise` looks at the noise
itself, `books` at the ledger and at what was said besides. `simulations.attacks.audit` carries an audit out.
"""
