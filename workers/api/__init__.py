"""Clients for other HTTP APIs than Zyra's, which share its journal, its budget and its transport.

    github = workers.client("github", "https://api.github.com", token="GITHUB_TOKEN", rate="5000/h")

client   the two clients, for `def` and for `async def` handlers
service  what is known of an API: its URL, its token, its limit
flow     makes a call: within the limit that all workers share, and once for a run
errors   what a call may raise, and what it means for the run
"""
