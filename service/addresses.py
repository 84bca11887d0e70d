"""Addresses that lack the slash at their end."""

from django.http import HttpRequest
from django.middleware.common import CommonMiddleware


class AddressMiddleware(CommonMiddleware):
    """Redirects people, and no clients of the API: of these, one that follows sends no body any
    more, and one that does not sees an empty answer."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        is_api = request.path_info.startswith("/api/environments/")
        return not is_api and super().should_redirect_with_slash(request)
