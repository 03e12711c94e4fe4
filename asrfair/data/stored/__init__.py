"""Audio where it is: in object stores, behind https, in tar shards and in Parquet; nothing is unpacked."""
