"""Which of our methods answers which call of the route table, and who may make it."""

from .accounts import Accounts
from .calls import LISTS, Act, ApiCall, Refusal
from .compute import Compute

ADMIN = (
    "invoices.",
    "sla.",
    "audit_log.",
    "endpoints.",
    "sso.",
    "organizations.",
    "devices.register",
    "devices.approve",
    "devices.remove",
)  # fmt: skip - what an org_member may not
READABLE = ("organizations.list", "organizations.get", "organizations.members")


class Operations(Compute, Accounts):
    """A method for each call that is more than a list or one row."""

    def find(self, name: str) -> Act:
        """What answers the call of this name. Raises LookupError where nothing does."""
        area, _, what = name.partition(".")
        if own := getattr(self, name.replace(".", "__"), None):
            return own  # type: ignore[no-any-return]
        if name in LISTS or what == "list":
            return self._list
        if what == "get":
            return self._get
        if what in ("submit", "cancel"):
            return self._submit if what == "submit" else self._cancel
        raise LookupError(f"the sandbox does not answer {name} ({area})")

    def allow(self, asked: ApiCall) -> None:
        """https://getzyra.io/documentation/user-guides/organization/stage-3/05-team-management"""
        if (
            self.state.find_role(asked.user) == "org_member"
            and asked.name.startswith(ADMIN)
            and asked.name not in READABLE
        ):
            raise Refusal(403, "forbidden", "the key's user lacks the role org_admin")
