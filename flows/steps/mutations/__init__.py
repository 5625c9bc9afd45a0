"""Mutation deliveries: what changed since the delivery before, found in bounded memory and without plaintext on disk.

`compare` finds what changed, `state` keeps what a later delivery is compared with, `chain` says with which, and
`delivering` puts them between extracting and validating.
"""
