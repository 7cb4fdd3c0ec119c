"""What the receiver fetches from providers: their public keys, and addresses that confirm a subscription.

keys     remembers and renews the keys of one source, bounded in number and time
fetcher  fetches a small document by https, with an SSRF guard
"""
