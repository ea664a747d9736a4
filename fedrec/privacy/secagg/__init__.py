"""Secure aggregation: a server that learns the sum of its clients' vectors, and no vector (trust `secure-aggregation`).

The protocol of Bonawitz et al. 2017 ("Practical Secure Aggregation", figure 4) with double masks, and the sparse graph
of Bell et al. 2020 for large cohorts. One round takes four messages from each client:

1. *advertise*: two fresh X25519 public keys, one for secret channels and one for masks (`protocol.client.Client`);
2. *share*: its mask key and the seed of its own mask, split by Shamir among its neighbours (`Client.share`);
3. *mask*: its integers plus its own mask plus one mask for each neighbour, of which one adds and the other subtracts
   it (`Client.mask`);
4. *unmask*: shares, of the own mask of a neighbour that stayed, or of the mask key of one that dropped out
   (`Client.unmask`). Never both: with both, the server could read that neighbour's vector.

What is claimed. Adversary: an honest-but-curious server, which follows the protocol, together with fewer clients than
rebuild a secret. It sees masked vectors, each uniform by itself, public keys, sealed shares, and who dropped out; it
learns the sum over the survivors and nothing else. In a sparse graph the honest survivors must also be tied together
without the colluders' masks, which is likely but not checked (that survivors hang together is).

Not claimed: anything about a server that lies about public keys (nothing signs them here), nor that the sum is right
when clients lie about their own numbers: nobody can check a norm. The sum itself is private only if noise is in it
(`integers.noise`).

Cost of a round with n clients of k neighbours each (k = n - 1 in the complete graph) and m numbers: a client makes 3k
key agreements, expands k + 1 masks of m numbers and splits two secrets in k + 1 shares, so a cohort makes O(n k)
agreements: O(n^2) in the complete graph. The server rebuilds n secrets and expands n masks, and k more for each client
that dropped out. Shamir in pure Python (pycryptodome) costs most: about k^2 for each secret.

Cryptography comes from the packages `cryptography` (X25519, HKDF-SHA256, AES-GCM, AES-CTR) and `pycryptodome` (Shamir).
"""
