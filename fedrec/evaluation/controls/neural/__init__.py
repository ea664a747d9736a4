"""Neural recommenders of the field as controls: central, without privacy, on item ids; a file each."""

from fedrec.evaluation.controls.neural import bert4rec, lightgcn, mult_vae, sasrec

__all__ = ["bert4rec", "lightgcn", "mult_vae", "sasrec"]
