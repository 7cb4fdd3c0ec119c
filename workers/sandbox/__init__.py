"""A Zyra to develop against: its API and its signed webhooks, as far as its public pages describe them.

state     devices, virtual servers, invoices, endpoints: the same ids at every start
api       the HTTP API: keys, envelope, paging, limits
webhooks  posts state changes, signed, and again until they are taken
"""
