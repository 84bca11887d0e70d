"""`manage.py check_host`: which addresses a team's connection could reach from here."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand

from connectors.errors import ConnectorError
from connectors.network import Endpoint
from warehouse.connections import network_policy
from warehouse.management.commands.check_sql import text_field

ANY_PORT = 443


class Command(BaseCommand):
    help = 'Read JSON lines {"host", "port"} or {"url"}, print {"allow", "code", "reason"}.'

    def handle(self, *args: Any, **options: Any) -> None:
        for number, line in enumerate(sys.stdin, start=1):
            if line.strip():
                address = text_field(line, number, "url", "host")
                port = json.loads(line).get("port")
                self.stdout.write(json.dumps(verdict(address, port)))


def verdict(address: str, port: int | None = None) -> dict[str, Any]:
    """What the network guard says of a host, ``host:port`` or URL; nothing is connected to."""
    try:
        endpoint = _endpoint(address) if port is None else Endpoint(address.strip("[]"), port)
        network_policy().resolve(endpoint)
    except ConnectorError as exc:
        return {"allow": False, "code": exc.code, "reason": exc.detail}
    return {"allow": True, "code": "", "reason": ""}


def _endpoint(address: str) -> Endpoint:
    if "://" in address:
        return Endpoint.of_url(address)
    host, separator, port = address.rpartition(":")
    if separator and port.isdigit() and (":" not in host or host.endswith("]")):
        return Endpoint(host.strip("[]"), int(port))
    return Endpoint(address.strip("[]"), ANY_PORT)
