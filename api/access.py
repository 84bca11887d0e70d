"""The team in the address: a stranger sees nothing, a teammate what the role allows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django_filters.rest_framework import DjangoFilterBackend  # type: ignore[import-untyped]
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed, NotFound, PermissionDenied
from rest_framework.filters import BaseFilterBackend
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from api import problems
from api.answer import Negotiation
from api.fields import choose_from
from api.pagination import NewestFirst
from api.parsing import TextJSONParser
from warehouse.access import Role, policy


class StrictFilters(DjangoFilterBackend):  # type: ignore[misc]
    """Refuses a filter that a list does not have: a misspelt one must not show everything."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        if view.action == "list":
            kind, paginator = self.get_filterset_class(view, queryset), view.paginator
            known = set(kind.base_filters) if kind else set()
            if unknown := sorted(set(request.query_params) - known - _paging(paginator)):
                hint = choose_from(sorted(known)) if known else "There are none."
                raise serializers.ValidationError(
                    dict.fromkeys(unknown, f"There is no such filter. {hint}")
                )
        return super().filter_queryset(request, queryset, view)

    def get_filterset(self, request: Request, queryset: Any, view: Any) -> Any:
        found = super().get_filterset(request, queryset, view)
        for field in found.form.fields.values() if found else ():
            if values := [value for value, _ in getattr(field, "choices", ()) if value]:
                field.error_messages["invalid_choice"] = choose_from(values)
        return found


def _paging(paginator: NewestFirst | None) -> set[str]:
    """What else stands in the address of a list."""
    of_pages = {paginator.cursor_query_param, paginator.page_size_query_param} if paginator else ()
    return {"format", *of_pages}


class TeamViewSet(GenericViewSet[Any]):
    """Views under ``/api/environments/<team_id>/``; ``self.team``, and the caller's ``self.role``
    in it, are set before any action.

    Everything but authentication is declared here, so that it holds whatever else a host
    project has in its REST_FRAMEWORK setting.
    """

    permission_classes = (IsAuthenticated,)
    parser_classes = (TextJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = Negotiation
    filter_backends: Sequence[type[BaseFilterBackend]] = (StrictFilters,)
    pagination_class: type[NewestFirst] | None = NewestFirst
    http_method_names = ["get", "post", "patch", "delete", "head"]
    roles: ClassVar[dict[str, Role]] = {}
    """Least role for an action; one that is not listed needs ADMIN."""
    team: Any
    role: Role

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        access, team_id = policy(), kwargs["team_id"]
        # A policy may hand the id to its database as it is, and those take no control characters.
        self.team = access.team(team_id) if team_id.isprintable() else None
        role = None if self.team is None else access.role(request.user, self.team)
        if role is None:
            # Also for a team that exists: its existence is nobody else's business.
            raise NotFound()
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(str(request.method))
        needed = self.roles.get(self.action or "", Role.ADMIN)
        if role < needed:
            raise PermissionDenied(f"This needs the role {needed.name.lower()}.")
        self.role = role

    def get_exception_handler(self) -> Callable[..., Any]:
        return problems.handle


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know: a misspelt one must not be dropped in silence."""

    called: ClassVar[Mapping[str, str]] = {}
    """What fields are called here that have another name elsewhere."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(data) - {n for n, f in self.fields.items() if not f.read_only})
            if unknown:
                raise serializers.ValidationError({name: self._fault(name) for name in unknown})
        return super().to_internal_value(data)

    def _fault(self, name: str) -> str:
        known = self.called.get(name)
        return f"Here it is {known}." if known else "There is no such field."


def valid(serializer: type[StrictSerializer], request: Request) -> dict[str, Any]:
    """The request's body as the serializer takes it; raises ValidationError."""
    checked = serializer(data=request.data)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)
