"""Logins, organizations, endpoints, invoices, SLA, costs, audit log, SSO and SCIM: all that is no machine."""

import base64
import json
import re
import secrets
import time

import msgspec

from . import resources
from .calls import FILTER, Asked, Desk, File, Page, Refusal, paged, told
from .rows import Row, filled
from .state import MOST_ENDPOINTS

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n% "


class Office(Desk):
    async def auth__login(self, asked: Asked) -> Row:
        email, password = str(asked.body["email"]), str(asked.body["password"])
        known = self.state.users.get(email)
        good = known is not None and secrets.compare_digest(known.password.encode(), password.encode())
        self.state.audit("login_success" if good else "login_failure", email, "user", email, good)
        if not good:
            raise Refusal(401, "unauthorized", "e-mail or password are wrong")
        return self._tokens(email)

    async def auth__refresh(self, asked: Asked) -> Row:
        given = str(asked.body["refresh_token"])
        user, until = ("", 0.0) if given.startswith("eyJ") else self.state.tokens.pop(given, ("", 0.0))
        if time.time() >= until:
            raise Refusal(401, "unauthorized", "the refresh token is unknown, or was used")
        self.state.audit("token_refresh", user, "user", user)
        return self._tokens(user)

    def _tokens(self, user: str) -> Row:
        life = self.state.token_seconds
        self.state.tokens = {name: one for name, one in self.state.tokens.items() if one[1] > time.time()}
        payload = {"sub": user, "exp": int(time.time() + life), "jti": secrets.token_hex(8)}
        access = ".".join(encoded(part) for part in ({"alg": "HS256"}, payload, {"signed": secrets.token_hex(16)}))
        refresh = secrets.token_urlsafe(24)
        self.state.tokens[access] = user, time.time() + life
        self.state.tokens[refresh] = user, time.time() + 10 * life
        return {"access_token": access, "refresh_token": refresh, "token_type": "bearer", "expires_in": life}

    async def auth__reset_password(self, asked: Asked) -> Row:
        return {"sent": True}

    async def auth__sso(self, asked: Asked) -> Row:
        return {"url": self.state.sso.get("idp_sso_url")}

    # --- organizations

    async def organizations__update(self, asked: Asked) -> Row:
        row = self.row(self._rows(asked), asked.ids[0])
        row.update(told(asked.body))
        return row

    async def organizations__members(self, asked: Asked) -> Page:
        return paged(list(self.row(self._rows(asked), asked.ids[0])["members"].values()), asked)

    async def organizations__invite(self, asked: Asked) -> Row:
        row = self.row(self._rows(asked), asked.ids[0])
        name = self.state.name("usr")
        row["members"][name] = told(asked.body) | {"id": name, "status": "invited"}
        return dict(row["members"][name])

    async def organizations__remove_member(self, asked: Asked) -> Row:
        members = self.row(self._rows(asked), asked.ids[0])["members"]
        self.row(members, asked.ids[1])
        return dict(members.pop(asked.ids[1]))

    async def organizations__settings(self, asked: Asked) -> Row:
        return dict(self.row(self._rows(asked), asked.ids[0])["settings"])

    async def organizations__change_settings(self, asked: Asked) -> Row:
        found = self.row(self._rows(asked), asked.ids[0])["settings"]
        found.update(asked.body)
        return dict(found)

    # --- webhook endpoints

    async def endpoints__list(self, asked: Asked) -> Page:
        return paged([public(row) for row in self.state.endpoints.values()], asked)

    async def endpoints__get(self, asked: Asked) -> Row:
        return public(self.row(self.state.endpoints, asked.ids[0]))

    async def endpoints__create(self, asked: Asked) -> Row:
        if len(self.state.endpoints) >= MOST_ENDPOINTS:
            raise Refusal(409, "conflict", f"an organization has at most {MOST_ENDPOINTS} endpoints")
        body = asked.body
        made = self.state.add_endpoint(str(body["url"]), list(body["events"]), str(body.get("description", "")))
        self.state.audit("resource_create", asked.user, "webhook_endpoint", made["id"])
        return made

    async def endpoints__update(self, asked: Asked) -> Row:
        row = self.row(self.state.endpoints, asked.ids[0])
        row.update({name: value for name, value in asked.body.items() if name in ("url", "events", "description")})
        self.state.save()
        return public(row)

    async def endpoints__delete(self, asked: Asked) -> Row:
        row = self.row(self.state.endpoints, asked.ids[0])
        del self.state.endpoints[row["id"]]
        self.state.deliveries.pop(row["id"], None)
        self.state.save()
        self.state.audit("resource_delete", asked.user, "webhook_endpoint", row["id"])
        return public(row)

    async def endpoints__deliveries(self, asked: Asked) -> Page:
        self.row(self.state.endpoints, asked.ids[0])
        return paged(list(self.state.deliveries.get(asked.ids[0], {}).values()), asked)

    async def endpoints__redeliver(self, asked: Asked) -> Row:
        endpoint = self.row(self.state.endpoints, asked.ids[0])
        row = self.row(self.state.deliveries.get(asked.ids[0], {}), asked.ids[1])
        self.webhooks.again(endpoint, row)
        return row

    # --- the rest

    async def invoices__pdf(self, asked: Asked) -> File:
        invoice = await self._get(asked)
        return File(PDF + json.dumps(invoice).encode() + b"\n%%EOF\n")

    async def sla__create_rule(self, asked: Asked) -> Row:
        name = self.state.name("rule")
        self.state.areas["rules"][name] = filled("rules", name, told(asked.body))
        return self.state.areas["rules"][name]

    async def sla__delete_rule(self, asked: Asked) -> Row:
        self.row(self.state.areas["rules"], asked.ids[0])
        return self.state.areas["rules"].pop(asked.ids[0])

    async def cost_advisor__summary(self, asked: Asked) -> Row:
        open_ones = [row for row in self.state.areas["recommendations"].values() if row["status"] == "open"]
        return {"total_savings": f"{sum(float(row['savings']) for row in open_ones):.2f}", "currency": "USD"}

    async def cost_advisor__apply(self, asked: Asked) -> Row:
        return self._decided(asked, "applied")

    async def cost_advisor__dismiss(self, asked: Asked) -> Row:
        return self._decided(asked, "dismissed")

    def _decided(self, asked: Asked, status: str) -> Row:
        row = self.row(self.state.areas["recommendations"], asked.ids[0])
        if row["status"] not in ("open", status):
            raise Refusal(409, "conflict", f"the recommendation is {row['status']}")
        row["status"] = status
        return row

    async def audit_log__list(self, asked: Asked) -> Page:
        found = list(self.state.areas["audit_log"].values())
        for name in ("event_type", "resource_id", "user_id"):
            found = [row for row in found if asked.query.get(name) in (None, row[name])]
        return paged(found, asked)

    async def audit_log__export(self, asked: Asked) -> File:
        lines = [json.dumps(row) for row in self.state.areas["audit_log"].values()]
        return File("".join(f"{line}\n" for line in lines).encode())

    async def sso__metadata(self, asked: Asked) -> File:
        return File(b'<EntityDescriptor entityID="https://app.getzyra.io/saml"/>')

    async def sso__get(self, asked: Asked) -> Row:
        return self.state.sso

    async def sso__configure(self, asked: Asked) -> Row:
        self.state.sso.update(asked.body)
        self.state.audit("resource_create", asked.user, "saml_config", "saml")
        return self.state.sso

    async def scim_users__list(self, asked: Asked) -> Page:
        rows = list(self._rows(asked).values())
        if "filter" in asked.query:
            wanted = re.fullmatch(FILTER, asked.query["filter"])
            if wanted is None:
                raise Refusal(422, "invalidFilter", 'filter is userName eq "..."')
            rows = [row for row in rows if row["userName"].lower() == wanted[1].lower()]
        return paged(rows, asked)

    async def scim_users__create(self, asked: Asked) -> Row:
        users = self.state.areas["scim_users"]
        self._named_once(asked, "")
        name = self.state.name("usr")
        users[name] = filled("scim_users", name, told(asked.body))
        return users[name]

    async def scim_users__replace(self, asked: Asked) -> Row:
        row = await self._get(asked)
        self._named_once(asked, row["id"])
        kept = {name: row[name] for name in ("id", "schemas")}
        row.clear()
        row.update(told(asked.body) | kept)
        return row

    def _named_once(self, asked: Asked, name: str) -> None:
        rows = self.state.areas["scim_users"].values()
        if any(row["userName"] == asked.body["userName"] and row["id"] != name for row in rows):
            raise Refusal(409, "uniqueness", "userName is taken")

    async def scim_users__update(self, asked: Asked) -> Row:
        row = await self._get(asked)
        changed = dict(row)
        for operation in asked.body["Operations"]:
            if operation["op"].lower() in ("add", "replace"):
                value, path = operation.get("value"), operation.get("path")
                changed |= told({path: value} if path else value if isinstance(value, dict) else {})
        try:
            msgspec.convert(changed, resources.User)
        except msgspec.ValidationError as error:
            raise Refusal(422, "invalidValue", str(error)) from None
        row.update(changed)
        return row

    async def scim_users__delete(self, asked: Asked) -> None:
        self.row(self._rows(asked), asked.ids[0])
        del self._rows(asked)[asked.ids[0]]

    async def sdk__discover(self, asked: Asked) -> Row:
        return {"python": {"status": "community"}}


def public(endpoint: Row) -> Row:
    """The endpoint without its secret, which is told once only."""
    return {name: value for name, value in endpoint.items() if name != "secret"}


def encoded(part: Row) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
