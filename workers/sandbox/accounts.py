"""Logins, organizations, endpoints, invoices, SLA, costs, audit log, SSO and SCIM."""

import base64
import json
import re
import secrets
import time

import msgspec

from . import resources
from .calls import FILTER, ApiCall, CallHandler, File, Page, Refusal, drop_unset, paginate
from .rows import Row, fill
from .state import MAX_ENDPOINTS

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n% "


class Accounts(CallHandler):
    async def auth__login(self, call: ApiCall) -> Row:
        email, password = str(call.body["email"]), str(call.body["password"])
        known = self.state.users.get(email)
        good = known is not None and secrets.compare_digest(known.password.encode(), password.encode())
        self.state.audit("login_success" if good else "login_failure", email, "user", email, good)
        if not good:
            raise Refusal(401, "unauthorized", "e-mail or password are wrong")
        return self._tokens(email)

    async def auth__refresh(self, call: ApiCall) -> Row:
        token = str(call.body["refresh_token"])
        user, until = ("", 0.0) if token.startswith("eyJ") else self.state.tokens.pop(token, ("", 0.0))
        if time.time() >= until:
            raise Refusal(401, "unauthorized", "the refresh token is unknown, or was used")
        self.state.audit("token_refresh", user, "user", user)
        return self._tokens(user)

    def _tokens(self, user: str) -> Row:
        life = self.state.token_seconds
        self.state.tokens = {name: one for name, one in self.state.tokens.items() if one[1] > time.time()}
        payload = {"sub": user, "exp": int(time.time() + life), "jti": secrets.token_hex(8)}
        access = ".".join(encode(part) for part in ({"alg": "HS256"}, payload, {"signed": secrets.token_hex(16)}))
        refresh = secrets.token_urlsafe(24)
        self.state.tokens[access] = user, time.time() + life
        self.state.tokens[refresh] = user, time.time() + 10 * life
        return {"access_token": access, "refresh_token": refresh, "token_type": "bearer", "expires_in": life}

    async def auth__reset_password(self, call: ApiCall) -> Row:
        return {"sent": True}

    async def auth__sso(self, call: ApiCall) -> Row:
        return {"url": self.state.sso.get("idp_sso_url")}

    # --- organizations

    async def organizations__update(self, call: ApiCall) -> Row:
        row = self.row(self._rows(call), call.ids[0])
        row.update(drop_unset(call.body))
        return row

    async def organizations__members(self, call: ApiCall) -> Page:
        return paginate(list(self.row(self._rows(call), call.ids[0])["members"].values()), call)

    async def organizations__invite(self, call: ApiCall) -> Row:
        row = self.row(self._rows(call), call.ids[0])
        name = self.state.name("usr")
        row["members"][name] = drop_unset(call.body) | {"id": name, "status": "invited"}
        return dict(row["members"][name])

    async def organizations__remove_member(self, call: ApiCall) -> Row:
        members = self.row(self._rows(call), call.ids[0])["members"]
        self.row(members, call.ids[1])
        return dict(members.pop(call.ids[1]))

    async def organizations__settings(self, call: ApiCall) -> Row:
        return dict(self.row(self._rows(call), call.ids[0])["settings"])

    async def organizations__change_settings(self, call: ApiCall) -> Row:
        settings = self.row(self._rows(call), call.ids[0])["settings"]
        settings.update(call.body)
        return dict(settings)

    # --- webhook endpoints

    async def endpoints__list(self, call: ApiCall) -> Page:
        return paginate([hide_secret(row) for row in self.state.endpoints.values()], call)

    async def endpoints__get(self, call: ApiCall) -> Row:
        return hide_secret(self.row(self.state.endpoints, call.ids[0]))

    async def endpoints__create(self, call: ApiCall) -> Row:
        if len(self.state.endpoints) >= MAX_ENDPOINTS:
            raise Refusal(409, "conflict", f"an organization has at most {MAX_ENDPOINTS} endpoints")
        body = call.body
        endpoint = self.state.add_endpoint(str(body["url"]), list(body["events"]), str(body.get("description", "")))
        self.state.audit("resource_create", call.user, "webhook_endpoint", endpoint["id"])
        return endpoint

    async def endpoints__update(self, call: ApiCall) -> Row:
        row = self.row(self.state.endpoints, call.ids[0])
        row.update({name: value for name, value in call.body.items() if name in ("url", "events", "description")})
        self.state.save()
        return hide_secret(row)

    async def endpoints__delete(self, call: ApiCall) -> Row:
        row = self.row(self.state.endpoints, call.ids[0])
        del self.state.endpoints[row["id"]]
        self.state.deliveries.pop(row["id"], None)
        self.state.save()
        self.state.audit("resource_delete", call.user, "webhook_endpoint", row["id"])
        return hide_secret(row)

    async def endpoints__deliveries(self, call: ApiCall) -> Page:
        self.row(self.state.endpoints, call.ids[0])
        return paginate(list(self.state.deliveries.get(call.ids[0], {}).values()), call)

    async def endpoints__redeliver(self, call: ApiCall) -> Row:
        endpoint = self.row(self.state.endpoints, call.ids[0])
        row = self.row(self.state.deliveries.get(call.ids[0], {}), call.ids[1])
        self.webhooks.send_again(endpoint, row)
        return row

    # --- the rest

    async def invoices__pdf(self, call: ApiCall) -> File:
        invoice = await self._get(call)
        return File(PDF + json.dumps(invoice).encode() + b"\n%%EOF\n")

    async def sla__create_rule(self, call: ApiCall) -> Row:
        name = self.state.name("rule")
        self.state.areas["rules"][name] = fill("rules", name, drop_unset(call.body))
        return self.state.areas["rules"][name]

    async def sla__delete_rule(self, call: ApiCall) -> Row:
        self.row(self.state.areas["rules"], call.ids[0])
        return self.state.areas["rules"].pop(call.ids[0])

    async def cost_advisor__summary(self, call: ApiCall) -> Row:
        open_ones = [row for row in self.state.areas["recommendations"].values() if row["status"] == "open"]
        return {"total_savings": f"{sum(float(row['savings']) for row in open_ones):.2f}", "currency": "USD"}

    async def cost_advisor__apply(self, call: ApiCall) -> Row:
        return self._decide(call, "applied")

    async def cost_advisor__dismiss(self, call: ApiCall) -> Row:
        return self._decide(call, "dismissed")

    def _decide(self, call: ApiCall, status: str) -> Row:
        row = self.row(self.state.areas["recommendations"], call.ids[0])
        if row["status"] not in ("open", status):
            raise Refusal(409, "conflict", f"the recommendation is {row['status']}")
        row["status"] = status
        return row

    async def audit_log__list(self, call: ApiCall) -> Page:
        rows = list(self.state.areas["audit_log"].values())
        for name in ("event_type", "resource_id", "user_id"):
            rows = [row for row in rows if call.query.get(name) in (None, row[name])]
        return paginate(rows, call)

    async def audit_log__export(self, call: ApiCall) -> File:
        lines = [json.dumps(row) for row in self.state.areas["audit_log"].values()]
        return File("".join(f"{line}\n" for line in lines).encode())

    async def sso__metadata(self, call: ApiCall) -> File:
        return File(b'<EntityDescriptor entityID="https://app.getzyra.io/saml"/>')

    async def sso__get(self, call: ApiCall) -> Row:
        return self.state.sso

    async def sso__configure(self, call: ApiCall) -> Row:
        self.state.sso.update(call.body)
        self.state.audit("resource_create", call.user, "saml_config", "saml")
        return self.state.sso

    async def scim_users__list(self, call: ApiCall) -> Page:
        rows = list(self._rows(call).values())
        if "filter" in call.query:
            wanted = re.fullmatch(FILTER, call.query["filter"])
            if wanted is None:
                raise Refusal(422, "invalidFilter", 'filter is userName eq "..."')
            rows = [row for row in rows if row["userName"].lower() == wanted[1].lower()]
        return paginate(rows, call)

    async def scim_users__create(self, call: ApiCall) -> Row:
        users = self.state.areas["scim_users"]
        self._named_once(call, "")
        name = self.state.name("usr")
        users[name] = fill("scim_users", name, drop_unset(call.body))
        return users[name]

    async def scim_users__replace(self, call: ApiCall) -> Row:
        row = await self._get(call)
        self._named_once(call, row["id"])
        identity = {name: row[name] for name in ("id", "schemas")}
        row.clear()
        row.update(drop_unset(call.body) | identity)
        return row

    def _named_once(self, call: ApiCall, name: str) -> None:
        rows = self.state.areas["scim_users"].values()
        if any(row["userName"] == call.body["userName"] and row["id"] != name for row in rows):
            raise Refusal(409, "uniqueness", "userName is taken")

    async def scim_users__update(self, call: ApiCall) -> Row:
        row = await self._get(call)
        changed = dict(row)
        for operation in call.body["Operations"]:
            if operation["op"].lower() in ("add", "replace"):
                value, path = operation.get("value"), operation.get("path")
                changed |= drop_unset({path: value} if path else value if isinstance(value, dict) else {})
        try:
            msgspec.convert(changed, resources.User)
        except msgspec.ValidationError as error:
            raise Refusal(422, "invalidValue", str(error)) from None
        row.update(changed)
        return row

    async def scim_users__delete(self, call: ApiCall) -> None:
        self.row(self._rows(call), call.ids[0])
        del self._rows(call)[call.ids[0]]

    async def sdk__discover(self, call: ApiCall) -> Row:
        return {"python": {"status": "community"}}


def hide_secret(endpoint: Row) -> Row:
    """The endpoint without its secret, which is told once only."""
    return {name: value for name, value in endpoint.items() if name != "secret"}


def encode(part: Row) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
