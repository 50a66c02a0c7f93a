"""Detection as a job on many machines: shards in, Parquet out, with Ray Data between.

Needs ``pip install "featherface[ray]"``, but for the stages, which know nothing of Ray.
"""
