"""The engine: verifies a delivery by a scheme. It uses no clock, no network and no environment.

verify     the one entry: a delivery, keys and the time go in; which key fits comes out
template   what is signed, where a template says it; `builders` where code does
header     how a signature and its timestamp are written
keys       secrets and public keys, and checks with them
token      shared tokens and Basic authentication
jws        JSON Web Tokens
rfc9421    HTTP message signatures
diagnosis  why a delivery was refused, for the operator
signing    signs as a provider does, on a `draft`: for `send`, rotation and tests
"""
